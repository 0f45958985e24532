// row_test.cc — rows as payloads: canonical form, round trips, strange bytes.
#include "tools/capture/row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace kembar::capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

std::string Encode(std::vector<std::string> columns, std::vector<ValueView> values) {
  return EncodeRow(columns, values);
}

TEST(Row, IsCanonical) {
  EXPECT_EQ(Encode({}, {}), "{}");
  EXPECT_EQ(Encode({"pkt_id", "pkt_nama", "x"}, {"7", std::nullopt, ""}),
            R"({"pkt_id":"7","pkt_nama":null,"x":""})");
  // Columns stay in the order given.
  EXPECT_EQ(Encode({"b", "a"}, {"1", "2"}), R"({"b":"1","a":"2"})");
}

TEST(Row, EscapesOnlyWhatMustBe) {
  EXPECT_EQ(Encode({"a"}, {"\b\f\n\r\t\"\\/"}), R"({"a":"\b\f\n\r\t\"\\/"})");
  EXPECT_EQ(Encode({"a"}, {std::string_view("\x00\x01\x1f\x7f", 4)}),
            "{\"a\":\"\\u0000\\u0001\\u001f\x7f\"}");
  EXPECT_EQ(Encode({"a"}, {"Jalan Ké — 道 😀 <>&'"}), "{\"a\":\"Jalan Ké — 道 😀 <>&'\"}");
  EXPECT_EQ(Encode({"kolom \"aneh\""}, {std::nullopt}), R"({"kolom \"aneh\"":null})");
}

TEST(Row, RoundTripsEveryByte) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  const Row row{{"a", all, "", "null"}, {all, std::nullopt, "", "null"}};
  const std::string payload = EncodeRow(row);
  const Result<Row> again = DecodeRow(payload);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(*again, row);
  EXPECT_EQ(EncodeRow(*again), payload);
}

TEST(Row, FindsColumns) {
  const Row row{{"a", "b"}, {"1", std::nullopt}};
  EXPECT_THAT(*row.Find("a"), Optional(std::string("1")));
  ASSERT_NE(row.Find("b"), nullptr);
  EXPECT_EQ(*row.Find("b"), std::nullopt);
  EXPECT_EQ(row.Find("c"), nullptr);
}

TEST(Row, ReadsJsonOfOthers) {
  const Result<Row> row =
      DecodeRow(" {\n\"a\" : \"\\u00e9\\u0041\\ud83d\\uDE00\\/\" ,\t\"b\":null }\r\n");
  ASSERT_TRUE(row.ok()) << row.status().ToString();
  EXPECT_THAT(row->columns, ElementsAre("a", "b"));
  EXPECT_EQ(EncodeRow(*row), "{\"a\":\"éA😀/\",\"b\":null}");
  EXPECT_TRUE(DecodeRow("{ }").ok());
}

TEST(Row, RefusesEverythingElse) {
  for (const char* bad : {"",
                          " ",
                          "null",
                          "[]",
                          "\"a\"",
                          "{",
                          "}",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\":1}",
                          "{\"a\":true}",
                          "{\"a\":{}}",
                          "{\"a\":[]}",
                          "{\"a\":nul}",
                          "{\"a\":nullx}",
                          "{\"a\":\"x}",
                          "{\"a\":\"x\",}",
                          "{,}",
                          "{\"a\":\"x\"}{",
                          "{\"a\":\"x\"}x",
                          "{a:\"x\"}",
                          "{\"a\":\"\n\"}",
                          "{\"a\":\"\\",
                          "{\"a\":\"\\q\"}",
                          "{\"a\":\"\\u12\"}",
                          "{\"a\":\"\\u12g4\"}",
                          "{\"a\":\"\\ud800\"}",
                          "{\"a\":\"\\ud800\\u0041\"}",
                          "{\"a\":\"\\ud800\\ud800\"}",
                          "{\"a\":\"\\udc00\"}",
                          "{\"a\":\"x\",\"a\":\"y\"}",
                          "{\"a\":\"x\" \"b\":\"y\"}",
                          "\xef\xbb\xbf{}"}) {
    const Result<Row> row = DecodeRow(bad);
    EXPECT_EQ(row.status().code(), Code::kCorrupt) << bad;
    EXPECT_THAT(row.status().message(), HasSubstr("row: ")) << bad;
  }
}

TEST(Row, CutAnywhereIsRefused) {
  const std::string whole = Encode({"a", "b\n"}, {"x\"\x01", std::nullopt});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeRow(whole.substr(0, size)).ok()) << size;
  }
}

TEST(Row, StrangeBytesCostLittle) {
  std::string many = "{";
  for (int i = 0; i < 100'000; ++i) many += "\"" + std::to_string(i) + "\":null,";
  many.back() = '}';
  EXPECT_EQ(DecodeRow(many).status().code(), Code::kCorrupt);
  EXPECT_FALSE(DecodeRow(std::string(1'000'000, '{')).ok());
}

TEST(RowDeathTest, ColumnsAndValuesMustMatch) {
  EXPECT_DEATH(EncodeRow(Row{{"a"}, {}}), "columns.size\\(\\) == values.size\\(\\)");
}

}  // namespace
}  // namespace kembar::capture
