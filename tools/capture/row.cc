// row.cc — see row.h. Written by hand: every captured change passes here, some several times.
#include "tools/capture/row.h"

#include <algorithm>
#include <array>

#include "replicator/base/check.h"
#include "tools/capture/json_text.h"

namespace kembar::capture {
namespace {

// A PostgreSQL table has at most 1,600 columns; this bounds what strange bytes can cost.
constexpr size_t kColumnsMax = 4096;
constexpr char kHex[] = "0123456789abcdef";

bool MustEscape(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

// The letter of a short escape, or 0.
char ShortEscape(char c) {
  switch (c) {
    case '"': return '"';
    case '\\': return '\\';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
  }
}

void AppendUtf8(uint32_t point, std::string* out) {
  const auto tail = [out](uint32_t bits) {
    out->push_back(static_cast<char>(0x80 | (bits & 0x3f)));
  };
  if (point < 0x80) {
    out->push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (point >> 6)));
    tail(point);
  } else if (point < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (point >> 12)));
    tail(point >> 6);
    tail(point);
  } else {
    out->push_back(static_cast<char>(0xf0 | (point >> 18)));
    tail(point >> 12);
    tail(point >> 6);
    tail(point);
  }
}

// Reads any JSON object of texts and nulls, whoever wrote it and however it is spaced.
class Parser {
 public:
  explicit Parser(std::string_view in) : in_(in) {}

  Status Read(Row* row) {
    if (!Take('{')) return Odd("not an object");
    if (Take('}')) return End();
    do {
      if (row->columns.size() == kColumnsMax) return Odd("too many columns");
      if (!Text(&row->columns.emplace_back())) return Odd("a column's name was expected");
      if (!Take(':')) return Odd("':' was expected");
      Value& value = row->values.emplace_back();
      if (TakeNull()) continue;
      if (!Text(&value.emplace())) return Odd("a text or null was expected");
    } while (Take(','));
    if (!Take('}')) return Odd("',' or '}' was expected");
    return End();
  }

 private:
  Status Odd(std::string_view what) const {
    return {Code::kCorrupt, "row: " + std::string(what) + " at byte " + std::to_string(at_)};
  }
  Status End() {
    SkipSpace();
    return at_ == in_.size() ? Status::Ok() : Odd("bytes after the end");
  }
  void SkipSpace() {
    while (at_ < in_.size() &&
           (in_[at_] == ' ' || in_[at_] == '\n' || in_[at_] == '\r' || in_[at_] == '\t')) {
      ++at_;
    }
  }
  bool Take(char c) {
    SkipSpace();
    if (at_ == in_.size() || in_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool TakeNull() {
    SkipSpace();
    if (in_.substr(at_, 4) != "null") return false;
    at_ += 4;
    return true;
  }
  bool Text(std::string* out) {
    if (!Take('"')) return false;
    while (true) {
      size_t end = at_;
      while (end < in_.size() && !MustEscape(in_[end])) ++end;
      out->append(in_.substr(at_, end - at_));
      at_ = end;
      if (at_ == in_.size()) return false;
      const char c = in_[at_++];
      if (c == '"') return true;
      if (c != '\\' || !Escape(out)) return false;
    }
  }
  bool Escape(std::string* out) {
    if (at_ == in_.size()) return false;
    const char c = in_[at_++];
    switch (c) {
      case '"':
      case '\\':
      case '/': out->push_back(c); return true;
      case 'b': out->push_back('\b'); return true;
      case 'f': out->push_back('\f'); return true;
      case 'n': out->push_back('\n'); return true;
      case 'r': out->push_back('\r'); return true;
      case 't': out->push_back('\t'); return true;
      case 'u': return Point(out);
      default: return false;
    }
  }
  bool Hex4(uint32_t* unit) {
    if (in_.size() - at_ < 4) return false;
    *unit = 0;
    for (const char c : in_.substr(at_, 4)) {
      uint32_t digit = 0;
      if (c >= '0' && c <= '9') {
        digit = static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<uint32_t>(c - 'a') + 10;
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<uint32_t>(c - 'A') + 10;
      } else {
        return false;
      }
      *unit = *unit * 16 + digit;
    }
    at_ += 4;
    return true;
  }
  // One code point after \u; one above U+FFFF stands as two surrogates.
  bool Point(std::string* out) {
    uint32_t point = 0;
    if (!Hex4(&point)) return false;
    if (point >= 0xd800 && point <= 0xdfff) {
      uint32_t low = 0;
      if (point >= 0xdc00 || in_.substr(at_, 2) != "\\u") return false;
      at_ += 2;
      if (!Hex4(&low) || low < 0xdc00 || low > 0xdfff) return false;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    AppendUtf8(point, out);
    return true;
  }

  const std::string_view in_;
  size_t at_ = 0;
};

template <class Columns, class Values>
std::string Encode(const Columns& columns, const Values& values) {
  CHECK(columns.size() == values.size());
  size_t bytes = 2;
  for (size_t i = 0; i < columns.size(); ++i) {
    bytes += columns[i].size() + (values[i] ? values[i]->size() : 4) + 8;
  }
  std::string out;
  out.reserve(bytes);
  out += '{';
  for (size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) out += ',';
    AppendJsonText(columns[i], &out);
    out += ':';
    if (values[i]) {
      AppendJsonText(*values[i], &out);
    } else {
      out += "null";
    }
  }
  out += '}';
  return out;
}

bool HasTwice(const std::vector<std::string>& columns) {
  std::vector<std::string_view> sorted(columns.begin(), columns.end());
  std::sort(sorted.begin(), sorted.end());
  return std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
}

}  // namespace

void AppendJsonText(std::string_view text, std::string* out) {
  out->push_back('"');
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (!MustEscape(c)) continue;
    out->append(text.substr(from, i - from));
    from = i + 1;
    out->push_back('\\');
    if (const char letter = ShortEscape(c); letter != 0) {
      out->push_back(letter);
    } else {
      out->append("u00");
      out->push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out->push_back(kHex[static_cast<unsigned char>(c) & 0xf]);
    }
  }
  out->append(text.substr(from));
  out->push_back('"');
}

const Value* Row::Find(std::string_view column) const {
  const auto at = std::find(columns.begin(), columns.end(), column);
  return at == columns.end() ? nullptr : &values[static_cast<size_t>(at - columns.begin())];
}

std::string EncodeRow(std::span<const std::string> columns, std::span<const ValueView> values) {
  return Encode(columns, values);
}

std::string EncodeRow(const Row& row) { return Encode(row.columns, row.values); }

Result<Row> DecodeRow(std::string_view payload) {
  Row row;
  RETURN_IF_ERROR(Parser(payload).Read(&row));
  if (HasTwice(row.columns)) return Status(Code::kCorrupt, "row: a column stands twice");
  return row;
}

}  // namespace kembar::capture
