// import_plan_test.cc — which rows an import appends, and which it finds there.
#include "tools/kembarctl/import_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kembar::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

import::ImportFile File(std::vector<std::pair<std::string, std::string>> rows){
    import::ImportFile file{.path = "f.json", .sha256_hex = std::string(64, 'a')};
for (auto& [item, payload] : rows) {
  file.drafts.push_back(
      {.package = "rup/" + item, .item = "rup", .payload = payload, .row = ++file.rows});
}
return file;
}  // namespace

TEST(PlanImport, AnEmptyLogTakesAll) {
  KnownVersions known;
  const ImportPlan plan = PlanImport(File({{"1", "a"}, {"2", "b"}}), 0, &known);
  EXPECT_THAT(plan.append, ElementsAre(0, 1));
  EXPECT_EQ(plan.unchanged, 0u);
}

TEST(PlanImport, WhatTheLogHoldsIsUnchanged) {
  KnownVersions known{{{"rup/1", "rup"}, {Sha256({"a"})}}};
  const ImportPlan plan = PlanImport(File({{"1", "a"}, {"2", "b"}}), 0, &known);
  EXPECT_THAT(plan.append, ElementsAre(1));
  EXPECT_EQ(plan.unchanged, 1u);
}

TEST(PlanImport, RepeatedRowsOfAnItemAreVersions) {
  KnownVersions known;
  const auto file = File({{"1", "a"}, {"1", "a"}, {"1", "b"}, {"1", "a"}});
  const ImportPlan plan = PlanImport(file, 0, &known);
  EXPECT_THAT(plan.append, ElementsAre(0, 2, 3));
  EXPECT_EQ(plan.unchanged, 1u);
  // The same contents in another file: nothing, although "a" is not what came before "b" alone.
  const ImportPlan again = PlanImport(file, 0, &known);
  EXPECT_THAT(again.append, IsEmpty());
  EXPECT_EQ(again.unchanged, 4u);
}

TEST(PlanImport, AnOlderContentThatReturnsIsAVersionAgain) {
  KnownVersions known{{{"rup/1", "rup"}, {Sha256({"a"}), Sha256({"b"})}}};
  EXPECT_THAT(PlanImport(File({{"1", "a"}}), 0, &known).append, ElementsAre(0));
}

TEST(PlanImport, OnlyWhatIsNewOfAGrowingFile) {
  KnownVersions known{{{"rup/1", "rup"}, {Sha256({"a"}), Sha256({"b"})}}};
  EXPECT_THAT(PlanImport(File({{"1", "a"}, {"1", "b"}, {"1", "c"}}), 0, &known).append,
              ElementsAre(2));
}

TEST(PlanImport, ADeletedItemComesBack) {
  KnownVersions known{{{"rup/1", "rup"}, {Sha256({"a"}), Digest{}}}};
  EXPECT_THAT(PlanImport(File({{"1", "a"}}), 0, &known).append, ElementsAre(0));
}

TEST(PlanImport, AnInterruptedImportGoesOn) {
  KnownVersions known{{{"rup/1", "rup"}, {Sha256({"a"})}}};
  const ImportPlan plan = PlanImport(File({{"1", "a"}, {"1", "b"}, {"2", "c"}}), 1, &known);
  EXPECT_THAT(plan.append, ElementsAre(1, 2));
  EXPECT_EQ(plan.unchanged, 1u);
}

TEST(PlanImport, SourceAndPrefix) {
  const auto file = File({{"352749", "a"}, {"352800", "b"}});
  EXPECT_EQ(ImportSource("rup", file), "import/rup/" + std::string(32, 'a'));
  EXPECT_EQ(CommonPackagePrefix({file}), "rup/352");
  EXPECT_EQ(CommonPackagePrefix({file, File({{"9", "x"}})}), "rup/");
  EXPECT_EQ(CommonPackagePrefix({}), "");
  EXPECT_EQ(VersionsNeeded(File({{"1", "a"}, {"2", "b"}, {"1", "c"}})), 2u);
}

}  // namespace kembar::ctl
}  // namespace kembar::ctl
