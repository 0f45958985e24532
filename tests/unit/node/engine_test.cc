// engine_test.cc — the engine's promises, with two engines joined in memory.
#include "node/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/node/engine_fixture.h"

namespace kembar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeAppend;
using testing::MakeControl;
using testing::MakeDraft;
using testing::Nodes;
using testing::TestNode;
using testing::WaitUntil;

constexpr auto kSoon = std::chrono::seconds(10);

class EngineTest : public ::testing::Test {
 protected:
  void Create(const std::string& log = "tebo", Mode mode = Mode::kMaxProtection) {
    const Reply reply = tebo_.Order(log, CreateLog{.state = MakeControl({"tebo", "jambi"}, mode)});
    ASSERT_TRUE(reply.status.ok()) << reply.status.ToString();
  }

  Nodes nodes_;
  TestNode& tebo_ = nodes_.Add("tebo");
  TestNode& jambi_ = nodes_.Add("jambi");
};

TEST_F(EngineTest, AppendIsAcknowledgedWhenBothSitesHoldIt) {
  Create();
  nodes_.Link("tebo", "jambi", true);
  const Reply reply = tebo_.Append("tebo", MakeAppend(1)).get();
  ASSERT_TRUE(reply.status.ok()) << reply.status.ToString();
  EXPECT_EQ(reply.index, 2u);
  EXPECT_EQ(reply.sites, 2u);
  EXPECT_EQ(jambi_.StatusOf("tebo").durable_index, 2u);
  EXPECT_TRUE(WaitUntil([&] { return jambi_.engine->CommitIndex("tebo") == 2; }));
  EXPECT_EQ(tebo_.engine->stats().appended_records, 1u);
  EXPECT_EQ(tebo_.engine->stats().acknowledged_batches, 1u);
  EXPECT_GT(tebo_.engine->stats().write_groups, 0u);
  EXPECT_THAT(jambi_.engine->Logs(), ElementsAre("tebo"));
}

TEST_F(EngineTest, BadAppendsAreRefusedAtOnce) {
  Create();
  AppendRequest none;
  none.source = "uji";
  none.position = 1;
  EXPECT_EQ(tebo_.Append("tebo", none).get().status.code(), Code::kInvalid);
  AppendRequest bad = MakeAppend(1);
  bad.drafts.push_back(MakeDraft("x"));
  bad.drafts.back().kind = RecordKind::kEpochStart;
  const Reply reply = tebo_.Append("tebo", bad).get();
  EXPECT_EQ(reply.status.code(), Code::kInvalid);
  EXPECT_THAT(reply.status.message(), HasSubstr("drafts[1]"));
  AppendRequest big = MakeAppend(1);
  for (int i = 0; i < 3; ++i) big.drafts.push_back(MakeDraft("big", std::string(16 << 20, 'x')));
  EXPECT_EQ(tebo_.Append("tebo", big).get().status.code(), Code::kInvalid);
  EXPECT_EQ(tebo_.Append("no-such-log", MakeAppend(1)).get().status.code(), Code::kNotFound);
  EXPECT_EQ(tebo_.engine->stats().refused_appends, 4u);
}

TEST_F(EngineTest, MirrorRefusesAppends) {
  Create();
  nodes_.Link("tebo", "jambi", true);
  ASSERT_TRUE(WaitUntil([&] { return jambi_.StatusOf("tebo").durable_index == 1; }));
  EXPECT_EQ(jambi_.Append("tebo", MakeAppend(1)).get().status.code(), Code::kNotPrimary);
}

TEST_F(EngineTest, GivingUpSaysWhatIsMissingAndARetryDoesNotDouble) {
  Create();
  Ticket ticket = 0;
  auto waiting = tebo_.Append("tebo", MakeAppend(1), &ticket);
  ASSERT_TRUE(WaitUntil([&] { return tebo_.StatusOf("tebo").durable_index == 2; }));
  tebo_.engine->GiveUp("tebo", ticket);
  const Reply given_up = waiting.get();
  EXPECT_EQ(given_up.status.code(), Code::kTimeout);
  EXPECT_THAT(given_up.status.message(), HasSubstr("at index 2"));
  EXPECT_THAT(given_up.status.message(), HasSubstr("mirror jambi (no link)"));
  tebo_.engine->GiveUp("tebo", ticket);  // once more does no harm

  auto retry = tebo_.Append("tebo", MakeAppend(1));
  nodes_.Link("tebo", "jambi", true);
  const Reply reply = retry.get();
  ASSERT_TRUE(reply.status.ok()) << reply.status.ToString();
  EXPECT_TRUE(reply.duplicate);
  EXPECT_EQ(reply.index, 2u);
  EXPECT_EQ(tebo_.StatusOf("tebo").last_index, 2u);
}

TEST_F(EngineTest, WaitCommitWakesOnceTheIndexIsExceeded) {
  Create();
  std::promise<void> woken;
  auto future = woken.get_future();
  tebo_.engine->WaitCommit("tebo", 1, [&] { woken.set_value(); });
  const uint64_t cancelled = tebo_.engine->WaitCommit("tebo", 1, [] { FAIL() << "was cancelled"; });
  tebo_.engine->CancelWait(cancelled);
  auto append = tebo_.Append("tebo", MakeAppend(1));
  EXPECT_EQ(future.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  nodes_.Link("tebo", "jambi", true);
  EXPECT_EQ(future.wait_for(kSoon), std::future_status::ready);
  EXPECT_TRUE(append.get().status.ok());
  bool at_once = false;
  EXPECT_EQ(tebo_.engine->WaitCommit("tebo", 0, [&] { at_once = true; }), 0u);
  EXPECT_TRUE(at_once);
}

TEST_F(EngineTest, StopAnswersEveryoneAndRefusesNewWork) {
  Create();
  auto waiting = tebo_.Append("tebo", MakeAppend(1));
  std::promise<void> woken;
  tebo_.engine->WaitCommit("tebo", 100, [&] { woken.set_value(); });
  tebo_.engine->Stop();
  EXPECT_EQ(waiting.get().status.code(), Code::kCancelled);
  EXPECT_EQ(woken.get_future().wait_for(kSoon), std::future_status::ready);
  EXPECT_EQ(tebo_.Append("tebo", MakeAppend(2)).get().status.code(), Code::kCancelled);
  EXPECT_EQ(tebo_.Order("tebo", ResumeAppends{}).status.code(), Code::kCancelled);
  EXPECT_EQ(tebo_.engine->ReadStatus("").status().code(), Code::kCancelled);
  tebo_.engine->Stop();
}

TEST_F(EngineTest, AFailedWriteClosesTheStore) {
  Create("tebo", Mode::kMaxPerformance);
  ASSERT_TRUE(tebo_.Append("tebo", MakeAppend(1)).get().status.ok());
  tebo_.store.FailWrites(Status(Code::kIo, "fsync: input/output error"));
  const Reply reply = tebo_.Append("tebo", MakeAppend(2)).get();
  EXPECT_EQ(reply.status.code(), Code::kIo);
  EXPECT_THAT(reply.status.message(), HasSubstr("input/output error"));
  EXPECT_THAT(tebo_.engine->stats().store_error, HasSubstr("input/output error"));
  EXPECT_EQ(tebo_.Append("tebo", MakeAppend(3)).get().status.code(), Code::kIo);
  EXPECT_THAT(tebo_.StatusOf("tebo").trouble, HasSubstr("closed for writing"));
}

TEST_F(EngineTest, ARefusedCreationLeavesNothing) {
  const Reply reply = tebo_.Order("tebo", CreateLog{.state = MakeControl({"jambi", "muaro"})});
  EXPECT_EQ(reply.status.code(), Code::kInvalid);
  EXPECT_TRUE(WaitUntil([&] { return tebo_.engine->Logs().empty(); }));
  EXPECT_EQ(tebo_.engine->ReadStatus("tebo").status().code(), Code::kNotFound);
  EXPECT_EQ(tebo_.Order("te/bo", CreateLog{.state = MakeControl({"tebo"})}).status.code(),
            Code::kInvalid);
  Create();
  EXPECT_EQ(tebo_.Order("tebo", CreateLog{.state = MakeControl({"tebo"})}).status.code(),
            Code::kExists);
  EXPECT_THAT(tebo_.engine->Logs(), ElementsAre("tebo"));
}

TEST_F(EngineTest, ALogThatMayNotBeMirroredHereIsNot) {
  jambi_.accepts_logs = false;
  Create();
  nodes_.Link("tebo", "jambi", true);
  Ticket ticket = 0;
  auto waiting = tebo_.Append("tebo", MakeAppend(1), &ticket);
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  EXPECT_THAT(jambi_.engine->Logs(), IsEmpty());
}

TEST_F(EngineTest, AMirrorCatchesUpFromDiskWhatIsNoLongerInMemory) {
  Create("tebo", Mode::kMaxPerformance);
  constexpr uint64_t kCount = 60;  // 30 MiB, more than the tail kept in memory
  for (uint64_t i = 1; i <= kCount; ++i) {
    ASSERT_TRUE(tebo_.Append("tebo", MakeAppend(i, std::string(512 << 10, 'a'))).get().status.ok());
  }
  nodes_.Link("tebo", "jambi", true);
  EXPECT_TRUE(WaitUntil([&] { return jambi_.StatusOf("tebo").durable_index == kCount + 1; }));
  EXPECT_GT(tebo_.engine->stats().catch_up_bytes, size_t{10} << 20);
  EXPECT_EQ(*jambi_.store.RootAt("tebo", kCount + 1), *tebo_.store.RootAt("tebo", kCount + 1));
}

TEST_F(EngineTest, TheOldPrimaryRejoinsAndItsTailIsKeptAside) {
  Create();
  nodes_.Link("tebo", "jambi", true);
  ASSERT_TRUE(tebo_.Append("tebo", MakeAppend(1)).get().status.ok());
  nodes_.Link("tebo", "jambi", false);
  auto lost = tebo_.Append("tebo", MakeAppend(2));  // held at tebo only
  ASSERT_TRUE(WaitUntil([&] { return tebo_.StatusOf("tebo").durable_index == 3; }));

  const uint64_t epoch = kFirstEpoch * 2;
  const Reply fenced = jambi_.Order("tebo", FenceRequest{.epoch = epoch, .candidate = "jambi"});
  ASSERT_TRUE(fenced.status.ok()) << fenced.status.ToString();
  ASSERT_TRUE(fenced.fence);
  EXPECT_EQ(fenced.fence->durable_index, 2u);
  const Reply promoted =
      jambi_.Order("tebo", PromoteRequest{.epoch = epoch, .state = MakeControl({"jambi", "tebo"})});
  ASSERT_TRUE(promoted.status.ok()) << promoted.status.ToString();
  auto append = jambi_.Append("tebo", MakeAppend(7));

  nodes_.Link("tebo", "jambi", true);
  EXPECT_TRUE(append.get().status.ok());
  EXPECT_FALSE(lost.get().status.ok());
  EXPECT_TRUE(WaitUntil([&] {
    return tebo_.StatusOf("tebo").durable_index == jambi_.StatusOf("tebo").durable_index;
  }));
  auto quarantines = tebo_.store.Quarantines("tebo");
  ASSERT_TRUE(quarantines.ok());
  ASSERT_EQ(quarantines->size(), 1u);
  EXPECT_EQ(quarantines->front().first_index, 3u);
  EXPECT_EQ(tebo_.StatusOf("tebo").role, Role::kMirror);
}

TEST_F(EngineTest, ManyLogsAndAppendersAtOnce) {
  constexpr int kLogs = 20, kThreads = 4;
  constexpr uint64_t kEach = 50;
  for (int i = 0; i < kLogs; ++i) Create("log-" + std::to_string(i));
  nodes_.Link("tebo", "jambi", true);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> good{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::future<Reply>> replies;
      for (uint64_t n = 1; n <= kEach; ++n) {
        for (int i = t; i < kLogs; i += kThreads) {
          replies.push_back(tebo_.Append("log-" + std::to_string(i), MakeAppend(n)));
        }
      }
      for (auto& reply : replies) good += reply.get().status.ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, kEach * kLogs);
  for (int i = 0; i < kLogs; ++i) {
    const std::string log = "log-" + std::to_string(i);
    EXPECT_EQ(*tebo_.store.RootAt(log, kEach + 1), *jambi_.store.RootAt(log, kEach + 1));
  }
  const Engine::Stats stats = tebo_.engine->stats();
  EXPECT_LT(stats.write_groups, stats.appended_records);  // groups were formed
}

TEST(EngineRestart, LogsAreRecoveredAndThePrimaryGoesOn) {
  Nodes nodes;
  TestNode& tebo = nodes.Add("tebo");
  ASSERT_TRUE(tebo.Order("tebo", CreateLog{.state = MakeControl({"tebo"})}).status.ok());
  ASSERT_TRUE(tebo.Append("tebo", MakeAppend(1)).get().status.ok());
  tebo.engine->Stop();
  EngineOptions options;
  options.node = "tebo";
  options.heartbeat_ms = 20;
  Engine again(options, &tebo.store, [](const std::string&, const std::string&, Message) {});
  ASSERT_TRUE(again.Start().ok());
  EXPECT_THAT(again.Logs(), ElementsAre("tebo"));
  std::atomic<uint64_t> index{0};
  EXPECT_TRUE(WaitUntil([&] {
    auto status = again.ReadStatus("tebo");
    return status.ok() && status->at("tebo").role == Role::kPrimary;
  }));
  again.Append("tebo", MakeAppend(2), [&](const Reply& reply) {
    EXPECT_TRUE(reply.status.ok()) << reply.status.ToString();
    index = reply.index;
  });
  EXPECT_TRUE(WaitUntil([&] { return index == 4; }));  // after a new EpochStart
  again.Stop();
}

}  // namespace
}  // namespace kembar
