// boundary_test.cc — where a restore may stand, and what the log holds beside the rows.
#include "tools/restore/boundary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/restore/fake_log.h"
#include "tools/restore/captured.h"

namespace kembar::restore {
namespace {

using testing::HasSubstr;

std::string MarkerAt(capture::Lsn lsn) {
  return capture::EncodeMarker({.lsn = lsn, .xid = 7, .committed_us = 42, .changes = 1});
}

TEST(BoundaryTest, IsTheNewestMarkerAtOrBefore) {
  FakeLog log;
  log.Put("-", "row/public.t/1", "{}");
  const uint64_t first = log.Put("-", "transaction/postgres/a", MarkerAt(100));
  log.Put("-", "transaction-part/postgres/a", MarkerAt(200));
  const uint64_t inside = log.Put("-", "row/public.t/2", "{}");
  const uint64_t second = log.Put("-", "transaction/postgres/a", MarkerAt(200));
  EXPECT_EQ(FindBoundary(&log, AtIndex(inside), "")->index, first);
  const Result<Boundary> newest = FindBoundary(&log, v1::AsOf(), "");
  ASSERT_TRUE(newest.ok());
  EXPECT_EQ(newest->index, second);
  EXPECT_EQ(newest->source, "postgres/a");
  EXPECT_EQ(newest->marker.lsn, 200u);
  EXPECT_EQ(newest->time_us, 42);
}

TEST(BoundaryTest, NoneAndSeveral) {
  FakeLog log;
  EXPECT_EQ(FindBoundary(&log, v1::AsOf(), "").status().code(), Code::kNotFound);
  log.Put("-", "transaction/postgres/a", MarkerAt(1));
  log.Put("-", "transaction/postgres/b", MarkerAt(2));
  const Status several = FindBoundary(&log, v1::AsOf(), "").status();
  EXPECT_EQ(several.code(), Code::kInvalid);
  EXPECT_THAT(several.message(), HasSubstr("postgres/a, postgres/b"));
  EXPECT_EQ(FindBoundary(&log, v1::AsOf(), "postgres/b")->marker.lsn, 2u);
  EXPECT_EQ(FindBoundary(&log, v1::AsOf(), "postgres/c").status().code(), Code::kNotFound);
}

TEST(BoundaryTest, BrokenMarkerIsNamed) {
  FakeLog log;
  log.Put("-", "transaction/postgres/a", "{");
  const Status status = FindBoundary(&log, v1::AsOf(), "").status();
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_THAT(status.message(), HasSubstr("record 1"));
}

TEST(BoundaryTest, ByLsnWalksBackThroughManyVersions) {
  FakeLog log;
  for (capture::Lsn lsn = 1; lsn <= 500; ++lsn) {
    log.Put("-", "transaction/postgres/a", MarkerAt(lsn * 10));
    log.Put("-", "transaction/postgres/ab", MarkerAt(5));
  }
  EXPECT_EQ(FindBoundaryAtLsn(&log, "postgres/a", 5'000)->marker.lsn, 5'000u);
  EXPECT_EQ(FindBoundaryAtLsn(&log, "postgres/a", 4'999)->marker.lsn, 4'990u);
  EXPECT_EQ(log.lists, 2);
  EXPECT_EQ(FindBoundaryAtLsn(&log, "postgres/a", 15)->marker.lsn, 10u);
  EXPECT_EQ(FindBoundaryAtLsn(&log, "postgres/a", 9).status().code(), Code::kNotFound);
}

TEST(CapturedTest, ReadsWhatStandsBesideTheRows) {
  FakeLog log;
  const capture::TableShape table{.name = {"public", "t"},
                                  .root = {"public", "t"},
                                  .columns = {{"a", "integer", false}},
                                  .key = {"a"}};
  log.Put("-", "table/public.t", capture::EncodeTable(table));
  log.Put("-", "table/public.gone", capture::EncodeTable(table));
  log.Delete("-", "table/public.gone");
  log.Put("-", "schema/pre-data", "before");
  log.Put("-", "schema/post-data", "behind");
  log.Put("-", "sequence/lain.s", capture::EncodeSequence({"7", true}));
  log.Put("-", "large-object/17/0", "x");
  log.Put("-", "large-object/17/1", "y");
  log.Put("-", "large-object/9/0", "z");
  log.Put("-", "mapping/postgres/a", "ours");
  log.Put("-", "mapping/postgres/b", "not ours");
  const uint64_t end = log.Put("-", "transaction/postgres/a", MarkerAt(1));
  log.Put("-", "schema/pre-data", "too late");
  const Result<Captured> captured =
      ReadCaptured(&log, {.source = "postgres/a", .index = end, .marker = {}});
  ASSERT_TRUE(captured.ok());
  ASSERT_EQ(captured->tables.size(), 1u);
  EXPECT_EQ(captured->tables.begin()->second, table);
  EXPECT_EQ(captured->pre_data, "before");
  EXPECT_EQ(captured->post_data, "behind");
  EXPECT_EQ(captured->mapping, "ours");
  EXPECT_EQ(captured->large_objects, (std::vector<uint32_t>{9, 17}));
  EXPECT_EQ(captured->Schemas(), (std::vector<std::string>{"lain", "public"}));
}

}  // namespace
}  // namespace kembar::restore
