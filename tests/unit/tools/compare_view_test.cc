// compare_view_test.cc — a comparison as the Pokja and programs read it.
#include "tools/kembarctl/compare_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kembar::ctl {
namespace {

using restore::CompareReport;
using restore::PackageFinding;
using restore::RowFinding;
using restore::RowState;
using testing::HasSubstr;

PackageFinding Missing(const std::string& package, const std::string& value,
                       const std::string& category) {
  return {.package = package,
          .title = "Jalan " + package,
          .value = value,
          .category = category,
          .rows = {{RowState::kMissing, {"public", "paket"}, "1", {}}},
          .rows_total = 1};
}

CompareReport Sample() {
  CompareReport report;
  report.boundary = {.source = "postgres/spse", .index = 812, .marker = {.lsn = 0x16B3748}};
  report.identical = 1960;
  report.missing = {Missing("paket/1", "250000000.78", "2"), Missing("paket/2", "90000000.22", "1"),
                    Missing("paket/3", "", "2"), Missing("paket/4", "5", "")};
  PackageFinding differing{.package = "paket/9", .title = "Gedung\x1b[31m", .value = "1000"};
  for (const char* key : {"1", "2", "3"}) {
    differing.rows.push_back({RowState::kDiffers, {"public", "jadwal"}, key, {"dtj_tglakhir"}});
  }
  differing.rows.push_back({RowState::kMissing, {"public", "peserta"}, "77", {}});
  differing.rows_total = 4;
  report.differing = {differing};
  return report;
}

TEST(CompareViewTest, SplitsWhatIsMissingByTheRulesOfTheDay) {
  const CompareReport report = Sample();
  const auto& rules = restore::Thresholds::BuiltIn();
  const MissingValue then = SplitMissing(report, rules, "2019-08-06");
  EXPECT_EQ(then.total, "340000006.00");
  EXPECT_EQ(then.tender_needed.count, 1u);
  EXPECT_EQ(then.tender_needed.value, "250000000.78");
  EXPECT_EQ(then.direct_possible.count, 1u);
  EXPECT_EQ(then.direct_possible.value, "90000000.22");
  EXPECT_EQ(then.unknown.count, 2u);
  EXPECT_EQ(then.unknown.value, "5");
  const MissingValue now = SplitMissing(report, rules, "2026-11-24");
  EXPECT_EQ(now.tender_needed.count, 0u);
  EXPECT_EQ(now.direct_possible.value, "340000001.00");
}

TEST(CompareViewTest, Json) {
  const CompareReport report = Sample();
  const Json json =
      CompareJson(report, SplitMissing(report, restore::Thresholds::BuiltIn(), "2019-08-06"));
  EXPECT_EQ(json["identical"], 1960);
  EXPECT_EQ(json["as_of"], 812);
  EXPECT_EQ(json["boundary_lsn"], "0/16B3748");
  EXPECT_EQ(json["missing"].size(), 4u);
  EXPECT_EQ(json["missing"][0]["value"], "250000000.78");
  EXPECT_EQ(json["missing"][0]["whole"], true);
  EXPECT_EQ(json["differing"][0]["rows"][0]["columns"][0], "dtj_tglakhir");
  EXPECT_EQ(json["differing"][0]["rows"][3]["state"], "missing");
  EXPECT_EQ(json["missing_value"]["tender_needed"]["count"], 1);
  EXPECT_TRUE(json["extra"].empty());
}

TEST(CompareViewTest, TextIsForPeople) {
  const CompareReport report = Sample();
  const std::string text =
      CompareText(report, SplitMissing(report, restore::Thresholds::BuiltIn(), "2019-08-06"));
  EXPECT_THAT(text, HasSubstr("Rp 250.000.000,78"));
  EXPECT_THAT(text, HasSubstr("jadwal 3 rows: dtj_tglakhir; peserta 77 missing"));
  EXPECT_THAT(text, HasSubstr("identical 1.960, differing 1, missing 4, extra 0 packages"));
  EXPECT_THAT(text, HasSubstr("missing value Rp 340.000.006,00"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace kembar::ctl
