// decimal_test.cc — exact sums and comparisons of amounts.
#include "tools/restore/decimal.h"

#include <gtest/gtest.h>

namespace kembar::restore {
namespace {

TEST(DecimalTest, KnowsItsForm) {
  for (const char* good : {"0", "007", "-1", "+1", "999995334.78", "-0.10"}) {
    EXPECT_TRUE(IsDecimal(good)) << good;
  }
  for (const char* bad : {"", "-", ".5", "5.", "1e3", "1,5", "NaN", "1.2.3", " 1"}) {
    EXPECT_FALSE(IsDecimal(bad)) << bad;
  }
}

TEST(DecimalTest, AddsExactly) {
  EXPECT_EQ(AddDecimals("0.1", "0.2"), "0.3");
  EXPECT_EQ(AddDecimals("999995334.78", "0.22"), "999995335.00");
  EXPECT_EQ(AddDecimals("0", "0"), "0");
  EXPECT_EQ(AddDecimals("0.05", "0.05"), "0.10");
  EXPECT_EQ(AddDecimals("99999999999999999999999", "1"), "100000000000000000000000");
  EXPECT_EQ(AddDecimals("1", "-1.5"), "-0.5");
  EXPECT_EQ(AddDecimals("-1.5", "1"), "-0.5");
  EXPECT_EQ(AddDecimals("-1", "1"), "0");
  EXPECT_EQ(AddDecimals("-1", "-2"), "-3");
  EXPECT_EQ(AddDecimals("007", "3"), "10");
}

TEST(DecimalTest, Compares) {
  EXPECT_EQ(CompareDecimals("200000000", "200000000.00"), 0);
  EXPECT_GT(CompareDecimals("200000000.01", "200000000"), 0);
  EXPECT_LT(CompareDecimals("9", "10"), 0);
  EXPECT_LT(CompareDecimals("-10", "-9"), 0);
  EXPECT_LT(CompareDecimals("-1", "1"), 0);
  EXPECT_EQ(CompareDecimals("-0", "0.0"), 0);
}

}  // namespace
}  // namespace kembar::restore
