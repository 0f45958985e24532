// bytes.cc — see bytes.h.
#include "replicator/base/bytes.h"

#include "replicator/base/check.h"

namespace kembar {
namespace {

template <class T>
void PutLittleEndian(std::string* out, T v) {
  char buffer[sizeof(T)];
  for (size_t i = 0; i < sizeof(T); ++i) buffer[i] = static_cast<char>((v >> (8 * i)) & 0xff);
  out->append(buffer, sizeof(T));
}

template <class T>
T GetLittleEndian(std::string_view in) {
  T v = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    v = static_cast<T>(v | (static_cast<T>(static_cast<unsigned char>(in[i])) << (8 * i)));
  }
  return v;
}

template <class T>
void PutBigEndian(std::string* out, T v) {
  char buffer[sizeof(T)];
  for (size_t i = 0; i < sizeof(T); ++i) {
    buffer[i] = static_cast<char>((v >> (8 * (sizeof(T) - 1 - i))) & 0xff);
  }
  out->append(buffer, sizeof(T));
}

}  // namespace

void ByteWriter::U32(uint32_t v) { PutLittleEndian(out_, v); }
void ByteWriter::U64(uint64_t v) { PutLittleEndian(out_, v); }

void ByteWriter::Varint(uint64_t v) {
  while (v >= 0x80) {
    U8(static_cast<uint8_t>(v | 0x80));
    v >>= 7;
  }
  U8(static_cast<uint8_t>(v));
}

uint8_t ByteReader::U8() {
  std::string_view raw = Raw(1);
  return raw.empty() ? uint8_t{0} : static_cast<uint8_t>(raw[0]);
}

uint32_t ByteReader::U32() {
  std::string_view raw = Raw(4);
  return raw.empty() ? 0 : GetLittleEndian<uint32_t>(raw);
}

uint64_t ByteReader::U64() {
  std::string_view raw = Raw(8);
  return raw.empty() ? 0 : GetLittleEndian<uint64_t>(raw);
}

uint64_t ByteReader::Varint() {
  uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte = U8();
    if (!ok_) return 0;
    uint64_t bits = byte & 0x7f;
    if (shift == 63 && bits > 1) break;  // would not fit into 64 bits
    v |= bits << shift;
    if ((byte & 0x80) == 0) {
      // One encoding per number: a trailing zero group would be a second one.
      if (byte == 0 && shift != 0) break;
      return v;
    }
  }
  Fail();
  return 0;
}

std::string_view ByteReader::Raw(uint64_t size) {
  if (!ok_ || size > in_.size()) {
    Fail();
    return {};
  }
  std::string_view out = in_.substr(0, size);
  in_.remove_prefix(size);
  return out;
}

void AppendBigEndian32(std::string* out, uint32_t v) { PutBigEndian(out, v); }
void AppendBigEndian64(std::string* out, uint64_t v) { PutBigEndian(out, v); }

uint64_t ReadBigEndian64(std::string_view in) {
  CHECK(in.size() >= 8);
  uint64_t v = 0;
  for (size_t i = 0; i < 8; ++i) v = (v << 8) | static_cast<unsigned char>(in[i]);
  return v;
}

std::string ToHex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

}  // namespace kembar
