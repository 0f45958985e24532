// path.h — paths of documents: their encoding in item names, and the patterns of a mapping
// (docs/documents.md).
//
// A path is relative to the uploads directory, of bytes, its parts joined by '/'. An encoded path
// (PATH) is UTF-8 that a log takes as a name, and has exactly one path.
//
// Thread-safety: pure functions and values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::capture {

// A path without empty parts, "." and "..", and not longer than PATH_MAX: what can be a file in a
// directory and cannot lead out of it.
bool IsPlainPath(std::string_view path);

// `path` is a plain path (CHECKed). Letters, digits, '_', '-', '.' and well-formed characters above
// 127 stand for themselves.
std::string EncodePath(std::string_view path);
// Nothing when `encoded` is not what EncodePath gives for a plain path.
std::optional<std::string> DecodePath(std::string_view encoded);

// "document/PATH" and "reference/PATH" of an encoded path; of a long one "document/~SHA256".
std::string DocumentItem(std::string_view encoded);
std::string ReferenceItem(std::string_view encoded);
inline constexpr std::string_view kDocumentPrefix = "document/";
inline constexpr std::string_view kReferencePrefix = "reference/";

// `text` as people and databases write a path, without `base` at its beginning, doubled slashes and
// "." parts. Nothing when that is empty or not a plain path.
std::optional<std::string> CleanPath(std::string_view text, std::string_view base);

// "file_prod/paket/{key}/**": '*' is any run of bytes within a part, "{key}" a whole part, "**" any
// run of parts (at the end at least one). Matching is bounded by the product of the two lengths.
class PathPattern {
 public:
  static Result<PathPattern> Parse(std::string_view text);

  // `key` (may be null) gets what {key} stood for; empty when the pattern has none.
  bool Matches(std::string_view path, std::string* key) const;
  bool has_key() const { return has_key_; }

 private:
  enum class Kind { kText, kKey, kMany };
  struct Part {
    Kind kind = Kind::kText;
    std::string glob;
  };
  std::vector<Part> parts_;
  bool has_key_ = false;
};

}  // namespace kembar::capture
