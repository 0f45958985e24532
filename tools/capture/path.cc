// path.cc — see path.h.
#include "tools/capture/path.h"

#include <algorithm>

#include "replicator/base/check.h"
#include "replicator/base/digest.h"
#include "tools/capture/percent.h"

namespace kembar::capture {
namespace {

constexpr std::string_view kAlsoPlain = "./";
constexpr size_t kPathBytesMax = 4'096;
constexpr size_t kItemBytesMax = 1'024;
constexpr size_t kPatternBytesMax = 1'024;

std::vector<std::string_view> Split(std::string_view path) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t slash = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, slash));
    if (slash == path.size()) return parts;
    path.remove_prefix(slash + 1);
  }
}

bool IsPlainPart(std::string_view part) {
  return !part.empty() && part != "." && part != ".." && part.find('\0') == std::string_view::npos;
}

std::string Item(std::string_view prefix, std::string_view encoded) {
  std::string item(prefix);
  if (prefix.size() + encoded.size() <= kItemBytesMax) return item.append(encoded);
  return item.append("~").append(ToHex(Sha256({encoded})));
}

// Two fingers and one place to go back to: the last '*'.
bool GlobMatches(std::string_view glob, std::string_view text) {
  size_t g = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      star_text = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

}  // namespace

bool IsPlainPath(std::string_view path) {
  if (path.empty() || path.size() > kPathBytesMax) return false;
  const std::vector<std::string_view> parts = Split(path);
  return std::all_of(parts.begin(), parts.end(), IsPlainPart);
}

std::string EncodePath(std::string_view path) {
  CHECK(IsPlainPath(path));
  return PercentEncode(path, kAlsoPlain);
}

std::optional<std::string> DecodePath(std::string_view encoded) {
  std::optional<std::string> path = PercentDecode(encoded, kAlsoPlain);
  return path && IsPlainPath(*path) ? path : std::nullopt;
}

std::string DocumentItem(std::string_view encoded) { return Item(kDocumentPrefix, encoded); }
std::string ReferenceItem(std::string_view encoded) { return Item(kReferencePrefix, encoded); }

std::optional<std::string> CleanPath(std::string_view text, std::string_view base) {
  if (!base.empty() && text.starts_with(base)) text.remove_prefix(base.size());
  std::string path;
  for (const std::string_view part : Split(text)) {
    if (part.empty() || part == ".") continue;
    if (!path.empty()) path += '/';
    path += part;
  }
  if (!IsPlainPath(path)) return std::nullopt;
  return path;
}

Result<PathPattern> PathPattern::Parse(std::string_view text) {
  const auto refuse = [text](const std::string& why) {
    return Status(Code::kInvalid, "\"" + std::string(text.substr(0, 200)) + "\" " + why,
                  "write e.g. \"file_prod/paket/{key}/**\"");
  };
  if (text.size() > kPatternBytesMax) return refuse("is longer than 1,024 bytes");
  if (!IsPlainPath(text)) return refuse("has an empty part, \".\" or \"..\"");
  PathPattern pattern;
  for (const std::string_view part : Split(text)) {
    if (part == "**") {
      const bool again = !pattern.parts_.empty() && pattern.parts_.back().kind == Kind::kMany;
      if (!again) pattern.parts_.push_back({Kind::kMany, {}});
    } else if (part == "{key}") {
      if (pattern.has_key_) return refuse("has {key} twice");
      pattern.has_key_ = true;
      pattern.parts_.push_back({Kind::kKey, {}});
    } else if (part.find("**") != std::string_view::npos ||
               part.find('{') != std::string_view::npos ||
               part.find('}') != std::string_view::npos) {
      return refuse("has ** or {key} as a piece of a part");
    } else {
      pattern.parts_.push_back({Kind::kText, std::string(part)});
    }
  }
  return pattern;
}

bool PathPattern::Matches(std::string_view path, std::string* key) const {
  const std::vector<std::string_view> parts = Split(path);
  const auto one = [this, &parts](size_t p, size_t at) {
    return parts_[p].kind == Kind::kKey || GlobMatches(parts_[p].glob, parts[at]);
  };
  size_t p = 0;
  size_t at = 0;
  size_t many = SIZE_MAX;  // the last ** passed, and where its run ends
  size_t many_end = 0;
  size_t key_at = SIZE_MAX;
  while (at < parts.size()) {
    if (p < parts_.size() && parts_[p].kind == Kind::kMany) {
      many = p++;
      many_end = at;
      // At the end it takes the rest, of which there is at least one part.
      if (p == parts_.size()) at = parts.size();
    } else if (p < parts_.size() && one(p, at)) {
      if (parts_[p].kind == Kind::kKey) key_at = at;
      ++p;
      ++at;
    } else if (many != SIZE_MAX) {
      p = many + 1;
      at = ++many_end;
    } else {
      return false;
    }
  }
  if (p != parts_.size()) return false;
  if (key != nullptr) *key = key_at == SIZE_MAX ? "" : std::string(parts[key_at]);
  return true;
}

}  // namespace kembar::capture
