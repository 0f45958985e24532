// codec.h — the values that RocksStore writes beside frames, and their encodings.
//
// Each begins with a version byte, 1; a reader of version 1 refuses others by kCorrupt. Names and
// index of an item version stand in its key and are not repeated.
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"
#include "replicator/log/store.h"

namespace kembar {

// Where a log ends: what the next append must continue.
struct LogEnd {
  uint64_t last_index = 0;
  Digest root{};  // over all records up to last_index
};
std::string EncodeLogEnd(const LogEnd& end);
Result<LogEnd> DecodeLogEnd(std::string_view bytes);

std::string EncodeItemVersion(const ItemVersion& version);
// `package`, `item` and `index` of the answer stay empty: they come from the key.
Result<ItemVersion> DecodeItemVersion(std::string_view bytes);

// `id` stands in the key.
std::string EncodeQuarantineInfo(const QuarantineInfo& info);
Result<QuarantineInfo> DecodeQuarantineInfo(std::string_view bytes);

}  // namespace kembar
