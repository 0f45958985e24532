// document.h — the payload of a document's record (docs/documents.md): what a file is, and of which
// chunks it consists.
//
// Decoders are total: any bytes give a value or kCorrupt. Unknown JSON keys are ignored.
//
// Thread-safety: pure functions and values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"

namespace kembar::documents {

inline constexpr size_t kChunkBytes = size_t{1} << 20;

struct Document {
  std::string path;  // bytes, relative, not encoded
  uint64_t size = 0;
  uint32_t mode = 0;  // permission bits, 07777
  int64_t mtime_ns = 0;
  Digest sha256{};
  std::vector<Digest> chunks;
  std::string source;  // who recorded it, "documents/NAME"; empty: not said
  bool operator==(const Document&) const = default;
};

// How many chunks a file of this size has.
uint64_t ChunkCount(uint64_t size);

// `document.path` is a plain path.
std::string EncodeDocument(const Document& document);
Result<Document> DecodeDocument(std::string_view payload);

// The item's name, "document/PATH".
std::string ItemOf(const Document& document);

// 32 bytes of hexadecimal, lower case. False: not that.
bool ParseHexDigest(std::string_view hex, Digest* digest);

}  // namespace kembar::documents
