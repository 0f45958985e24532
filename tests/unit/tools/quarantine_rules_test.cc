// quarantine_rules_test.cc — what of a set-aside tail is appended again, and what is there already.
#include "tools/kembarctl/quarantine.h"

#include <gtest/gtest.h>

namespace kembar::ctl {
namespace {

v1::Record Row(uint64_t index, const std::string& source, uint64_t position,
               const std::string& payload, bool batch_end = true) {
  v1::Record record;
  record.set_index(index);
  record.set_epoch(2);
  record.set_kind(v1::RECORD_KIND_PUT);
  record.set_source(source);
  record.set_position(position);
  record.set_package("tender/1");
  record.set_item("row");
  record.set_payload(payload);
  record.set_batch_end(batch_end);
  return record;
}

SetAside Aside(const std::vector<v1::Record>& records) {
  SetAside aside{.node = "tebo"};
  aside.entry.set_id(3);
  AddRecords(records, &aside);
  return aside;
}

TEST(Quarantine, BatchesStayWholeAndControlRecordsStayBehind) {
  v1::Record start = Row(10, "", 0, "epoch=2");
  start.set_kind(v1::RECORD_KIND_EPOCH_START);
  const SetAside aside = Aside({start, Row(11, "s", 5, "a", false), Row(12, "s", 5, "b")});
  EXPECT_EQ(aside.control_records, 1u);
  ASSERT_EQ(aside.batches.size(), 1u);
  const v1::AppendRequest request = ResubmitRequest("lpse", aside, aside.batches[0]);
  EXPECT_EQ(request.source(), "quarantine/tebo/3/2");
  EXPECT_EQ(request.position(), 12u);
  EXPECT_EQ(request.drafts_size(), 2);
  EXPECT_EQ(request.drafts(1).payload(), "b");
}

TEST(Quarantine, WhatItsSourceRepeatedIsPresent) {
  const SetAside aside = Aside({Row(11, "s", 5, "a")});
  EXPECT_EQ(StandingOf(aside.batches[0], {}), Standing::kAbsent);
  EXPECT_EQ(StandingOf(aside.batches[0], {Row(99, "s", 5, "a")}), Standing::kPresent);
  // The same, and then something newer: still there.
  EXPECT_EQ(StandingOf(aside.batches[0], {Row(120, "s", 9, "b"), Row(99, "s", 5, "a")}),
            Standing::kPresent);
}

TEST(Quarantine, WhatHasSomethingNewerIsSuperseded) {
  const SetAside aside = Aside({Row(11, "s", 5, "a")});
  // The same place with other content, or the same content from elsewhere: it came later.
  EXPECT_EQ(StandingOf(aside.batches[0], {Row(99, "s", 5, "x")}), Standing::kSuperseded);
  EXPECT_EQ(StandingOf(aside.batches[0], {Row(99, "t", 5, "a")}), Standing::kSuperseded);
  EXPECT_EQ(StandingOf(aside.batches[0], {Row(99, "s", 6, "a")}), Standing::kSuperseded);
  v1::Record other = Row(99, "s", 6, "a");
  other.set_item("another row");
  EXPECT_EQ(StandingOf(aside.batches[0], {other}), Standing::kAbsent);
}

TEST(Quarantine, WhatAnotherNodesQuarantineGaveBackIsPresent) {
  const SetAside aside = Aside({Row(11, "s", 5, "a")});
  const auto standing = [&aside](const v1::Record& held) {
    return StandingOf(aside.batches[0], {held});
  };
  EXPECT_EQ(standing(Row(99, "quarantine/jambi/1/2", 11, "a")), Standing::kPresent);
  // What was resubmitted before it was older, what comes behind it in the tail is newer.
  EXPECT_EQ(standing(Row(99, "quarantine/jambi/1/2", 10, "b")), Standing::kAbsent);
  EXPECT_EQ(standing(Row(99, "quarantine/jambi/1/2", 12, "b")), Standing::kSuperseded);
  // Of another failover: the later reign wrote later, whatever the index.
  EXPECT_EQ(standing(Row(99, "quarantine/jambi/1/1", 12, "b")), Standing::kAbsent);
  EXPECT_EQ(standing(Row(99, "quarantine/jambi/1/3", 10, "b")), Standing::kSuperseded);
}

TEST(Quarantine, ABatchIsPresentOnlyAsAWhole) {
  const SetAside aside = Aside({Row(11, "s", 5, "a", false), Row(12, "s", 5, "b")});
  EXPECT_EQ(StandingOf(aside.batches[0], {Row(98, "s", 5, "a", false)}), Standing::kSuperseded);
  EXPECT_EQ(StandingOf(aside.batches[0], {Row(98, "s", 5, "a", false), Row(99, "s", 5, "b")}),
            Standing::kPresent);
}

}  // namespace
}  // namespace kembar::ctl
