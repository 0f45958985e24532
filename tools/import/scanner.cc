// scanner.cc — see scanner.h.
#include "tools/import/scanner.h"

#include <vector>

#include "replicator/base/bytes.h"

namespace kembar::import {
namespace {

enum class Expect { kValue, kValueOrClose, kKey, kKeyOrClose, kColon, kNext };

bool IsLiteralByte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '+' || c == '.' || c == '_';
}

class ValueScanner {
 public:
  ValueScanner(std::string_view bytes, size_t pos) : bytes_(bytes), pos_(pos), token_(pos) {}

  Scan Run() {
    while (!done_ && !failed_) {
      pos_ = SkipSpace(bytes_, pos_);
      if (pos_ == bytes_.size()) {
        Fail("ends inside the row");
        scan_.at_end = true;
      } else {
        Step(bytes_[pos_]);
      }
    }
    scan_.ok = done_;
    scan_.end = pos_;
    return scan_;
  }

 private:
  void Step(char c) {
    switch (expect_) {
      case Expect::kValueOrClose:
        if (c == ']') return Close(c);
        return Value(c);
      case Expect::kValue: return Value(c);
      case Expect::kKeyOrClose:
        if (c == '}') return Close(c);
        [[fallthrough]];
      case Expect::kKey:
        if (c != '"') return Unexpected();
        if (String()) expect_ = Expect::kColon;
        return;
      case Expect::kColon:
        if (c != ':') return Unexpected();
        Take();
        expect_ = Expect::kValue;
        return;
      case Expect::kNext:
        if (c == '}' || c == ']') return Close(c);
        if (c != ',') return Unexpected();
        Take();
        expect_ = open_.back() == '{' ? Expect::kKey : Expect::kValue;
        return;
    }
  }

  void Value(char c) {
    if (c == '{' || c == '[') {
      open_.push_back(c);
      Take();
      expect_ = c == '{' ? Expect::kKeyOrClose : Expect::kValueOrClose;
    } else if (c == '"') {
      if (String()) AfterValue();
    } else if (IsLiteralByte(c)) {
      token_ = pos_;
      while (pos_ < bytes_.size() && IsLiteralByte(bytes_[pos_])) ++pos_;
      AfterValue();
    } else {
      Unexpected();
    }
  }

  void Close(char c) {
    if (open_.back() != (c == '}' ? '{' : '[')) return Unexpected();
    open_.pop_back();
    Take();
    AfterValue();
  }

  void AfterValue() {
    done_ = open_.empty();
    expect_ = Expect::kNext;
  }

  // A raw control byte ends a string: JSON wants it escaped, and most often a quote is missing.
  bool String() {
    token_ = pos_;
    for (size_t i = pos_ + 1; i < bytes_.size(); ++i) {
      auto c = static_cast<unsigned char>(bytes_[i]);
      if (c == '"') {
        pos_ = i + 1;
        return true;
      }
      if (c == '\\' && i + 1 < bytes_.size() && static_cast<unsigned char>(bytes_[i + 1]) >= 0x20) {
        ++i;
      } else if (c < 0x20) {
        pos_ = i;
        Fail(DescribeByte(bytes_, i) + " inside a string");
        return false;
      }
    }
    pos_ = bytes_.size();
    Fail("a string is never closed");
    scan_.at_end = true;
    scan_.in_string = true;
    return false;
  }

  void Take() { token_ = pos_++; }
  void Unexpected() { Fail("unexpected " + DescribeByte(bytes_, pos_)); }
  void Fail(std::string why) {
    failed_ = true;
    scan_.at = pos_;
    scan_.token = token_;
    scan_.why = std::move(why);
  }

  const std::string_view bytes_;
  size_t pos_;
  size_t token_;
  Expect expect_ = Expect::kValue;
  std::vector<char> open_;
  bool done_ = false;
  bool failed_ = false;
  Scan scan_;
};

Status Malformed(const std::string& why, size_t at) {
  return {Code::kInvalid, why + " at byte " + std::to_string(at)};
}

// "truncated at byte N" when nothing is left, since that is what the operator can act on.
Status Misplaced(std::string_view bytes, size_t pos) {
  if (pos == bytes.size()) return Malformed("truncated", pos);
  return Malformed("unexpected " + DescribeByte(bytes, pos), pos);
}

Status WalkMember(std::string_view bytes, size_t* pos, const MemberVisitor& visit) {
  if (*pos == bytes.size() || bytes[*pos] != '"') return Misplaced(bytes, *pos);
  Scan key = ScanValue(bytes, *pos);
  if (!key.ok) return Malformed(key.at_end ? "truncated" : key.why, key.at);
  std::string_view name = bytes.substr(*pos + 1, key.end - *pos - 2);
  *pos = SkipSpace(bytes, key.end);
  if (*pos == bytes.size() || bytes[*pos] != ':') return Misplaced(bytes, *pos);
  *pos = SkipSpace(bytes, *pos + 1);
  RETURN_IF_ERROR(visit(name, pos));
  *pos = SkipSpace(bytes, *pos);
  return Status::Ok();
}

}  // namespace

size_t SkipSpace(std::string_view bytes, size_t pos) {
  while (pos < bytes.size() &&
         (bytes[pos] == ' ' || bytes[pos] == '\n' || bytes[pos] == '\r' || bytes[pos] == '\t')) {
    ++pos;
  }
  return pos;
}

Scan ScanValue(std::string_view bytes, size_t pos) { return ValueScanner(bytes, pos).Run(); }

std::string DescribeByte(std::string_view bytes, size_t pos) {
  if (pos >= bytes.size()) return "the end";
  char c = bytes[pos];
  if (c == '\n') return "a raw line break";
  if (c > 0x20 && c < 0x7f) return std::string("'") + c + "'";
  return "byte 0x" + ToHex(bytes.substr(pos, 1));
}

Status WalkObject(std::string_view bytes, size_t* pos, const MemberVisitor& visit) {
  if (*pos >= bytes.size() || bytes[*pos] != '{') return Misplaced(bytes, *pos);
  *pos = SkipSpace(bytes, *pos + 1);
  if (*pos < bytes.size() && bytes[*pos] == '}') {
    ++*pos;
    return Status::Ok();
  }
  for (;;) {
    RETURN_IF_ERROR(WalkMember(bytes, pos, visit));
    if (*pos == bytes.size() || (bytes[*pos] != ',' && bytes[*pos] != '}')) {
      return Misplaced(bytes, *pos);
    }
    if (bytes[(*pos)++] == '}') return Status::Ok();
    *pos = SkipSpace(bytes, *pos);
  }
}

bool HasMember(std::string_view bytes, size_t pos, std::string_view key) {
  bool found = false;
  Status walked = WalkObject(bytes, &pos, [&](std::string_view name, size_t* value) {
    found = found || name == key;
    Scan scan = ScanValue(bytes, *value);
    if (!scan.ok) return Malformed(scan.why, scan.at);
    *value = scan.end;
    return Status::Ok();
  });
  return walked.ok() && found;
}

}  // namespace kembar::import
