// document.h — what a document's record says: the payload of `document/` and `reference/` items
// (docs/documents.md), decoded.
//
// Total: any bytes give a value or kInvalid, which says what is wrong. Unknown fields are skipped,
// so that a newer source's records are still understood. Memory is a small multiple of the
// document's list of chunks, whatever the payload holds.
//
// Pure. Thread-safety: value types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"

namespace kembar {

inline constexpr char kDocumentPrefix[] = "document/";
inline constexpr char kReferencePrefix[] = "reference/";
// No document's list of chunks is longer than this: some 60 GB of contents.
inline constexpr size_t kDocumentPayloadMax = size_t{4} << 20;

struct Document {
  std::string path;  // relative to the uploads directory, each part percent-encoded
  uint64_t size = 0;
  uint32_t mode = 0;     // permission bits
  int64_t mtime_ns = 0;  // since 1970 UTC
  Digest sha256{};       // of the whole file
  std::vector<Digest> chunks;
};

// Also checked: the chunks are as many as the size needs.
Result<Document> DecodeDocument(std::string_view payload);

bool IsDocument(std::string_view item);
bool IsReference(std::string_view item);

// The same for a document and everything that refers to it; told apart are only different paths.
// Empty for an item that is neither. Long paths are replaced by their SHA-256 in an item's name, at
// lengths that depend on the prefix, so names are brought to one form.
std::string DocumentKey(std::string_view item);

}  // namespace kembar
