// parents_first_test.cc — the order of tables by their foreign keys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/postgres/catalog.h"

namespace kembar::postgres {
namespace {

using capture::TableName;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "ab bc": a refers to b, b to c.
std::string Order(const std::string& tables, const std::vector<std::string>& keys) {
  std::vector<TableName> names;
  for (const char c : tables) names.push_back({"s", std::string(1, c)});
  std::vector<ForeignKey> foreign;
  for (const std::string& key : keys) {
    foreign.push_back({{"s", key.substr(0, 1)}, {"s", key.substr(1)}, {}, {}});
  }
  std::string order;
  for (const TableName& name : ParentsFirst(names, foreign)) order += name.table;
  return order;
}

TEST(ParentsFirst, FollowsForeignKeys) {
  EXPECT_EQ(Order("", {}), "");
  EXPECT_EQ(Order("cab", {}), "abc");
  EXPECT_EQ(Order("abc", {"ab", "bc"}), "cba");
  EXPECT_EQ(Order("abcd", {"ad", "bd", "cd", "ac"}), "dcab");
  EXPECT_EQ(Order("ab", {"ab", "ab", "aa", "az", "za"}), "ba");  // itself, and tables not asked for
}

TEST(ParentsFirst, KeepsCyclesTogetherByName) {
  EXPECT_EQ(Order("cba", {"ab", "bc", "ca"}), "abc");
  // x -> (a <-> b) -> p; y -> x
  EXPECT_EQ(Order("abpxy", {"ab", "ba", "bp", "xa", "yx"}), "pabxy");
  EXPECT_EQ(Order("zyx", {"zy", "yz", "xz"}), "yzx");
}

}  // namespace
}  // namespace kembar::postgres
