// manual_log.h — manual procurement as the log holds it: read, and written so that two operators,
// or one who repeats himself, never make a version twice (docs/manual-procurement.md).
//
// A record's own versions count its positions: an append says of which version it is the next, and
// is dropped when another append took that place. So nothing is overwritten unseen.
//
// Thread-safety: none; used by one thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tools/client/follower.h"
#include "tools/import/manual.h"

namespace kembar::ctl {

struct ManualVersion {
  uint64_t index = 0;  // of the newest version
  int64_t time_us = 0;
  bool living = false;
  import::StoredManual stored;  // when living
  std::string payload;
};

using ManualKey = std::pair<std::string, std::string>;  // package and item
using ManualVersions = std::map<ManualKey, ManualVersion>;

// All records, as `node` has them.
Result<ManualVersions> ReadManuals(client::NodeStubs* node, const std::string& log);

// Appends `drafts` as what follows `after` (an index; 0: nothing is there) of the record `key`;
// `payload` is what the record's item then holds. kDiverged: somebody else was faster.
Status AppendManual(client::PrimaryFollower* follower, const ManualKey& key, uint64_t after,
                    const std::string& payload, std::vector<v1::Draft> drafts,
                    client::Millis timeout);

v1::Draft ManualDraft(const ManualKey& key, const std::string& payload);

}  // namespace kembar::ctl
