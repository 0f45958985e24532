// compare_rows_test.cc — what a comparison says of packages.
#include "tools/restore/compare_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kembar::restore {
namespace {

const Digest kOne = Sha256({"1"});
const Digest kTwo = Sha256({"2"});

std::vector<std::string> Names(const std::vector<PackageFinding>& findings) {
  std::vector<std::string> names;
  for (const PackageFinding& finding : findings) names.push_back(finding.package);
  return names;
}

CompareReport Verdict(RowLedger* ledger) {
  CompareReport report;
  std::map<capture::TableName, TableFinding> tables;
  ledger->Finish(&tables, &report);
  return report;
}

TEST(RowLedgerTest, FourVerdicts) {
  RowLedger ledger({});
  ledger.AddLogged("paket/1", "row/public.paket/1", kOne);
  ledger.AddLogged("paket/2", "row/public.paket/2", kOne);
  ledger.AddLogged("paket/3", "row/public.paket/3", kOne);
  ledger.AddLogged("paket/3", "row/public.jadwal/31", kOne);
  ledger.AddLogged("paket/4", "row/public.paket/4", kOne);
  ledger.AddLogged("-", "row/public.kategori/1", kOne);
  EXPECT_EQ(ledger.See("row/public.paket/1", kOne).seen, RowLedger::Seen::kIdentical);
  EXPECT_EQ(ledger.See("row/public.paket/3", kOne).seen, RowLedger::Seen::kIdentical);
  const RowLedger::Sighting differs = ledger.See("row/public.paket/4", kTwo);
  EXPECT_EQ(differs.seen, RowLedger::Seen::kDiffers);
  EXPECT_EQ(differs.package, "paket/4");
  ledger.AddDiffering("paket/4", {RowState::kDiffers, {"public", "paket"}, "4", {"nama"}});
  EXPECT_EQ(ledger.See("row/public.paket/9", kOne).seen, RowLedger::Seen::kExtra);
  ledger.AddExtra("paket/9", {RowState::kExtra, {"public", "paket"}, "9", {}});
  const CompareReport report = Verdict(&ledger);
  EXPECT_EQ(report.identical, 1u);
  EXPECT_THAT(Names(report.missing), testing::ElementsAre("paket/2"));
  // Reference rows are listed, and are no package that is missing.
  EXPECT_THAT(Names(report.differing), testing::ElementsAre("-", "paket/3", "paket/4"));
  EXPECT_THAT(Names(report.extra), testing::ElementsAre("paket/9"));
  ASSERT_EQ(report.differing[1].rows.size(), 1u);
  EXPECT_EQ(report.differing[1].rows[0].state, RowState::kMissing);
  EXPECT_EQ(report.differing[1].rows[0].key, "31");
  EXPECT_FALSE(report.Identical());
}

TEST(RowLedgerTest, OnlyTheWanted) {
  RowLedger ledger({"paket/2"});
  ledger.AddLogged("paket/1", "row/public.paket/1", kOne);
  ledger.AddLogged("paket/2", "row/public.paket/2", kOne);
  ledger.See("row/public.paket/2", kOne);
  const CompareReport report = Verdict(&ledger);
  EXPECT_EQ(report.identical, 1u);
  EXPECT_TRUE(report.Identical());
  EXPECT_TRUE(ledger.Knows("paket/1"));
  EXPECT_FALSE(ledger.Knows("paket/8"));
}

TEST(RowLedgerTest, ListsAreCutAndCounted) {
  RowLedger ledger({});
  for (size_t i = 0; i < kRowsListed + 5; ++i) {
    ledger.AddLogged("-", "row/public.t/" + std::to_string(i), kOne);
  }
  const CompareReport report = Verdict(&ledger);
  ASSERT_EQ(report.differing.size(), 1u);
  EXPECT_EQ(report.differing[0].rows.size(), kRowsListed);
  EXPECT_EQ(report.differing[0].rows_total, kRowsListed + 5);
}

TEST(ExtraPlacerTest, FindsThePackageThroughParents) {
  const Result<capture::Mapping> mapping = capture::Mapping::Parse(R"(
[[package]]
table = "public.paket"
prefix = "paket/"
[[member]]
table = "public.lelang"
column = "pkt_id"
parent = "public.paket"
[[member]]
table = "public.jadwal"
column = "lls_id"
parent = "public.lelang"
)",
                                                                   "test");
  ASSERT_TRUE(mapping.ok());
  Captured captured;
  for (const auto& [name, key] : {std::pair("paket", "pkt_id"), std::pair("lelang", "lls_id"),
                                  std::pair("jadwal", "dtj_id"), std::pair("lain", "id")}) {
    const capture::TableName table{"public", name};
    captured.tables[table] = {.name = table, .root = table, .columns = {}, .key = {key}};
  }
  const auto shape = [&](const char* name) { return captured.tables.at({"public", name}); };
  RowLedger ledger({});
  ledger.AddLogged("paket/7", "row/public.lelang/70", kOne);
  ExtraPlacer placer(&*mapping, &ledger);
  // A child of a row that the log has.
  EXPECT_EQ(placer.Place(shape("jadwal"), "row/public.jadwal/1", {{"lls_id"}, {"70"}}, captured),
            "paket/7");
  // A whole package that it does not have.
  EXPECT_EQ(placer.Place(shape("paket"), "row/public.paket/8", {{"pkt_id"}, {"8"}}, captured),
            "paket/8");
  EXPECT_EQ(placer.Place(shape("lelang"), "row/public.lelang/80",
                         {{"lls_id", "pkt_id"}, {"80", "8"}}, captured),
            "paket/8");
  EXPECT_EQ(placer.Place(shape("jadwal"), "row/public.jadwal/2", {{"lls_id"}, {"80"}}, captured),
            "paket/8");
  // An orphan, and a table that is not mapped.
  EXPECT_EQ(placer.Place(shape("jadwal"), "row/public.jadwal/3", {{"lls_id"}, {"99"}}, captured),
            "-");
  EXPECT_EQ(placer.Place(shape("lain"), "row/public.lain/1", {{"id"}, {"1"}}, captured), "-");
}

}  // namespace
}  // namespace kembar::restore
