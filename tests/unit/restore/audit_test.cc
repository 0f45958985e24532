// audit_test.cc — recorded audits: which there should be, and that nothing unsaid passes for equal.
#include "tools/restore/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/restore/fake_log.h"

namespace kembar::restore {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Troubles(const std::string& source, const std::string& payload) {
  return TroublesOf({.source = source, .index = 1, .time_us = 1, .payload = payload});
}

TEST(Audit, TheLatestOfEverySourceIsRead) {
  FakeLog log;
  log.Put("-", "audit/postgres/a", "1");
  log.Put("-", "audit/postgres/b", "2");
  log.Put("-", "audit/postgres/gone", "3");
  log.Delete("-", "audit/postgres/gone");
  const uint64_t newest = log.Put("-", "audit/postgres/a", "4");
  const auto audits = ReadAudits(&log, "");
  ASSERT_TRUE(audits.ok());
  ASSERT_EQ(audits->size(), 2u);
  EXPECT_EQ(audits->at(0).index, newest);
  EXPECT_EQ(audits->at(0).payload, "4");
  EXPECT_EQ(ReadAudits(&log, "postgres/b")->size(), 1u);
  EXPECT_THAT(*ReadAudits(&log, "postgres/c"), IsEmpty());
}

TEST(Audit, EveryDatabaseThatIsCapturedIsKnown) {
  FakeLog log;
  log.Put("-", "transaction/postgres/b", "{}");
  log.Put("-", "transaction/postgres/a", "{}");
  log.Put("-", "transaction-part/postgres/c", "{}");
  log.Put("paket/1", "transaction/postgres/d", "{}");
  EXPECT_THAT(*CapturedDatabases(&log), ElementsAre("postgres/a", "postgres/b"));
}

TEST(Audit, EqualIsNoTrouble) {
  EXPECT_THAT(Troubles("postgres/a", R"({"tables":[{"name":"public.x","equal":true}]})"),
              IsEmpty());
  EXPECT_THAT(Troubles("documents/a", R"({"files":{"equal":true}})"), IsEmpty());
}

TEST(Audit, WhatIsNotEqualIsNamed) {
  EXPECT_THAT(Troubles("postgres/a", R"({"tables":[{"name":"public.x","equal":true},
                                        {"name":"public.y","equal":false}]})"),
              ElementsAre("table public.y is not equal"));
  EXPECT_THAT(Troubles("documents/a", R"({"files":{"equal":false}})"),
              ElementsAre("the files of documents/a are not equal"));
}

TEST(Audit, WhatIsNotSaidIsNotEqual) {
  EXPECT_THAT(
      Troubles("postgres/a", R"({"tables":[{"name":"public.x"},{"equal":"true"},7]})"),
      ElementsAre("table public.x is not equal", "table ? is not equal", "table ? is not equal"));
  EXPECT_THAT(Troubles("documents/a", R"({"files":{}})"),
              ElementsAre("the files of documents/a are not equal"));
}

TEST(Audit, WhatCannotBeReadIsATrouble) {
  for (const char* payload : {"", "\xff", "7", "[]", "{}", R"({"tables":{}})", R"({"tables":null})",
                              R"({"files":[]})", R"({"files":true})"}) {
    for (const char* source : {"postgres/a", "documents/a", "other"}) {
      EXPECT_THAT(Troubles(source, payload),
                  ElementsAre("the audit of " + std::string(source) + " cannot be read"))
          << payload;
    }
  }
  EXPECT_EQ(Troubles("postgres/a", R"({"files":{"equal":true}})").size(), 1u) << "no tables";
  EXPECT_EQ(Troubles("documents/a", R"({"tables":[]})").size(), 1u) << "no files";
}

}  // namespace
}  // namespace kembar::restore
