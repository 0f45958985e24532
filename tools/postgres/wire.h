// wire.h — integers and texts as PostgreSQL's protocol writes them: big-endian, texts end with a
// zero byte.
//
// A reader never reads past its input: after the first failure ok() is false and every later read
// gives zero or empty.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kembar::postgres {

class WireReader {
 public:
  explicit WireReader(std::string_view in) : in_(in) {}

  uint8_t U8() { return static_cast<uint8_t>(Number(1)); }
  uint16_t U16() { return static_cast<uint16_t>(Number(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Number(4)); }
  uint64_t U64() { return Number(8); }
  std::string Raw(uint64_t size) {
    if (size > in_.size()) {
      Fail();
      return {};
    }
    std::string out(in_.substr(0, size));
    in_.remove_prefix(size);
    return out;
  }
  std::string Text() {
    const size_t end = in_.find('\0');
    if (end == std::string_view::npos) {
      Fail();
      return {};
    }
    std::string out = Raw(end);
    in_.remove_prefix(1);
    return out;
  }

  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && in_.empty(); }
  std::string_view rest() const { return in_; }
  void Fail() {
    ok_ = false;
    in_ = {};
  }

 private:
  uint64_t Number(size_t bytes) {
    if (in_.size() < bytes) {
      Fail();
      return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint8_t>(in_[i]);
    in_.remove_prefix(bytes);
    return value;
  }

  std::string_view in_;
  bool ok_ = true;
};

inline void AppendWire64(std::string* out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

}  // namespace kembar::postgres
