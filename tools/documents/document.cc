// document.cc — see document.h. Written by hand, so that equal documents have equal bytes; read by
// the JSON library.
#include "tools/documents/document.h"

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/capture/json_text.h"
#include "tools/capture/path.h"

namespace kembar::documents {
namespace {

using Json = nlohmann::json;

Status Corrupt(const std::string& what) {
  return {Code::kCorrupt, "document: " + what + " is missing or odd"};
}

const std::string* Text(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at == json.end() || !at->is_string() ? nullptr : at->get_ptr<const std::string*>();
}

template <class Number>
std::optional<Number> Parse(const std::string* text, int base) {
  if (text == nullptr) return std::nullopt;
  Number number = 0;
  const char* end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, number, base);
  if (text->empty() || error != std::errc() || at != end) return std::nullopt;
  return number;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

Status ReadChunks(const Json& json, Document* document) {
  const auto chunks = json.find("chunks");
  if (chunks == json.end() || !chunks->is_array()) return Corrupt("chunks");
  if (chunks->size() != ChunkCount(document->size)) return Corrupt("number of chunks");
  document->chunks.reserve(chunks->size());
  for (const Json& entry : *chunks) {
    Digest digest;
    if (!entry.is_string() || !ParseHexDigest(*entry.get_ptr<const std::string*>(), &digest)) {
      return Corrupt("a chunk");
    }
    document->chunks.push_back(digest);
  }
  return Status::Ok();
}

}  // namespace

bool ParseHexDigest(std::string_view hex, Digest* digest) {
  if (hex.size() != 2 * digest->size()) return false;
  for (size_t i = 0; i < digest->size(); ++i) {
    const int high = HexDigit(hex[2 * i]);
    const int low = HexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*digest)[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

uint64_t ChunkCount(uint64_t size) { return size / kChunkBytes + (size % kChunkBytes > 0 ? 1 : 0); }

std::string EncodeDocument(const Document& document) {
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", document.mode & 07777U);
  std::string out = "{\"path\":";
  capture::AppendJsonText(capture::EncodePath(document.path), &out);
  out += ",\"size\":" + std::to_string(document.size) + ",\"mode\":\"" + mode +
         "\",\"mtime_ns\":\"" + std::to_string(document.mtime_ns) + "\",\"sha256\":\"" +
         ToHex(document.sha256) + "\",\"chunks\":[";
  for (const Digest& chunk : document.chunks) {
    if (&chunk != &document.chunks.front()) out += ',';
    out += '"' + ToHex(chunk) + '"';
  }
  out += ']';
  if (!document.source.empty()) {
    out += ",\"source\":";
    capture::AppendJsonText(document.source, &out);
  }
  return out + "}";
}

Result<Document> DecodeDocument(std::string_view payload) {
  const Json json =
      Json::parse(payload.begin(), payload.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Status(Code::kCorrupt, "document: not a JSON object");
  Document document;
  const std::string* path = Text(json, "path");
  std::optional<std::string> decoded;
  if (path != nullptr) decoded = capture::DecodePath(*path);
  if (!decoded) return Corrupt("path");
  document.path = *std::move(decoded);
  const auto size = json.find("size");
  if (size == json.end() || !size->is_number_unsigned()) return Corrupt("size");
  document.size = size->get<uint64_t>();
  const auto mode = Parse<uint32_t>(Text(json, "mode"), 8);
  if (!mode || *mode > 07777U) return Corrupt("mode");
  document.mode = *mode;
  const auto mtime = Parse<int64_t>(Text(json, "mtime_ns"), 10);
  if (!mtime) return Corrupt("mtime_ns");
  document.mtime_ns = *mtime;
  const std::string* sha256 = Text(json, "sha256");
  if (sha256 == nullptr || !ParseHexDigest(*sha256, &document.sha256)) return Corrupt("sha256");
  if (const std::string* source = Text(json, "source")) document.source = *source;
  RETURN_IF_ERROR(ReadChunks(json, &document));
  return document;
}

std::string ItemOf(const Document& document) {
  return capture::DocumentItem(capture::EncodePath(document.path));
}

}  // namespace kembar::documents
