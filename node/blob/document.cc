// document.cc — see document.h.
#include "node/blob/document.h"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "node/blob/blob_store.h"

namespace kembar {
namespace {

// A path so long that `reference/PATH` would be longer than a name may be (record.h).
constexpr size_t kPathInNameMax = 1024 - (sizeof(kReferencePrefix) - 1);
constexpr size_t kPathBytesMax = size_t{64} << 10;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool ReadHex(std::string_view text, Digest* out) {
  if (text.size() != 2 * out->size()) return false;
  for (size_t i = 0; i < out->size(); ++i) {
    const int high = HexValue(text[2 * i]);
    const int low = HexValue(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*out)[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

template <class Number>
bool ReadNumber(std::string_view text, int base, Number* out) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *out, base);
  return error == std::errc() && stop == end && !text.empty();
}

// Takes the events of nlohmann's parser, which itself needs one bit for each open bracket.
class Reader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  const std::string& error() const { return error_; }
  Document document;
  enum Field : unsigned { kPath = 1, kSize = 2, kMode = 4, kMtime = 8, kSha = 16, kChunks = 32 };
  unsigned seen = 0;

  bool null() override { return Other(); }
  bool boolean(bool /*value*/) override { return Other(); }
  bool number_float(double /*value*/, const std::string& /*text*/) override { return Other(); }
  bool binary(binary_t& /*value*/) override { return Fail("not JSON text"); }
  bool number_integer(int64_t /*value*/) override { return Other(); }
  bool number_unsigned(uint64_t value) override {
    if (depth_ != 1 || key_ != "size") return Other();
    document.size = value;
    return Seen(kSize);
  }
  bool string(std::string& value) override {
    if (depth_ == 2 && in_chunks_) {
      Digest& chunk = document.chunks.emplace_back();
      return ReadHex(value, &chunk) || Fail("chunks: not a SHA-256 in hexadecimal");
    }
    if (depth_ != 1) return Other();
    if (key_ == "path") return Path(value) && Seen(kPath);
    if (key_ == "mode") return Mode(value) && Seen(kMode);
    if (key_ == "mtime_ns") {
      return (ReadNumber(value, 10, &document.mtime_ns) || Fail("mtime_ns: not a number")) &&
             Seen(kMtime);
    }
    if (key_ == "sha256") {
      return (ReadHex(value, &document.sha256) || Fail("sha256: not one")) && Seen(kSha);
    }
    return Other();
  }
  bool start_object(size_t /*size*/) override {
    if (depth_ == 1 && Known(key_)) return Fail(key_ + ": not an object");
    if (depth_ == 2 && in_chunks_) return Fail("chunks: hold strings only");
    ++depth_;
    return true;
  }
  bool key(std::string& name) override {
    if (depth_ == 1) key_ = name.size() <= kKeyMax ? name : std::string();
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t /*size*/) override {
    if (depth_ == 0) return Fail("not a JSON object");
    if (depth_ == 1 && key_ == "chunks") {
      in_chunks_ = true;
      if (!Seen(kChunks)) return false;
    } else if (depth_ == 1 && Known(key_)) {
      return Fail(key_ + ": not an array");
    } else if (depth_ == 2 && in_chunks_) {
      return Fail("chunks: hold strings only");
    }
    ++depth_;
    return true;
  }
  bool end_array() override {
    if (depth_ == 2) in_chunks_ = false;
    return Close();
  }
  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*why*/) override {
    return Fail("not JSON at byte " + std::to_string(position));
  }

 private:
  static constexpr size_t kKeyMax = 16;

  static bool Known(std::string_view key) {
    constexpr std::array<std::string_view, 6> kKnown = {"path",     "size",   "mode",
                                                        "mtime_ns", "sha256", "chunks"};
    for (const std::string_view known : kKnown) {
      if (key == known) return true;
    }
    return false;
  }
  bool Path(const std::string& path) {
    if (path.empty() || path.size() > kPathBytesMax || path.front() == '/') {
      return Fail("path: empty, too long or not relative");
    }
    document.path = path;
    return true;
  }
  bool Mode(const std::string& text) {
    constexpr uint32_t kModeMax = 07777;
    return (ReadNumber(text, 8, &document.mode) && document.mode <= kModeMax) ||
           Fail("mode: not an octal number up to 7777");
  }
  bool Seen(Field field) {
    if ((seen & field) != 0) return Fail(key_ + ": given twice");
    seen |= field;
    return true;
  }
  // A value of a kind that none of our fields has here.
  bool Other() {
    if (depth_ == 0) return Fail("not a JSON object");
    if (depth_ == 1 && Known(key_)) return Fail(key_ + ": of the wrong kind");
    if (depth_ == 2 && in_chunks_) return Fail("chunks: hold strings only");
    return true;
  }
  bool Close() {
    --depth_;
    return true;
  }
  bool Fail(std::string error) {
    if (error_.empty()) error_ = std::move(error);
    return false;
  }

  size_t depth_ = 0;
  std::string key_;  // at depth 1
  bool in_chunks_ = false;
  std::string error_;
};

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

}  // namespace

Result<Document> DecodeDocument(std::string_view payload) {
  if (payload.size() > kDocumentPayloadMax) {
    return Status(Code::kInvalid, "document: payload longer than " +
                                      std::to_string(kDocumentPayloadMax) + " bytes");
  }
  Reader reader;
  const bool parsed = nlohmann::json::sax_parse(payload, &reader);
  constexpr unsigned kAll = Reader::kPath | Reader::kSize | Reader::kMode | Reader::kMtime |
                            Reader::kSha | Reader::kChunks;
  std::string error = reader.error();
  if (error.empty() && !parsed) error = "not JSON";
  if (error.empty() && reader.seen != kAll) {
    error = "path, size, mode, mtime_ns, sha256 and chunks must all be there";
  }
  const uint64_t size = reader.document.size;
  const uint64_t needed = size / kChunkBytesMax + (size % kChunkBytesMax != 0 ? 1 : 0);
  if (error.empty() && reader.document.chunks.size() != needed) {
    error = std::to_string(reader.document.chunks.size()) + " chunks for " + std::to_string(size) +
            " bytes";
  }
  if (!error.empty()) return Status(Code::kInvalid, "document: " + error);
  return std::move(reader.document);
}

bool IsDocument(std::string_view item) { return StartsWith(item, kDocumentPrefix); }
bool IsReference(std::string_view item) { return StartsWith(item, kReferencePrefix); }

std::string DocumentKey(std::string_view item) {
  std::string_view path;
  if (IsDocument(item)) {
    path = item.substr(sizeof(kDocumentPrefix) - 1);
  } else if (IsReference(item)) {
    path = item.substr(sizeof(kReferencePrefix) - 1);
  }
  if (path.size() <= kPathInNameMax) return std::string(path);
  return "~" + ToHex(Sha256({path}));
}

}  // namespace kembar
