// manual_log.h — manual procurement on its way into the log and as the log holds it: written so
// that two operators, or one who repeats himself, never make a version twice
// (docs/manual-procurement.md).
//
// Each record is a source of its own. Whatever is appended of it, a version, its attachments or
// both, takes that source's next position. Who appends has read the position before what he decides
// on, and is told when another append took the place: nothing is overwritten unseen.
//
// Thread-safety: none; used by one thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tools/client/follower.h"
#include "tools/documents/content.h"
#include "tools/import/manual.h"

namespace kembar::ctl {

using ManualKey = std::pair<std::string, std::string>;  // package and item
ManualKey ManualKeyOf(const std::string& package, std::string_view contract_number);

// ---- Into the log ------------------------------------------------------------------------------

// A row with its attachments read.
struct PreparedManual {
  import::StoredManual stored;
  std::vector<documents::Document> documents;
  std::vector<std::string> files;  // where each is, relative to the CSV file's folder
};

// Reads the attachments, which stand in `folder` ("": where we are) or below. kInvalid: the row is
// rejected.
Result<PreparedManual> PrepareManual(const import::ManualRecord& record, const std::string& folder);

// Reads one of PreparedManual::files; no symbolic link is followed, in no part of it. Fills in all
// of `document` but path and source.
Status ReadAttachment(const std::string& folder, const std::string& file,
                      const documents::ChunkFn& each, documents::Document* document);

// ---- In the log --------------------------------------------------------------------------------

struct ManualVersion {
  uint64_t index = 0;  // of the newest version; 0: there is none
  int64_t time_us = 0;
  bool living = false;
  Status odd;                   // why it cannot be read
  import::StoredManual stored;  // when living and readable
  std::string payload;
};

using ManualVersions = std::map<ManualKey, ManualVersion>;

// All records, as `node` has them, those that cannot be read among them.
Result<ManualVersions> ReadManuals(client::NodeStubs* node, const std::string& log);

// What cannot be read, one line each.
std::vector<std::string> ManualWarnings(const ManualVersions& all);

// The latest version of any item, as the primary holds it. kNotFound: never there.
Result<v1::ItemVersion> ReadLatest(client::PrimaryFollower* follower, const ManualKey& key,
                                   const client::Deadline& deadline);

// One record as the primary holds it, and the position that its source had before.
struct ManualPlace {
  uint64_t position = 0;
  ManualVersion version;
};
// The record's own oddity is an error: kCorrupt.
Result<ManualPlace> ReadManual(client::PrimaryFollower* follower, const ManualKey& key,
                               client::Millis timeout);

v1::Draft ManualDraft(const ManualKey& key, const std::string& payload);

Status ManualChanged(const ManualKey& key);

// Appends `drafts` of the record `key` as what follows `position`. ManualChanged, kDiverged:
// somebody else was faster with something else.
Status AppendManual(client::PrimaryFollower* follower, const ManualKey& key, uint64_t position,
                    std::vector<v1::Draft> drafts, client::Millis timeout);

}  // namespace kembar::ctl
