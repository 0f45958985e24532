// bytes.h — encoding of integers and strings into byte strings, and bounded decoding.
//
// Integers are little-endian in frames (ByteWriter/ByteReader) and big-endian in keys
// (AppendBigEndian), so that key order is number order. A reader never reads past its input: after
// the first failure ok() is false and every later read gives zero or empty.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kembar {

class ByteWriter {
 public:
  explicit ByteWriter(std::string* out) : out_(out) {}
  void U8(uint8_t v) { out_->push_back(static_cast<char>(v)); }
  void U32(uint32_t v);
  void U64(uint64_t v);
  void I64(int64_t v) { U64(static_cast<uint64_t>(v)); }
  void Varint(uint64_t v);  // LEB128, as in Protocol Buffers
  void Raw(std::string_view bytes) { out_->append(bytes); }
  void Str(std::string_view bytes) {  // varint length, then the bytes
    Varint(bytes.size());
    Raw(bytes);
  }

 private:
  std::string* out_;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}
  uint8_t U8();
  uint32_t U32();
  uint64_t U64();
  int64_t I64() { return static_cast<int64_t>(U64()); }
  uint64_t Varint();
  std::string_view Raw(uint64_t size);
  std::string_view Str() { return Raw(Varint()); }

  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && in_.empty(); }
  std::string_view rest() const { return in_; }
  void Fail() {
    ok_ = false;
    in_ = {};
  }

 private:
  std::string_view in_;
  bool ok_ = true;
};

void AppendBigEndian32(std::string* out, uint32_t v);
void AppendBigEndian64(std::string* out, uint64_t v);
// Reads the first eight bytes; the caller has checked that they are there.
uint64_t ReadBigEndian64(std::string_view in);

// Lower-case hexadecimal.
std::string ToHex(std::string_view bytes);

}  // namespace kembar
