// package_rows_test.cc — the rows of a package out of a log, with their history.
#include "tools/restore/package_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/restore/fake_log.h"
#include "tools/restore/sink.h"
#include "tools/restore/sink_apply.h"

namespace kembar::restore {
namespace {

using testing::ElementsAre;

class PackageRowsTest : public testing::Test {
 protected:
  PackageRowsTest() {
    const capture::TableName t{"public", "t"};
    captured_.tables[t] = {.name = t, .root = t, .columns = {}, .key = {"id"}};
  }
  Boundary Now() { return {.source = "s", .index = log_.Put("-", "x", ""), .marker = {}}; }

  FakeLog log_;
  Captured captured_;
};

TEST_F(PackageRowsTest, LatestWithAllOlderDigests) {
  log_.Put("p", "row/public.t/1", R"({"id":"1","a":"x"})");
  log_.Put("p", "row/public.t/1", R"({"id":"1","a":"y"})");
  log_.Put("p", "row/public.t/1", R"({"id":"1","a":"z"})");
  log_.Put("q", "row/public.t/2", R"({"id":"2","a":"z"})");
  const auto rows = ReadPackageRows(&log_, Now(), captured_, "p");
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  ASSERT_EQ(rows->size(), 1u);
  const LoggedRow& row = rows->front();
  EXPECT_FALSE(row.deleted);
  EXPECT_EQ(**row.row.Find("a"), "z");
  EXPECT_THAT(row.key.columns, ElementsAre("id"));
  EXPECT_THAT(row.key.values, ElementsAre("1"));
  EXPECT_EQ(row.older.size(), 2u);
  EXPECT_TRUE(row.older.contains(Sha256({R"({"id":"1","a":"x"})"})));
}

TEST_F(PackageRowsTest, DeletedRowsKeepTheirKey) {
  log_.Put("p", "row/public.t/1", R"({"id":"1","a":"x"})");
  log_.Delete("p", "row/public.t/1");
  const auto rows = ReadPackageRows(&log_, Now(), captured_, "p");
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_TRUE(rows->front().deleted);
  EXPECT_THAT(rows->front().key.values, ElementsAre("1"));
}

TEST_F(PackageRowsTest, NothingIsAnError) {
  log_.Put("p", "document/1", "x");
  EXPECT_EQ(ReadPackageRows(&log_, Now(), captured_, "p").status().code(), Code::kNotFound);
  log_.Put("p", "row/public.unknown/1", "{}");
  EXPECT_EQ(ReadPackageRows(&log_, Now(), captured_, "p").status().code(), Code::kCorrupt);
}

TEST_F(PackageRowsTest, RowsMoveBetweenPackages) {
  log_.Put("p", "row/public.t/1", R"({"id":"1","a":"x"})");
  log_.Delete("p", "row/public.t/1");
  log_.Put("q", "row/public.t/1", R"({"id":"1","a":"y"})");
  const auto known = ReadElsewhere(&log_, Now(), {"row/public.t/1"});
  ASSERT_TRUE(known.ok());
  EXPECT_TRUE(known->at("row/public.t/1").alive);
  EXPECT_EQ(known->at("row/public.t/1").versions.size(), 2u);
  const auto row = ReadRow(&log_, Now(), captured_, "row/public.t/1");
  ASSERT_TRUE(row.ok() && *row);
  EXPECT_EQ((*row)->package, "q");
  EXPECT_FALSE(*ReadRow(&log_, Now(), captured_, "row/public.t/5"));
}

TEST(DifferingColumnsTest, ByName) {
  const capture::Row a{{"id", "x", "y"}, {"1", std::nullopt, "2"}};
  const capture::Row b{{"id", "y", "x", "z"}, {"1", "2", "", "3"}};
  EXPECT_THAT(DifferingColumns(a, b), ElementsAre("x", "z"));
  EXPECT_THAT(DifferingColumns(a, a), ElementsAre());
}

TEST(DecodeKeyTest, UndoesTheItemsName) {
  const capture::TableName table{"public", "t"};
  const std::vector<std::string_view> values = {"a/b%", "", "2026-01-02 03:04", "~é"};
  const std::string item = capture::RowItem(table, values);
  const auto key = DecodeKey(capture::ParseItem(item).key);
  ASSERT_TRUE(key);
  EXPECT_THAT(*key, ElementsAre("a/b%", "", "2026-01-02 03:04", "~é"));
  EXPECT_FALSE(DecodeKey("~0123"));
  EXPECT_FALSE(DecodeKey("%4"));
  EXPECT_FALSE(DecodeKey("%zz"));
}

TEST(WithLiteralsTest, OutsideOfQuotesOnly) {
  EXPECT_EQ(WithLiterals("INSERT INTO \"a$1\" VALUES ($1, $2::int, $11)", {"'x$2'", "NULL"}),
            "INSERT INTO \"a$1\" VALUES ('x$2', NULL::int, $11)");
  EXPECT_EQ(WithLiterals("format('%s''$1', \"q\"\"$1\") = $1", {"'y'"}),
            "format('%s''$1', \"q\"\"$1\") = 'y'");
  EXPECT_EQ(WithLiterals("$", {"1"}), "$");
}

TEST(SinkStatusTest, SilenceIsNoLagOfZero) {
  SinkStatus status{.applied_index = 9, .applied_time_us = 1'000'000, .newest_index = 9};
  status.level_us = 100'000'000;
  EXPECT_EQ(status.LagSeconds(100'000'000), 0);
  EXPECT_EQ(status.LagSeconds(160'000'000), 60);
  status.newest_index = 12;
  status.applied_time_us = 150'000'000;
  EXPECT_EQ(status.LagSeconds(160'000'000), 10);
  EXPECT_EQ(status.LagSeconds(140'000'000), 0) << "the source's clock is ahead";
  EXPECT_TRUE(std::isinf(SinkStatus().LagSeconds(5'000'000)));
}

}  // namespace
}  // namespace kembar::restore
