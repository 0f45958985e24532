// memory_store_test.cc — what MemoryStore has beyond the Store contract: crashes, failures, wipes
// and CHECKs that the conformance suite does not see.
#include "replicator/log/memory_store.h"

#include <gtest/gtest.h>

#include <tuple>

namespace kembar {
namespace {

constexpr char kLog[] = "tebo";

// Builds the Writes of one log and keeps the frontier that they need.
class Writer {
 public:
  LogWrite Append(std::vector<Record> records) {
    auto batch = std::make_shared<FrameBatch>();
    batch->first_index = frontier_.size() + 1;
    batch->prev_root = frontier_.Root();
    LogWrite write;
    write.log = kLog;
    for (Record& record : records) {
      record.index = frontier_.size() + 1;
      if (record.epoch == 0) record.epoch = 1;
      batch->frames.push_back(EncodeRecord(record));
      batch->bytes += batch->frames.back().size();
      frontier_.Append(merkle::HashLeaf(batch->frames.back()), &write.nodes);
    }
    batch->root = frontier_.Root();
    write.batch = std::move(batch);
    return write;
  }
  LogWrite Truncate(const MemoryStore& store, uint64_t after) {
    frontier_ = *merkle::LoadFrontier(after, [&store](uint8_t level, uint64_t offset) {
      return store.TreeNode(kLog, level, offset);
    });
    LogWrite write;
    write.log = kLog;
    write.truncate = Truncation{after, "tebo epoch 1", 77, 4};
    return write;
  }
  Digest root() const { return frontier_.Root(); }

 private:
  merkle::Frontier frontier_;
};

Record Put(std::string package, std::string item, uint64_t position, std::string payload) {
  Record record;
  record.source = "pg";
  record.position = position;
  record.package = std::move(package);
  record.item = std::move(item);
  record.payload = std::move(payload);
  return record;
}

Record Control(RecordKind kind, uint64_t epoch, const std::string& primary, bool lossy = false) {
  ControlState state;
  state.log_uuid = "uuid";
  state.primary = primary;
  state.lossy = lossy;
  Record record;
  record.kind = kind;
  record.epoch = epoch;
  record.payload = EncodeControl(state);
  return record;
}

Status WriteOne(MemoryStore* store, const LogWrite& write) {
  return store->Write(std::span(&write, 1));
}

using Seen = std::vector<std::tuple<std::string, std::string, uint64_t>>;

Seen Items(const MemoryStore& store, const std::string& package, uint64_t as_of) {
  Seen seen;
  const ItemRange range{.package = package, .item_prefix = {}, .as_of = as_of};
  Status status = store.VisitItems(kLog, range, [&seen](const ItemVersion& version) {
    seen.emplace_back(version.package, version.item, version.index);
    return Visit::kNext;
  });
  EXPECT_TRUE(status.ok());
  return seen;
}

// Index 1: EpochStart. 2 and 3: one batch at position 10. 4: position 11. 5: Config. 6:
// position 12.
void Fill(MemoryStore* store, Writer* writer) {
  Record first = Put("p1", "a", 10, "v1");
  first.batch_end = false;
  ASSERT_TRUE(WriteOne(store, writer->Append({Control(RecordKind::kEpochStart, 1, "tebo"), first,
                                              Put("p1", "b", 10, "v1")}))
                  .ok());
  ASSERT_TRUE(WriteOne(store, writer->Append({Put("p1", "a", 11, "v2"),
                                              Control(RecordKind::kConfig, 1, "tebo"),
                                              Put("p0", "z", 12, "v1")}))
                  .ok());
}

TEST(MemoryStore, ReadsBackWhatWasWritten) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  Result<FrameBatch> all = store.Read(kLog, 1, 100, size_t{1} << 20);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->frames.size(), 6U);
  EXPECT_EQ(all->prev_root, merkle::EmptyRoot());
  EXPECT_EQ(all->root, writer.root());
  Result<FrameBatch> middle = store.Read(kLog, 3, 4, size_t{1} << 20);
  ASSERT_TRUE(middle.ok());
  EXPECT_EQ(middle->frames, (std::vector{all->frames[2], all->frames[3]}));
  EXPECT_EQ(middle->prev_root, *store.RootAt(kLog, 2));
  EXPECT_EQ(middle->root, *store.RootAt(kLog, 4));
  EXPECT_EQ(store.Read(kLog, 2, 6, 0)->frames.size(), 1U);
  EXPECT_EQ(store.Read(kLog, 7, 9, 100).status().code(), Code::kNotFound);
  EXPECT_EQ(store.RootAt(kLog, 7).status().code(), Code::kNotFound);
  EXPECT_EQ(*store.RootAt("unknown", 0), merkle::EmptyRoot());
  EXPECT_EQ(*store.Logs(), std::vector<std::string>{kLog});
}

TEST(MemoryStore, FindsItemsAndPositions) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  EXPECT_EQ(Items(store, "", 6),
            (Seen{{"p0", "z", 6}, {"p1", "a", 4}, {"p1", "a", 2}, {"p1", "b", 3}}));
  EXPECT_EQ(Items(store, "p1", 3), (Seen{{"p1", "a", 2}, {"p1", "b", 3}}));
  EXPECT_EQ(Items(store, "p", 6), Seen{});
  EXPECT_EQ(*store.FindPosition(kLog, "pg", 10), 3U);
  EXPECT_EQ(*store.FindPosition(kLog, "pg", 9), 0U);
  EXPECT_EQ(*store.FindPosition(kLog, "other", 10), 0U);
  Result<Recovered> recovered = store.Recover(kLog);
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->last_index, 6U);
  EXPECT_EQ(recovered->last_batch_end, 6U);
  EXPECT_EQ(recovered->frontier.Root(), writer.root());
  EXPECT_EQ(recovered->control_index, 5U);
  EXPECT_EQ(recovered->log_uuid, "uuid");
  EXPECT_EQ(recovered->history.entries().size(), 1U);
  EXPECT_EQ(recovered->positions.at("pg"), (std::pair<uint64_t, uint64_t>{12, 6}));
  EXPECT_EQ(recovered->positions.size(), 1U);
}

TEST(MemoryStore, TruncationQuarantinesAndRewindsEverything) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  std::vector<std::string> lost = store.Read(kLog, 3, 6, 1000)->frames;
  Digest root = *store.RootAt(kLog, 2);
  ASSERT_TRUE(WriteOne(&store, writer.Truncate(store, 2)).ok());
  Result<Recovered> recovered = store.Recover(kLog);
  EXPECT_EQ(recovered->last_index, 2U);
  EXPECT_EQ(recovered->last_batch_end, 1U);  // the batch of 2 and 3 is cut open
  EXPECT_EQ(recovered->control_index, 1U);
  EXPECT_EQ(recovered->frontier.Root(), root);
  EXPECT_EQ(recovered->positions.at("pg"), (std::pair<uint64_t, uint64_t>{10, 2}));
  EXPECT_EQ(Items(store, "", 9), (Seen{{"p1", "a", 2}}));
  EXPECT_EQ(*store.FindPosition(kLog, "pg", 11), 0U);
  EXPECT_EQ(store.TreeNode(kLog, 1, 1).status().code(), Code::kNotFound);
  Result<std::vector<QuarantineInfo>> infos = store.Quarantines(kLog);
  ASSERT_EQ(infos->size(), 1U);
  EXPECT_EQ((*infos)[0].id, 1U);
  EXPECT_EQ((*infos)[0].origin, "tebo epoch 1");
  EXPECT_EQ((*infos)[0].first_index, 3U);
  EXPECT_EQ((*infos)[0].last_index, 6U);
  EXPECT_EQ((*infos)[0].acknowledged_to, 4U);
  EXPECT_EQ(*store.QuarantinedFrames(kLog, 1, 0, 1000), lost);
  EXPECT_EQ(*store.QuarantinedFrames(kLog, 1, 5, 1), std::vector{lost[2]});
  EXPECT_EQ(store.QuarantinedFrames(kLog, 1, 7, 1).status().code(), Code::kNotFound);
  EXPECT_EQ(store.QuarantinedFrames(kLog, 2, 0, 1).status().code(), Code::kNotFound);
  // The log goes on from there.
  ASSERT_TRUE(
      WriteOne(&store, writer.Append({Control(RecordKind::kEpochStart, 2, "jambi", true)})).ok());
  EXPECT_EQ(store.Recover(kLog)->history,
            EpochHistory({{1, 1, "tebo", false}, {2, 3, "jambi", true}}));
}

TEST(MemoryStore, TruncatingNothingLeavesNoQuarantine) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  ASSERT_TRUE(WriteOne(&store, writer.Truncate(store, 6)).ok());
  EXPECT_TRUE(store.Quarantines(kLog)->empty());
  EXPECT_EQ(store.Recover(kLog)->last_index, 6U);
}

TEST(MemoryStore, CrashForgetsUnsyncedWritesButTheFirst) {
  for (size_t keep = 0; keep <= 4; ++keep) {
    MemoryStore store("node-a");
    Writer writer;
    Fill(&store, &writer);
    store.hold_writes(true);
    for (uint64_t position = 20; position < 23; ++position) {
      LogWrite write = writer.Append({Put("p9", "x", position, "v")});
      write.hard.emplace().commit_index = position;
      ASSERT_TRUE(WriteOne(&store, write).ok());
    }
    EXPECT_EQ(store.unsynced(), 3U);
    EXPECT_EQ(store.Recover(kLog)->last_index, 9U);  // readers see it all
    store.Crash(keep);
    EXPECT_EQ(store.unsynced(), 0U);
    uint64_t kept = std::min(keep, size_t{3});
    Result<Recovered> recovered = store.Recover(kLog);
    EXPECT_EQ(recovered->last_index, 6 + kept);
    EXPECT_EQ(recovered->hard.commit_index, kept == 0 ? 0 : 19 + kept);
    EXPECT_EQ(Items(store, "p9", 99).size(), kept);
    EXPECT_EQ(recovered->positions.at("pg").second, 6 + kept);
    EXPECT_EQ(store.TreeNode(kLog, 0, 6 + kept).status().code(), Code::kNotFound);
  }
}

TEST(MemoryStore, CrashUndoesATruncation) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  Digest root = writer.root();
  store.hold_writes(true);
  ASSERT_TRUE(WriteOne(&store, writer.Truncate(store, 1)).ok());
  EXPECT_EQ(store.Quarantines(kLog)->size(), 1U);
  EXPECT_TRUE(store.Recover(kLog)->positions.empty());
  store.Crash(0);
  EXPECT_TRUE(store.Quarantines(kLog)->empty());
  EXPECT_EQ(*store.RootAt(kLog, 6), root);
  EXPECT_EQ(Items(store, "", 9).size(), 4U);
}

TEST(MemoryStore, SyncMakesTheOldestWritesDurable) {
  MemoryStore store("node-a");
  Writer writer;
  store.hold_writes(true);
  for (uint64_t position = 1; position <= 5; ++position) {
    ASSERT_TRUE(WriteOne(&store, writer.Append({Put("p", "x", position, "v")})).ok());
  }
  store.SyncFirst(2);
  EXPECT_EQ(store.unsynced(), 3U);
  store.Crash(0);
  EXPECT_EQ(store.Recover(kLog)->last_index, 2U);
}

TEST(MemoryStore, ADurableWriteTakesHeldOnesAlong) {
  MemoryStore store("node-a");
  Writer writer;
  store.hold_writes(true);
  ASSERT_TRUE(WriteOne(&store, writer.Append({Put("p", "x", 1, "v")})).ok());
  store.hold_writes(false);
  ASSERT_TRUE(WriteOne(&store, writer.Append({Put("p", "x", 2, "v")})).ok());
  EXPECT_EQ(store.unsynced(), 0U);
  store.Crash(0);
  EXPECT_EQ(store.Recover(kLog)->last_index, 2U);
}

TEST(MemoryStore, AFailedWriteClosesIt) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  store.FailWrites(Status(Code::kIo, "fsync failed"));
  LogWrite write = writer.Append({Put("p", "x", 20, "v")});
  EXPECT_EQ(WriteOne(&store, write).message(), "fsync failed");
  EXPECT_EQ(WriteOne(&store, write).message(), "fsync failed");
  EXPECT_EQ(store.Recover(kLog)->last_index, 6U);
  store.Crash(0);  // and restarted
  EXPECT_TRUE(WriteOne(&store, write).ok());
}

TEST(MemoryStore, WipeTakesTheIdentityToo) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  store.Wipe();
  EXPECT_NE(store.node_uuid(), "node-a");
  EXPECT_TRUE(store.Logs()->empty());
  EXPECT_EQ(store.Recover(kLog)->last_index, 0U);
  std::string second = store.node_uuid();
  store.Wipe();
  EXPECT_NE(store.node_uuid(), second);
}

TEST(MemoryStore, CorruptFramesAreNamed) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  EXPECT_FALSE(store.CorruptFrame(kLog, 7));
  EXPECT_FALSE(store.CorruptFrame("other", 1));
  EXPECT_TRUE(store.CorruptFrame(kLog, 4));
  EXPECT_TRUE(store.Read(kLog, 1, 3, 1000).ok());
  store.Crash(0);
  Status status = store.Read(kLog, 1, 6, 1000).status();
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.message().find("log tebo index 4"), std::string::npos) << status.message();
  EXPECT_TRUE(store.Recover(kLog).ok());
  EXPECT_TRUE(store.CorruptFrame(kLog, 5));
  EXPECT_EQ(store.Recover(kLog).status().code(), Code::kCorrupt);
}

TEST(MemoryStore, AVisitorMayCallTheStore) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  int visits = 0;
  Status status = store.VisitItems(kLog, {}, [&](const ItemVersion& version) {
    EXPECT_TRUE(store.Read(kLog, version.index, version.index, 1).ok());
    return ++visits < 2 ? Visit::kNext : Visit::kStop;
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(visits, 2);
}

TEST(MemoryStoreDeathTest, ChecksThatABatchContinuesTheLog) {
  MemoryStore store("node-a");
  Writer writer;
  Fill(&store, &writer);
  LogWrite skipping = writer.Append({Put("p", "x", 20, "v")});
  LogWrite after = writer.Append({Put("p", "x", 21, "v")});
  EXPECT_DEATH({ [[maybe_unused]] Status s = WriteOne(&store, after); }, "does not continue");
  LogWrite without_nodes = skipping;
  without_nodes.nodes.clear();
  EXPECT_DEATH({ [[maybe_unused]] Status s = WriteOne(&store, without_nodes); }, "tree nodes");
  LogWrite beyond = after;
  beyond.batch = nullptr;
  beyond.nodes.clear();
  beyond.truncate = Truncation{.after = 7, .origin = "", .time_us = 0, .acknowledged_to = 0};
  EXPECT_DEATH({ [[maybe_unused]] Status s = WriteOne(&store, beyond); }, "last_index");
}

}  // namespace
}  // namespace kembar
