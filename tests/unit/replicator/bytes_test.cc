// bytes_test.cc — encodings are exactly the published bytes, and no input makes a reader overrun.
#include "replicator/base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

#include "replicator/base/digest.h"

namespace kembar {
namespace {

TEST(ByteWriter, WritesLittleEndian) {
  std::string out;
  ByteWriter writer(&out);
  writer.U8(0xab);
  writer.U32(0x01020304);
  writer.U64(0x1112131415161718);
  writer.I64(-2);
  writer.Str("hi");
  EXPECT_EQ(ToHex(out),
            "ab"
            "04030201"
            "1817161514131211"
            "feffffffffffffff"
            "026869");
}

TEST(ByteWriter, WritesVarintsAsProtocolBuffersDo) {
  struct Case {
    uint64_t value;
    const char* hex;
  };
  for (const Case& c : {Case{0, "00"}, Case{127, "7f"}, Case{128, "8001"}, Case{300, "ac02"},
                        Case{16383, "ff7f"}, Case{16384, "808001"},
                        Case{std::numeric_limits<uint64_t>::max(), "ffffffffffffffffff01"}}) {
    std::string out;
    ByteWriter(&out).Varint(c.value);
    EXPECT_EQ(ToHex(out), c.hex);
    ByteReader reader(out);
    EXPECT_EQ(reader.Varint(), c.value);
    EXPECT_TRUE(reader.AtEnd());
  }
}

TEST(ByteReader, ReadsBackWhatWasWritten) {
  std::string out;
  ByteWriter writer(&out);
  writer.U8(7);
  writer.U32(0xfffefdfc);
  writer.U64(uint64_t{1} << 63);
  writer.I64(std::numeric_limits<int64_t>::min());
  writer.Str(std::string("a\0b", 3));
  writer.Raw("tail");
  ByteReader reader(out);
  EXPECT_EQ(reader.U8(), 7);
  EXPECT_EQ(reader.U32(), 0xfffefdfc);
  EXPECT_EQ(reader.U64(), uint64_t{1} << 63);
  EXPECT_EQ(reader.I64(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(reader.Str(), std::string_view("a\0b", 3));
  EXPECT_EQ(reader.rest(), "tail");
  EXPECT_FALSE(reader.AtEnd());
  EXPECT_EQ(reader.Raw(4), "tail");
  EXPECT_TRUE(reader.AtEnd());
}

TEST(ByteReader, StaysFailedAfterTheFirstFailure) {
  ByteReader reader("abc");
  EXPECT_EQ(reader.U32(), 0U);
  EXPECT_FALSE(reader.ok());
  // The three bytes that were there are not handed out any more.
  EXPECT_EQ(reader.U8(), 0);
  EXPECT_EQ(reader.Raw(1), "");
  EXPECT_FALSE(reader.AtEnd());
}

TEST(ByteReader, RefusesLengthsBeyondTheInput) {
  std::string huge;
  ByteWriter(&huge).Varint(std::numeric_limits<uint64_t>::max());
  ByteReader reader(huge);
  EXPECT_EQ(reader.Str(), "");
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReader, RefusesVarintsThatAreNotTheOneEncoding) {
  using std::string_view_literals::operator""sv;
  for (std::string_view bytes : {
           "\x80"sv,                                      // cut short
           "\x80\x00"sv,                                  // zero in two bytes
           "\xff\x80\x00"sv,                              // a trailing zero group
           "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"sv,  // 65 bits
           "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"sv,
       }) {
    ByteReader reader(bytes);
    EXPECT_EQ(reader.Varint(), 0U);
    EXPECT_FALSE(reader.ok()) << ToHex(bytes);
  }
}

TEST(BigEndian, KeyOrderIsNumberOrder) {
  const uint64_t numbers[] = {0,
                              1,
                              255,
                              256,
                              65535,
                              uint64_t{1} << 32,
                              uint64_t{1} << 63,
                              std::numeric_limits<uint64_t>::max()};
  std::string before;
  for (uint64_t number : numbers) {
    std::string key;
    AppendBigEndian64(&key, number);
    ASSERT_EQ(key.size(), 8U);
    EXPECT_LT(before, key);
    EXPECT_EQ(ReadBigEndian64(key + "more"), number);
    before = key;
  }
  std::string key;
  AppendBigEndian32(&key, 0x01020304);
  EXPECT_EQ(ToHex(key), "01020304");
}

TEST(Sha256, GivesThePublishedDigests) {
  // FIPS 180-4 examples.
  EXPECT_EQ(ToHex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Digest abc = Sha256({"abc"});
  EXPECT_EQ(ToHex(abc), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256({"a", "", "bc"}), abc);
  EXPECT_EQ(DigestFromBytes(AsBytes(abc)), abc);
}

}  // namespace
}  // namespace kembar
