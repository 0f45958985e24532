// captured_state_test.cc — what the agent remembers of the log: equal rows, wide rows, pending
// tables.
#include "tools/agent/postgres/captured_state.h"

#include <gtest/gtest.h>

namespace kembar::agent {
namespace {

const TableName kTable{"public", "log"};

TEST(Multiset, CountsEqualRows) {
  Multiset rows;
  const Digest a = Sha256({"a"});
  EXPECT_EQ(rows.Remove(kTable, a), 0u);
  EXPECT_EQ(rows.Add(kTable, a), 1u);
  EXPECT_EQ(rows.Add(kTable, a), 2u);
  EXPECT_EQ(rows.Remove(kTable, a), 2u);
  EXPECT_EQ(rows.Count(kTable, a), 1u);
  rows.AtLeast(kTable, a, 5);
  rows.AtLeast(kTable, a, 3);
  EXPECT_EQ(rows.Count(kTable, a), 5u);
  rows.Clear(kTable);
  EXPECT_EQ(rows.Count(kTable, a), 0u);
}

TEST(WideRows, KeepsTheRecentlyUsedWithinItsBytes) {
  WideRows rows(3 * WideRows::kWideBytes);
  const std::string wide(WideRows::kWideBytes, 'w');
  rows.Put("short", "x");
  EXPECT_EQ(rows.Find("short"), nullptr);
  rows.Put("1", wide);
  rows.Put("2", wide);
  rows.Put("3", wide);
  ASSERT_NE(rows.Find("1"), nullptr);
  rows.Put("4", wide);
  EXPECT_EQ(rows.Find("2"), nullptr);
  EXPECT_NE(rows.Find("1"), nullptr);
  rows.Put("1", "short now");  // what is remembered must not be older than the log
  EXPECT_EQ(rows.Find("1"), nullptr);
}

TEST(KeylessKey, IsToldFromKeysOfAnyOtherForm) {
  const std::string hash = ToHex(Sha256({"a"}));
  const auto parsed = ParseKeylessKey("~" + hash + "/12");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->n, 12u);
  EXPECT_EQ(parsed->digest, Sha256({"a"}));
  for (const std::string& other :
       std::vector<std::string>{"1", "~" + hash, "~" + hash + "/", "~" + hash + "/0",
                                "~" + hash + "/1x", "x" + hash + "/1", "~zz/1", ""}) {
    EXPECT_FALSE(ParseKeylessKey(other)) << other;
  }
}

TEST(Pending, ComesBackAsWritten) {
  const std::set<TableName> tables = {{"public", "a"}, {"e.k", "b\"c"}};
  EXPECT_EQ(DecodePending(EncodePending(tables)), tables);
  EXPECT_EQ(DecodePending(EncodePending({})), std::set<TableName>());
  for (const char* bad : {"", "[]", "{}", "{\"tables\":[1]}", "{\"tables\":[[\"a\"]]}", "{"}) {
    EXPECT_FALSE(DecodePending(bad)) << bad;
  }
}

TEST(Storage, ComesBackAsWritten) {
  const std::map<TableName, std::string> storage = {{{"public", "a"}, "1/2/1,"},
                                                    {{"e.k", "b\"c"}, "3/4/1,2,/ff"}};
  EXPECT_EQ(DecodeStorage(EncodeStorage(storage)), storage);
  for (const char* bad :
       {"", "[]", "{}", "{\"tables\":[1]}", "{\"tables\":[[\"a\",\"b\",1]]}", "{"}) {
    EXPECT_TRUE(DecodeStorage(bad).empty()) << bad;
  }
}

}  // namespace
}  // namespace kembar::agent
