// store_conformance.h — what every Store must do, run on each implementation.
//
// To run it: give a class with `Store& store()` and `void Reopen()`, which plays a crash after the
// last Write returned and a restart, then
//   INSTANTIATE_TYPED_TEST_SUITE_P(Name, StoreConformance, ThatClass);
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/store/store_test_log.h"

namespace kembar {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <class Subject>
class StoreConformance : public testing::Test {
 protected:
  Store& store() { return subject_.store(); }
  void Reopen() { subject_.Reopen(); }
  Status Write(LogWrite write) { return WriteOne(store(), std::move(write)); }

  // The store holds exactly what `log` says, by every way of asking.
  void ExpectHolds(const TestLog& log) {
    const uint64_t last = log.last();
    for (uint64_t size = 0; size <= last; ++size) {
      auto root = store().RootAt(log.id(), size);
      ASSERT_TRUE(root.ok()) << root.status().ToString();
      EXPECT_EQ(*root, log.Root(size)) << "size " << size;
    }
    EXPECT_EQ(store().RootAt(log.id(), last + 1).status().code(), Code::kNotFound);
    EXPECT_EQ(store().Read(log.id(), last + 1, last + 1, 1).status().code(), Code::kNotFound);
    if (last > 0) {
      auto batch = store().Read(log.id(), 1, UINT64_MAX, SIZE_MAX);
      ASSERT_TRUE(batch.ok()) << batch.status().ToString();
      EXPECT_EQ(batch->frames, log.frames());
      EXPECT_EQ(batch->root, log.Root(last));
    }
    auto recovered = store().Recover(log.id());
    ASSERT_TRUE(recovered.ok()) << recovered.status().ToString();
    EXPECT_EQ(recovered->last_index, last);
    EXPECT_EQ(recovered->frontier.size(), last);
    EXPECT_EQ(recovered->frontier.Root(), log.Root(last));
  }

  uint64_t Position(const std::string& log, const std::string& source, uint64_t position) {
    auto index = store().FindPosition(log, source, position);
    EXPECT_TRUE(index.ok()) << index.status().ToString();
    return index.ok() ? *index : UINT64_MAX;
  }

  Subject subject_;
};
TYPED_TEST_SUITE_P(StoreConformance);

TYPED_TEST_P(StoreConformance, AnUnknownLogIsEmpty) {
  Store& store = this->store();
  EXPECT_THAT(*store.Logs(), IsEmpty());
  for (const std::string& log : {std::string("nobody"), std::string(), std::string(9000, 'x')}) {
    auto recovered = store.Recover(log);
    ASSERT_TRUE(recovered.ok()) << recovered.status().ToString();
    EXPECT_EQ(recovered->last_index, 0u);
    EXPECT_EQ(recovered->last_batch_end, 0u);
    EXPECT_EQ(recovered->log_uuid, "");
    EXPECT_EQ(recovered->hard, HardState());
    EXPECT_EQ(recovered->frontier.Root(), merkle::EmptyRoot());
    EXPECT_THAT(recovered->positions, IsEmpty());
    EXPECT_EQ(store.Read(log, 1, 1, 1).status().code(), Code::kNotFound);
    EXPECT_EQ(*store.RootAt(log, 0), merkle::EmptyRoot());
    EXPECT_EQ(store.TreeNode(log, 0, 0).status().code(), Code::kNotFound);
    EXPECT_EQ(this->Position(log, "pg", 1), 0u);
    EXPECT_THAT(Items(store, log, ""), IsEmpty());
    EXPECT_THAT(*store.Quarantines(log), IsEmpty());
    EXPECT_EQ(store.QuarantinedFrames(log, 1, 1, 1).status().code(), Code::kNotFound);
  }
  EXPECT_FALSE(store.node_uuid().empty());
}

TYPED_TEST_P(StoreConformance, ReadsWhatWasAppended) {
  TestLog log("tebo");
  ASSERT_OK(this->Write(log.Append(Puts(1))));
  ASSERT_OK(this->Write(log.Append(Puts(6, "second"))));
  this->ExpectHolds(log);
  EXPECT_THAT(*this->store().Logs(), ElementsAre("tebo"));

  auto middle = this->store().Read("tebo", 3, 5, SIZE_MAX);
  ASSERT_TRUE(middle.ok());
  EXPECT_EQ(middle->first_index, 3u);
  EXPECT_EQ(middle->last_index(), 5u);
  EXPECT_EQ(middle->prev_root, log.Root(2));
  EXPECT_EQ(middle->root, log.Root(5));
  EXPECT_EQ(middle->bytes,
            log.frames()[2].size() + log.frames()[3].size() + log.frames()[4].size());
  EXPECT_EQ(this->store().Read("tebo", 0, 1, 1).status().code(), Code::kInvalid);
  EXPECT_EQ(this->store().Read("tebo", 3, 2, 1).status().code(), Code::kInvalid);
}

TYPED_TEST_P(StoreConformance, AReadStopsAfterBytesMaxButGivesAtLeastOne) {
  TestLog log("tebo");
  ASSERT_OK(this->Write(log.Append({Put("a", "1", std::string(500, 'x')), Put("a", "2"),
                                    Put("a", "3"), Put("a", "4", std::string(500, 'y'))})));
  const size_t small = log.frames()[1].size();
  auto count = [&](uint64_t from, size_t bytes_max) {
    return this->store().Read("tebo", from, 4, bytes_max)->frames.size();
  };
  EXPECT_EQ(count(1, 0), 1u);
  EXPECT_EQ(count(1, 1), 1u);
  EXPECT_EQ(count(2, small), 1u);
  EXPECT_EQ(count(2, small + 1), 2u);
  EXPECT_EQ(count(2, 2 * small + 1), 3u);
}

TYPED_TEST_P(StoreConformance, TreeNodesAreThoseOfTheNaiveTree) {
  TestLog log("tebo");
  for (size_t i = 0; i < 13; ++i) ASSERT_OK(this->Write(log.Append(Puts(1 + i % 3))));
  const std::span<const std::string> frames(log.frames());
  for (uint8_t level = 0; level < 7; ++level) {
    for (uint64_t offset = 0; offset < 30; ++offset) {
      const uint64_t end = (offset + 1) << level;
      auto node = this->store().TreeNode("tebo", level, offset);
      if (end > log.last()) {
        EXPECT_EQ(node.status().code(), Code::kNotFound) << int{level} << ' ' << offset;
      } else {
        ASSERT_TRUE(node.ok()) << node.status().ToString();
        EXPECT_EQ(*node, NaiveRoot(frames.subspan(offset << level, size_t{1} << level)));
      }
    }
  }
}

TYPED_TEST_P(StoreConformance, LogsDoNotMix) {
  // Names that begin one another, and one whose first byte is another's length.
  std::vector<TestLog> logs;
  for (const char* id : {"a", "ab", "aa", "b",
                         "\x01"
                         "a",
                         "a/tender"})
    logs.emplace_back(id);
  std::vector<LogWrite> writes;
  uint64_t position = 0;
  for (TestLog& log : logs) {
    writes.push_back(log.Append({From("pg", ++position, Put("tender/1", log.id()))}));
  }
  ASSERT_OK(this->store().Write(writes));
  for (TestLog& log : logs) ASSERT_OK(this->Write(log.Append(Puts(2))));
  this->Reopen();
  EXPECT_THAT(*this->store().Logs(), ElementsAre("\x01"
                                                 "a",
                                                 "a", "a/tender", "aa", "ab", "b"));
  position = 0;
  for (TestLog& log : logs) {
    this->ExpectHolds(log);
    EXPECT_EQ(Items(this->store(), log.id(), "").size(), 3u);
    ++position;
    EXPECT_EQ(this->Position(log.id(), "pg", position), 1u);
    EXPECT_EQ(this->store().Recover(log.id())->positions.at("pg").first, position);
  }
  ASSERT_OK(this->Write(logs[0].Truncate(0)));
  for (const TestLog& log : logs) this->ExpectHolds(log);
}

TYPED_TEST_P(StoreConformance, OneWriteMayHoldManyPartsOfALog) {
  TestLog log("tebo");
  std::vector<LogWrite> writes = {log.Append(Puts(2)), log.Append(Puts(3))};
  writes.push_back(HardWrite("tebo", Promise(2, "a")));
  writes.push_back(HardWrite("tebo", Promise(3, "b")));
  ASSERT_OK(this->store().Write(writes));
  this->Reopen();
  this->ExpectHolds(log);
  EXPECT_EQ(this->store().Recover("tebo")->hard.promised_epoch, 3u);
}

TYPED_TEST_P(StoreConformance, ItemsAreInOrderAsOfAnyIndex) {
  TestLog log("tebo");
  const std::string zero("a\0b", 3);
  ASSERT_OK(this->Write(log.Append({Put("ab", "x"), Put("a", "y"), Put(zero, "z"), Put("a", "x"),
                                    Put("a", zero), Put("a", "ab"), Put("a", "a")})));
  Record gone = Put("a", "x", "why");
  gone.kind = RecordKind::kDelete;
  Record note = Put("a", "note");
  note.kind = RecordKind::kNote;
  ASSERT_OK(this->Write(log.Append({gone, note, Put("a", "")})));

  EXPECT_THAT(Items(this->store(), "tebo", ""),
              ElementsAre("a/@10", "a/a@7", "a/a0b@5", "a/ab@6", "a/x@8", "a/x@4", "a/y@2",
                          "a0b/z@3", "ab/x@1"));
  EXPECT_THAT(Items(this->store(), "tebo", "a"),
              ElementsAre("a/@10", "a/a@7", "a/a0b@5", "a/ab@6", "a/x@8", "a/x@4", "a/y@2"));
  EXPECT_THAT(Items(this->store(), "tebo", "a", 4), ElementsAre("a/x@4", "a/y@2"));
  EXPECT_THAT(Items(this->store(), "tebo", zero), ElementsAre("a0b/z@3"));
  EXPECT_THAT(Items(this->store(), "tebo", "ab"), ElementsAre("ab/x@1"));
  EXPECT_THAT(Items(this->store(), "tebo", "a0b"), IsEmpty());
  EXPECT_THAT(Items(this->store(), "tebo", "", 0), IsEmpty());
}

TYPED_TEST_P(StoreConformance, AVisitPassesOverWhatIsNotWanted) {
  TestLog log("tebo");
  std::vector<Record> records;
  // More versions than are worth stepping over.
  for (int version = 1; version <= 20; ++version) {
    for (const char* package : {"-", "a"}) {
      for (const char* item : {"row/1", "row/2", "table/1"}) {
        records.push_back(Put(package, item, std::to_string(version)));
      }
    }
  }
  ASSERT_OK(this->Write(log.Append(records)));
  const auto items = [&](const ItemRange& range, Visit next) {
    return Items(this->store(), "tebo", range, next);
  };
  EXPECT_THAT(items({}, Visit::kNextItem),
              ElementsAre("-/row/1@115", "-/row/2@116", "-/table/1@117", "a/row/1@118",
                          "a/row/2@119", "a/table/1@120"));
  EXPECT_THAT(items({}, Visit::kNextPackage), ElementsAre("-/row/1@115", "a/row/1@118"));
  EXPECT_THAT(items({}, Visit::kStop), ElementsAre("-/row/1@115"));
  ItemRange tables{.package = {}, .item_prefix = "table/"};
  EXPECT_THAT(items(tables, Visit::kNextItem), ElementsAre("-/table/1@117", "a/table/1@120"));
  tables.as_of = 11;
  EXPECT_THAT(items(tables, Visit::kNext),
              ElementsAre("-/table/1@9", "-/table/1@3", "a/table/1@6"));
  EXPECT_THAT(items({.package = "a", .item_prefix = "row/2"}, Visit::kNextItem),
              ElementsAre("a/row/2@119"));
  EXPECT_THAT(items({.package = "a", .item_prefix = "row/3"}, Visit::kNext), IsEmpty());
}

TYPED_TEST_P(StoreConformance, AnItemVersionTellsAllButThePayload) {
  TestLog log("tebo");
  Record record = Put("tender/1", "row", "abc");
  record.unit = "Dinas PUPR";
  record.title = "Jalan \xe2\x80\x94 tahap 2";
  record.value = "200000000.50";
  record.kind = RecordKind::kDelete;
  ASSERT_OK(this->Write(log.Append({record, Put("tender/1", "zzz")})));
  this->Reopen();
  size_t visits = 0;
  const ItemRange range{.package = "tender/1"};
  ASSERT_OK(this->store().VisitItems("tebo", range, [&](const ItemVersion& v) {
    EXPECT_EQ(v.package, "tender/1");
    EXPECT_EQ(v.item, "row");
    EXPECT_EQ(v.index, 1u);
    EXPECT_EQ(v.time_us, record.time_us);
    EXPECT_EQ(v.kind, RecordKind::kDelete);
    EXPECT_EQ(v.payload_bytes, 3u);
    EXPECT_EQ(v.payload_sha256, Sha256({"abc"}));
    EXPECT_EQ(v.title, record.title);
    EXPECT_EQ(v.unit, record.unit);
    EXPECT_EQ(v.value, record.value);
    ++visits;
    return Visit::kStop;
  }));
  EXPECT_EQ(visits, 1u);
}

TYPED_TEST_P(StoreConformance, PositionsTellWhatASourceAppended) {
  TestLog log("tebo");
  ASSERT_OK(this->Write(
      log.Append({From("pg", 10, Put("a", "1"), false), From("pg", 10, Put("a", "2"), false),
                  From("pg", 10, Put("a", "3")), From("pg2", 300, Put("a", "4")),
                  From("docs", 0, Put("a", "5")), Put("a", "no source")})));
  ASSERT_OK(this->Write(log.Append({From("pg", 1000, Put("a", "6"), false)})));
  EXPECT_EQ(this->Position("tebo", "pg", 10), 3u);
  EXPECT_EQ(this->Position("tebo", "pg", 1000), 7u);
  EXPECT_EQ(this->Position("tebo", "pg", 11), 0u);
  EXPECT_EQ(this->Position("tebo", "pg", 300), 0u);
  EXPECT_EQ(this->Position("tebo", "docs", 0), 5u);
  EXPECT_EQ(this->Position("tebo", "p", 10), 0u);
  // The rest of a batch may come in a later Write.
  ASSERT_OK(this->Write(log.Append({From("pg", 1000, Put("a", "7"))})));
  EXPECT_EQ(this->Position("tebo", "pg", 1000), 8u);

  this->Reopen();
  using Positions = std::map<std::string, std::pair<uint64_t, uint64_t>>;
  EXPECT_EQ(this->store().Recover("tebo")->positions,
            (Positions{{"docs", {0, 5}}, {"pg", {1000, 8}}, {"pg2", {300, 4}}}));
}

TYPED_TEST_P(StoreConformance, RecoversHardStateAndReigns) {
  TestLog log("tebo");
  const ControlState first = Reign("tebo-lpse");
  ControlState later = Reign("cermin", true);
  ASSERT_OK(this->Write(log.Append({Control(RecordKind::kEpochStart, first), Put("a", "1")})));
  log.set_epoch(4);
  ASSERT_OK(this->Write(log.Append({Control(RecordKind::kEpochStart, later)})));
  later.config.solo = true;
  HardState hard{.promised_epoch = 4,
                 .promised_to = "cermin",
                 .seen_epoch = 4,
                 .commit_index = 2,
                 .must_reach = 2,
                 .alarm = "none",
                 .acked_by = {{"tebo-lpse", 2}}};
  LogWrite write =
      log.Append({Control(RecordKind::kConfig, later), From("pg", 1, Put("a", "2"), false)});
  write.hard = hard;
  ASSERT_OK(this->Write(write));
  ASSERT_OK(this->Write(HardWrite("silent", Promise(9, "x"))));
  this->Reopen();

  auto recovered = this->store().Recover("tebo");
  ASSERT_TRUE(recovered.ok()) << recovered.status().ToString();
  EXPECT_EQ(recovered->hard, hard);
  EXPECT_EQ(recovered->history.entries(),
            (std::vector<EpochEntry>{{1, 1, "tebo-lpse", false}, {4, 3, "cermin", true}}));
  EXPECT_EQ(recovered->log_uuid, first.log_uuid);
  EXPECT_EQ(recovered->control.config, later.config);
  EXPECT_EQ(recovered->control_index, 4u);
  EXPECT_EQ(recovered->last_index, 5u);
  EXPECT_EQ(recovered->last_batch_end, 4u);
  EXPECT_EQ(this->store().Recover("silent")->hard.promised_epoch, 9u);
  EXPECT_THAT(*this->store().Logs(), ElementsAre("silent", "tebo"));
}

TYPED_TEST_P(StoreConformance, LastBatchEndOfALogThatEndsNone) {
  TestLog log("tebo");
  ASSERT_OK(this->Write(
      log.Append({From("pg", 1, Put("a", "1"), false), From("pg", 1, Put("a", "2"), false)})));
  EXPECT_EQ(this->store().Recover("tebo")->last_batch_end, 0u);
  ASSERT_OK(this->Write(log.Append({From("pg", 1, Put("a", "3"))})));
  EXPECT_EQ(this->store().Recover("tebo")->last_batch_end, 3u);
}

TYPED_TEST_P(StoreConformance, TruncationRewindsEverythingAndKeepsItInQuarantine) {
  TestLog log("tebo");
  ASSERT_OK(
      this->Write(log.Append({Control(RecordKind::kEpochStart, Reign("tebo-lpse")),
                              From("pg", 1, Put("a", "x")), From("pg", 2, Put("a", "x"), false)})));
  log.set_epoch(2);
  ASSERT_OK(this->Write(log.Append({From("pg", 2, Put("a", "y")), From("pg", 3, Put("a", "x")),
                                    Control(RecordKind::kEpochStart, Reign("cermin")),
                                    From("docs", 9, Put("b", "z"))})));
  const std::vector<std::string> all = log.frames();
  LogWrite write = log.Truncate(3, "tebo epoch 2");
  write.hard = Promise(5, "cermin");
  ASSERT_OK(this->Write(write));
  for (int round = 0; round < 2; ++round, this->Reopen()) {
    this->ExpectHolds(log);
    EXPECT_THAT(Items(this->store(), "tebo", ""), ElementsAre("a/x@3", "a/x@2"));
    auto recovered = this->store().Recover("tebo");
    EXPECT_EQ(recovered->hard.promised_epoch, 5u);
    EXPECT_EQ(recovered->history.entries().size(), 1u);
    EXPECT_EQ(recovered->control.primary, "tebo-lpse");
    EXPECT_EQ(recovered->control_index, 1u);
    EXPECT_EQ(recovered->last_batch_end, 2u);
    EXPECT_EQ(this->Position("tebo", "pg", 1), 2u);
    EXPECT_EQ(this->Position("tebo", "pg", 2), 3u) << "what is left of a batch cut in two";
    EXPECT_EQ(this->Position("tebo", "pg", 3), 0u);
    EXPECT_EQ(this->Position("tebo", "docs", 9), 0u);
    EXPECT_EQ(recovered->positions.size(), 1u);
    EXPECT_EQ(recovered->positions["pg"], (std::pair<uint64_t, uint64_t>{2, 3}));

    auto infos = this->store().Quarantines("tebo");
    ASSERT_EQ(infos->size(), 1u);
    const QuarantineInfo& info = infos->front();
    EXPECT_EQ(info.id, 1u);
    EXPECT_EQ(info.origin, "tebo epoch 2");
    EXPECT_EQ(info.time_us, 77);
    EXPECT_EQ(info.first_index, 4u);
    EXPECT_EQ(info.last_index, 7u);
    EXPECT_EQ(info.acknowledged_to, 4u);
    auto frames = [&](uint64_t from, size_t bytes_max) {
      return *this->store().QuarantinedFrames("tebo", 1, from, bytes_max);
    };
    EXPECT_EQ(frames(0, SIZE_MAX), std::vector(all.begin() + 3, all.end()));
    EXPECT_EQ(frames(6, SIZE_MAX), std::vector(all.begin() + 5, all.end()));
    EXPECT_EQ(frames(4, 1), std::vector(all.begin() + 3, all.begin() + 4));
    EXPECT_EQ(this->store().QuarantinedFrames("tebo", 1, 8, 1).status().code(), Code::kNotFound);
    EXPECT_EQ(this->store().QuarantinedFrames("tebo", 2, 1, 1).status().code(), Code::kNotFound);
  }
}

TYPED_TEST_P(StoreConformance, AppendsAgainAfterTruncation) {
  TestLog log("tebo");
  ASSERT_OK(this->Write(log.Append(Puts(9))));
  ASSERT_OK(this->Write(log.Replace(5, {Put("new", "a"), From("pg", 4, Put("new", "b"))})));
  this->ExpectHolds(log);
  ASSERT_OK(this->Write(log.Append(Puts(3))));
  this->Reopen();
  this->ExpectHolds(log);
  EXPECT_EQ(this->Position("tebo", "pg", 4), 7u);
  EXPECT_EQ(Items(this->store(), "tebo", "new"), (std::vector<std::string>{"new/a@6", "new/b@7"}));
  EXPECT_EQ(Items(this->store(), "tebo", "tender/1").size(), 8u);

  ASSERT_OK(this->Write(log.Truncate(0, "second")));
  ASSERT_OK(this->Write(log.Truncate(0, "nothing to move")));
  this->Reopen();
  this->ExpectHolds(log);
  EXPECT_THAT(Items(this->store(), "tebo", ""), IsEmpty());
  EXPECT_THAT(this->store().Recover("tebo")->positions, IsEmpty());
  auto infos = this->store().Quarantines("tebo");
  ASSERT_EQ(infos->size(), 2u);
  EXPECT_EQ(infos->at(1).id, 2u);
  EXPECT_EQ(infos->at(1).first_index, 1u);
  EXPECT_EQ(infos->at(1).last_index, 10u);
  EXPECT_EQ(this->store().QuarantinedFrames("tebo", 2, 1, SIZE_MAX)->size(), 10u);
  EXPECT_EQ(this->store().QuarantinedFrames("tebo", 1, 1, SIZE_MAX)->size(), 4u);
  ASSERT_OK(this->Write(log.Append(Puts(2))));
  this->ExpectHolds(log);
}

TYPED_TEST_P(StoreConformance, WhatWasWrittenSurvivesACrash) {
  TestLog log("tebo");
  TestLog other("muna");
  const std::string uuid = this->store().node_uuid();
  for (size_t i = 1; i <= 6; ++i) {
    std::vector<LogWrite> writes = {log.Append(Puts(i)), other.Append(Puts(1))};
    ASSERT_OK(this->store().Write(writes));
    this->Reopen();
    this->ExpectHolds(log);
    this->ExpectHolds(other);
  }
  EXPECT_EQ(this->store().node_uuid(), uuid);
}

TYPED_TEST_P(StoreConformance, AGapIsABrokenInvariant) {
  // The child dies before it comes to the store's disk, and must not make a directory of its own.
  testing::FLAGS_gtest_death_test_style = "fast";
  TestLog log("tebo");
  ASSERT_OK(this->Write(log.Append(Puts(2))));
  TestLog ahead = log;
  ahead.Append(Puts(1));
  LogWrite gap = ahead.Append(Puts(1));
  EXPECT_DEATH((void)this->Write(gap), "CHECK");
}

REGISTER_TYPED_TEST_SUITE_P(StoreConformance, AnUnknownLogIsEmpty, ReadsWhatWasAppended,
                            AReadStopsAfterBytesMaxButGivesAtLeastOne,
                            TreeNodesAreThoseOfTheNaiveTree, LogsDoNotMix,
                            OneWriteMayHoldManyPartsOfALog, ItemsAreInOrderAsOfAnyIndex,
                            AVisitPassesOverWhatIsNotWanted, AnItemVersionTellsAllButThePayload,
                            PositionsTellWhatASourceAppended, RecoversHardStateAndReigns,
                            LastBatchEndOfALogThatEndsNone,
                            TruncationRewindsEverythingAndKeepsItInQuarantine,
                            AppendsAgainAfterTruncation, WhatWasWrittenSurvivesACrash,
                            AGapIsABrokenInvariant);

}  // namespace kembar
