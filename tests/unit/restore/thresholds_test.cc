// thresholds_test.cc — which packages need a tender, by date and category.
#include "tools/restore/thresholds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kembar::restore {
namespace {

using testing::HasSubstr;

TEST(ThresholdsTest, BuiltInRules) {
  const Thresholds& rules = Thresholds::BuiltIn();
  // Works (kgr_id 2): Rp 200 million, from 30 April 2025 Rp 400 million.
  EXPECT_EQ(rules.Judge("200000000", "2", "2019-08-06"), Procurement::kDirectPossible);
  EXPECT_EQ(rules.Judge("200000000.01", "2", "2019-08-06"), Procurement::kTenderNeeded);
  EXPECT_EQ(rules.Judge("400000000.00", "2", "2025-04-29"), Procurement::kTenderNeeded);
  EXPECT_EQ(rules.Judge("400000000.00", "2", "2025-04-30"), Procurement::kDirectPossible);
  EXPECT_EQ(rules.Judge("400000001", "Pekerjaan KONSTRUKSI", "2026-11-24"),
            Procurement::kTenderNeeded);
  // Goods stay; consultancy is lower.
  EXPECT_EQ(rules.Judge("300000000", "0", "2026-11-24"), Procurement::kTenderNeeded);
  EXPECT_EQ(rules.Judge("150000000", "1", "2026-11-24"), Procurement::kTenderNeeded);
  EXPECT_EQ(rules.Judge("100000000", "4", "2026-11-24"), Procurement::kDirectPossible);
}

TEST(ThresholdsTest, UnknownStaysUnknown) {
  const Thresholds& rules = Thresholds::BuiltIn();
  EXPECT_EQ(rules.Judge("", "2", "2026-11-24"), Procurement::kUnknown);
  EXPECT_EQ(rules.Judge("1e9", "2", "2026-11-24"), Procurement::kUnknown);
  EXPECT_EQ(rules.Judge("1", "", "2026-11-24"), Procurement::kUnknown);
  EXPECT_EQ(rules.Judge("1", "99", "2026-11-24"), Procurement::kUnknown);
  EXPECT_EQ(rules.Judge("1", "2", "2010-01-01"), Procurement::kUnknown);
}

TEST(ThresholdsTest, MistakesAreNamed) {
  const auto message = [](const std::string& toml) {
    return Thresholds::Parse(toml, "f.toml").status().message();
  };
  EXPECT_THAT(message("x ="), HasSubstr("f.toml:1: not TOML"));
  EXPECT_THAT(message("a = 1"), HasSubstr("f.toml:1: unknown key a"));
  EXPECT_THAT(message("[category]\n"), HasSubstr("[[threshold]] is missing"));
  EXPECT_THAT(message("[[threshold]]\nkind = \"k\"\nfrom = 2020-01-01\nlimit = 5\n[category]\n"),
              HasSubstr("f.toml:4: limit is no text"));
  EXPECT_THAT(message("[[threshold]]\nkind = \"k\"\nfrom = \"2020-02-30\"\nlimit = \"5\"\n"),
              HasSubstr("from is no date"));
  EXPECT_THAT(message("[[threshold]]\nkind = \"k\"\nfrom = 2020-01-01\nlimit = \"5\"\n"
                      "[category]\na = \"other\"\n"),
              HasSubstr("category a: no such kind"));
}

TEST(ThresholdsTest, Dates) {
  EXPECT_TRUE(IsDate("2024-02-29"));
  for (const char* bad : {"2023-02-29", "2024-13-01", "24-01-01", "2024/01/01", "", "2024-1-011"}) {
    EXPECT_FALSE(IsDate(bad)) << bad;
  }
}

}  // namespace
}  // namespace kembar::restore
