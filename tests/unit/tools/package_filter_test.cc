// package_filter_test.cc — which packages `package list` shows.
#include "tools/kembarctl/package_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/kembarctl/package_sites.h"

namespace kembar::ctl {
namespace {

using testing::HasSubstr;

v1::Package Package(v1::PackageState state, const std::string& value) {
  v1::Package package;
  package.set_package("paket/1");
  package.set_state(state);
  package.set_value(value);
  return package;
}

TEST(PackageFilter, WithoutConditionsTakesAll) {
  EXPECT_TRUE(CheckFilter({}).ok());
  EXPECT_TRUE(Matches({}, Package(v1::PACKAGE_STATE_COMPLETE, "")));
  EXPECT_TRUE(Matches({}, Package(v1::PACKAGE_STATE_UNSPECIFIED, "5")));
}

TEST(PackageFilter, TakesAnyOfTheStatesGiven) {
  const PackageFilter filter{.states = {"incomplete", "at-risk"}};
  ASSERT_TRUE(CheckFilter(filter).ok());
  EXPECT_TRUE(Matches(filter, Package(v1::PACKAGE_STATE_INCOMPLETE, "")));
  EXPECT_TRUE(Matches(filter, Package(v1::PACKAGE_STATE_AT_RISK, "")));
  EXPECT_FALSE(Matches(filter, Package(v1::PACKAGE_STATE_COMPLETE, "")));
}

TEST(PackageFilter, ComparesAmountsExactly) {
  const PackageFilter filter{.min_value = "50000000000.01"};
  ASSERT_TRUE(CheckFilter(filter).ok());
  const auto matches = [&](const std::string& value) {
    return Matches(filter, Package(v1::PACKAGE_STATE_COMPLETE, value));
  };
  EXPECT_TRUE(matches("50000000000.01"));
  EXPECT_TRUE(matches("123456789012345678901234567890"));
  EXPECT_FALSE(matches("50000000000.00"));
  EXPECT_FALSE(matches("9"));
  EXPECT_FALSE(matches(""));  // not known
}

TEST(PackageFilter, FindsTheWorkUnitByPartOfItsNameInAnyCase) {
  v1::Package package = Package(v1::PACKAGE_STATE_COMPLETE, "5");
  EXPECT_FALSE(Matches({.unit = "pupr"}, package));  // not known
  package.set_unit("Dinas PUPR Kabupaten Tebo");
  EXPECT_TRUE(Matches({.unit = "pupr"}, package));
  EXPECT_TRUE(Matches({.unit = ""}, package));
  EXPECT_FALSE(Matches({.unit = "kesehatan"}, package));
  EXPECT_FALSE(Matches({.min_value = "6", .unit = "pupr"}, package));
}

TEST(PackageFilter, RefusesWhatIsNoStateOrAmount) {
  const Status state = CheckFilter({.states = {"whole"}});
  EXPECT_EQ(state.code(), Code::kInvalid);
  EXPECT_THAT(state.ToString(), HasSubstr("incomplete"));
  for (const char* amount : {"50.000.000.000", "Rp50", "5e10"}) {
    EXPECT_EQ(CheckFilter({.min_value = amount}).code(), Code::kInvalid) << amount;
  }
}

TEST(PackageSites, TellWhatIsMissingWhereAndWhatCouldNotBeAsked) {
  const std::vector<PackageSite> sites = {
      {.node = "tebo",
       .package = Package(v1::PACKAGE_STATE_COMPLETE, "5"),
       .missing = {},
       .error = {}},
      {.node = "jambi",
       .package = Package(v1::PACKAGE_STATE_INCOMPLETE, "5"),
       .missing = {"document/a.pdf"},
       .error = {}},
      {.node = "hub", .package = {}, .missing = {}, .error = "does not answer"}};
  const Json json = SitesJson(sites);
  EXPECT_EQ(json[0]["state"], "complete");
  EXPECT_EQ(json[1]["missing"], Json::array({"document/a.pdf"}));
  EXPECT_EQ(json[2]["state"], "unknown");
  EXPECT_EQ(json[2]["error"], "does not answer");
  const std::string text = SitesText(sites);
  EXPECT_THAT(text, HasSubstr("missing at jambi: document/a.pdf\n"));
  EXPECT_THAT(text, HasSubstr("does not answer"));
}

}  // namespace
}  // namespace kembar::ctl
