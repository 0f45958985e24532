// Replica, stepped by hand: a few nodes with in-memory stores and a perfect network, one turn at a
// time. Faults are the simulator's business (tests/sim); here each rule is shown once, readably.
#include "replicator/core/replica.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "replicator/log/memory_store.h"

namespace kembar {
namespace {

class Node : public LogReader {
 public:
  Node(std::string name, std::unique_ptr<MemoryStore> store)
      : name_(std::move(name)), store_(std::move(store)) {}

  Result<Digest> RootAt(uint64_t size) const override { return store_->RootAt("tebo", size); }

  std::string name_;
  std::unique_ptr<MemoryStore> store_;
  std::unique_ptr<Replica> replica_;
};

class ReplicaTest : public ::testing::Test {
 protected:
  void Start(const std::string& name) {
    if (!nodes_.contains(name)) {
      nodes_[name] = std::make_unique<Node>(name, std::make_unique<MemoryStore>("uuid-" + name));
    }
    Node& node = *nodes_[name];
    ReplicaOptions options;
    options.log = "tebo";
    options.self = name;
    options.address = name + ":7401";
    node.replica_ = std::make_unique<Replica>(options, &node, *node.store_->Recover("tebo"), now_);
    for (auto& [other, peer] : nodes_) {
      if (other == name || !peer->replica_) continue;
      Event(name, Connected{other});
      Event(other, Connected{name});
    }
  }
  void Kill(const std::string& name) {
    nodes_[name]->replica_.reset();
    for (auto& [other, peer] : nodes_) {
      if (peer->replica_) Event(other, Disconnected{name});
    }
  }
  void Event(const std::string& name, kembar::Event event) {
    queue_.emplace_back(name, std::move(event));
    Drain();
  }
  void Drain() {
    if (draining_) return;
    draining_ = true;
    while (!queue_.empty()) {
      auto [name, event] = std::move(queue_.front());
      queue_.pop_front();
      Replica* replica = nodes_[name]->replica_.get();
      if (!replica) continue;
      Actions actions;
      replica->Step(std::move(event), now_, &actions);
      replica->Flush(now_, &actions);
      for (Action& action : actions) Carry(name, action);
    }
    draining_ = false;
  }
  void Carry(const std::string& name, Action& action) {
    Node& node = *nodes_[name];
    if (auto* persist = std::get_if<Persist>(&action)) {
      const bool reload = persist->write.truncate.has_value();
      Status status = node.store_->Write({&persist->write, 1});
      if (reload) node.replica_->Reload(*node.store_->Recover("tebo"));
      queue_.emplace_back(name, Persisted{status});
    } else if (auto* send = std::get_if<Send>(&action)) {
      if (!cut_.contains({name, send->peer})) {
        queue_.emplace_back(send->peer, Received{name, std::move(send->message)});
      }
    } else if (auto* read = std::get_if<ReadAndSend>(&action)) {
      Result<FrameBatch> batch =
          node.store_->Read("tebo", read->first_index, read->last_index, read->bytes_max);
      ASSERT_TRUE(batch.ok());
      auto shared = std::make_shared<const FrameBatch>(*std::move(batch));
      read->header.batch = shared;
      queue_.emplace_back(read->peer, Received{name, read->header});
      queue_.emplace_back(
          name,
          ReadDone{
              read->peer, read->session, {}, shared->last_index(), shared->root, shared->bytes});
    } else if (auto* reply = std::get_if<Reply>(&action)) {
      replies_[reply->ticket] = *reply;
    }
  }
  void Pass(int64_t ms) {
    for (int64_t end = now_.mono_ms + ms; now_.mono_ms < end;) {
      now_.mono_ms += 100;
      now_.wall_us += 100'000;
      for (auto& [name, node] : nodes_) {
        if (node->replica_) Event(name, Tick{});
      }
    }
  }
  static Config MakeConfig(std::initializer_list<std::string> names,
                           Mode mode = Mode::kMaxProtection) {
    Config config;
    for (const std::string& name : names) config.members.push_back({name, name + ":7401"});
    config.mode = mode;
    return config;
  }
  void Create(const std::string& name, Config config) {
    CreateLog order{++ticket_, {.log_uuid = "log-1", .config = std::move(config)}};
    Event(name, order);
    ASSERT_TRUE(replies_.at(ticket_).status.ok()) << replies_.at(ticket_).status.ToString();
  }
  // Returns the ticket.
  Ticket Append(const std::string& name, uint64_t position, const std::string& payload = "row") {
    AppendRequest request;
    request.ticket = ++ticket_;
    request.source = "spse";
    request.position = position;
    request.drafts = {Draft{.package = "tender/1", .item = "row", .payload = payload}};
    Event(name, request);
    return request.ticket;
  }
  bool Acknowledged(Ticket ticket) {
    auto it = replies_.find(ticket);
    return it != replies_.end() && it->second.status.ok();
  }
  Reply Fence(const std::string& name, uint64_t epoch, const std::string& candidate) {
    Event(name, FenceRequest{++ticket_, epoch, candidate});
    return replies_.at(ticket_);
  }
  Reply Promote(const std::string& name, uint64_t epoch, Config config, bool lossy = false) {
    Event(name,
          PromoteRequest{
              ++ticket_, epoch, {.config = std::move(config), .lossy = lossy, .reason = "test"}});
    return replies_.at(ticket_);
  }
  ReplicaStatus Status_(const std::string& name) { return nodes_[name]->replica_->status(now_); }

  Now now_{1'000, 1'700'000'000'000'000};
  std::map<std::string, std::unique_ptr<Node>> nodes_;
  std::deque<std::pair<std::string, kembar::Event>> queue_;
  std::set<std::pair<std::string, std::string>> cut_;
  std::map<Ticket, Reply> replies_;
  Ticket ticket_ = 0;
  bool draining_ = false;
};

TEST_F(ReplicaTest, AppendIsAcknowledgedWhenBothSitesHoldIt) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(1'000);
  Ticket ticket = Append("tebo", 1);
  ASSERT_TRUE(Acknowledged(ticket));
  EXPECT_EQ(replies_[ticket].index, 2u);
  EXPECT_EQ(replies_[ticket].sites, 2u);
  Pass(500);
  EXPECT_EQ(Status_("tebo").state, LogState::kProtected);
  EXPECT_EQ(Status_("jambi").commit_index, 2u);
  EXPECT_EQ(Status_("jambi").durable_root, Status_("tebo").durable_root);
}

TEST_F(ReplicaTest, WithoutItsMirrorNothingIsAcknowledgedAndNothingIsDoubled) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(1'000);
  Kill("jambi");
  Ticket first = Append("tebo", 1);
  Ticket again = Append("tebo", 1);
  Pass(3'000);
  EXPECT_FALSE(replies_.contains(first));
  EXPECT_EQ(Status_("tebo").state, LogState::kStalled);
  Start("jambi");
  Pass(1'000);
  EXPECT_TRUE(Acknowledged(first));
  ASSERT_TRUE(Acknowledged(again));
  EXPECT_TRUE(replies_[again].duplicate);
  EXPECT_EQ(replies_[again].index, replies_[first].index);
  EXPECT_EQ(Status_("tebo").last_index, 2u);
}

TEST_F(ReplicaTest, FailoverFencesTheOldPrimaryAndItsTailGoesToQuarantine) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(1'000);
  ASSERT_TRUE(Acknowledged(Append("tebo", 1)));
  cut_ = {{"tebo", "jambi"}, {"jambi", "tebo"}};
  Ticket lost = Append("tebo", 2);
  const uint64_t epoch = NextEpoch(kFirstEpoch);
  ASSERT_TRUE(Fence("jambi", epoch, "jambi").status.ok());
  Config alone = MakeConfig({"jambi"});
  alone.left_out = {{"tebo", "tebo:7401"}};
  ASSERT_TRUE(Promote("jambi", epoch, alone).status.ok());
  ASSERT_TRUE(Acknowledged(Append("jambi", 2, "other")));
  EXPECT_EQ(Status_("jambi").state, LogState::kSolo);
  EXPECT_FALSE(replies_.contains(lost));
  cut_.clear();
  Pass(3'000);
  EXPECT_FALSE(Status_("tebo").role == Role::kPrimary);
  ASSERT_TRUE(replies_.contains(lost));
  EXPECT_FALSE(replies_[lost].status.ok());
  EXPECT_EQ(Status_("tebo").durable_root, Status_("jambi").durable_root);
  EXPECT_EQ(Status_("jambi").state, LogState::kProtected);  // tebo is a member again
  auto quarantines = nodes_["tebo"]->store_->Quarantines("tebo");
  ASSERT_TRUE(quarantines.ok());
  ASSERT_EQ(quarantines->size(), 1u);
  EXPECT_EQ((*quarantines)[0].first_index, 3u);
  EXPECT_EQ((*quarantines)[0].acknowledged_to, 0u);
  EXPECT_TRUE(Acknowledged(Append("jambi", 3)));
}

TEST_F(ReplicaTest, WipedNodeComesBackAsMirror) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(1'000);
  for (uint64_t p = 1; p <= 50; ++p) ASSERT_TRUE(Acknowledged(Append("tebo", p)));
  Kill("tebo");
  const uint64_t epoch = NextEpoch(kFirstEpoch);
  ASSERT_TRUE(Fence("jambi", epoch, "jambi").status.ok());
  Config alone = MakeConfig({"jambi"});
  alone.left_out = {{"tebo", "tebo:7401"}};
  ASSERT_TRUE(Promote("jambi", epoch, alone).status.ok());
  nodes_["tebo"]->store_->Wipe();
  Start("tebo");
  Pass(3'000);
  EXPECT_EQ(Status_("tebo").durable_index, Status_("jambi").last_index);
  EXPECT_EQ(Status_("jambi").state, LogState::kProtected);
  EXPECT_TRUE(Acknowledged(Append("jambi", 51)));
}

TEST_F(ReplicaTest, RestartedPrimaryGoesOnInANewEpoch) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(1'000);
  ASSERT_TRUE(Acknowledged(Append("tebo", 1)));
  Kill("tebo");
  Start("tebo");
  Pass(2'000);
  EXPECT_EQ(Status_("tebo").role, Role::kPrimary);
  EXPECT_EQ(EpochNumber(Status_("tebo").epoch), 1u);
  EXPECT_EQ(EpochRestarts(Status_("tebo").epoch), 1u);
  EXPECT_TRUE(Acknowledged(Append("tebo", 2)));
  Ticket again = Append("tebo", 1);
  ASSERT_TRUE(Acknowledged(again));
  EXPECT_TRUE(replies_[again].duplicate);
}

TEST_F(ReplicaTest, RestartedOldPrimaryDoesNotOutbidTheNewOne) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(1'000);
  ASSERT_TRUE(Acknowledged(Append("tebo", 1)));
  Kill("tebo");
  const uint64_t epoch = NextEpoch(kFirstEpoch);
  ASSERT_TRUE(Fence("jambi", epoch, "jambi").status.ok());
  Config alone = MakeConfig({"jambi"});
  alone.left_out = {{"tebo", "tebo:7401"}};
  ASSERT_TRUE(Promote("jambi", epoch, alone).status.ok());
  cut_ = {{"tebo", "jambi"}, {"jambi", "tebo"}};
  for (int i = 0; i < 3; ++i) {
    Start("tebo");
    Pass(1'000);
    EXPECT_EQ(Status_("tebo").role, Role::kPrimary);
    EXPECT_FALSE(Acknowledged(Append("tebo", 2 + static_cast<uint64_t>(i))));
    Kill("tebo");
  }
  cut_.clear();
  Start("tebo");
  Pass(3'000);
  EXPECT_EQ(Status_("jambi").role, Role::kPrimary);
  EXPECT_EQ(Status_("tebo").role, Role::kMirror);
  EXPECT_EQ(Status_("tebo").durable_root, Status_("jambi").durable_root);
}

TEST_F(ReplicaTest, PromiseGivenOnceIsRefusedToAnother) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(500);
  const uint64_t epoch = NextEpoch(kFirstEpoch);
  ASSERT_TRUE(Fence("jambi", epoch, "jambi").status.ok());
  EXPECT_EQ(Fence("jambi", epoch, "tebo").status.code(), Code::kFenced);
  EXPECT_TRUE(Fence("jambi", epoch, "jambi").status.ok());
  EXPECT_EQ(Fence("jambi", epoch + 1, "jambi").status.code(), Code::kInvalid);
  EXPECT_EQ(Promote("tebo", epoch, MakeConfig({"tebo", "jambi"})).status.code(), Code::kFenced);
}

TEST_F(ReplicaTest, GapInASourceIsRefused) {
  Start("tebo");
  Create("tebo", MakeConfig({"tebo"}));
  ASSERT_TRUE(Acknowledged(Append("tebo", 5)));
  AppendRequest request;
  request.ticket = ++ticket_;
  request.source = "spse";
  request.position = 7;
  request.after_position = 6;
  request.drafts = {Draft{.package = "p", .item = "i"}};
  Event("tebo", request);
  EXPECT_EQ(replies_.at(ticket_).status.code(), Code::kGap);
}

TEST_F(ReplicaTest, MaxAvailabilityGoesSoloWithAnAlarmAndComesBack) {
  Start("tebo");
  Start("jambi");
  Config config = MakeConfig({"tebo", "jambi"}, Mode::kMaxAvailability);
  config.solo_after_ms = 5'000;
  Create("tebo", config);
  Pass(1'000);
  Kill("jambi");
  Ticket waiting = Append("tebo", 1);
  Pass(3'000);
  EXPECT_FALSE(replies_.contains(waiting));
  Pass(6'000);
  EXPECT_TRUE(Acknowledged(waiting));
  EXPECT_EQ(Status_("tebo").state, LogState::kSolo);
  EXPECT_TRUE(Status_("tebo").control.config.solo);
  Start("jambi");
  Pass(3'000);
  EXPECT_EQ(Status_("tebo").state, LogState::kProtected);
  EXPECT_FALSE(Status_("tebo").control.config.solo);
}

TEST_F(ReplicaTest, MirrorRefusesToCutCommittedRecordsOff) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(1'000);
  for (uint64_t p = 1; p <= 10; ++p) ASSERT_TRUE(Acknowledged(Append("tebo", p)));
  Pass(500);
  // Tebo's disk is put back to an older state: a fork, not a rejoin.
  Kill("tebo");
  auto old = std::make_unique<MemoryStore>("uuid-tebo");
  Recovered full = *nodes_["tebo"]->store_->Recover("tebo");
  FrameBatch part = *nodes_["tebo"]->store_->Read("tebo", 1, 5, 1 << 20);
  merkle::Frontier frontier;
  LogWrite write{.log = "tebo"};
  for (const std::string& frame : part.frames)
    frontier.Append(merkle::HashLeaf(frame), &write.nodes);
  write.batch = std::make_shared<const FrameBatch>(part);
  write.hard = full.hard;
  write.hard->commit_index = 5;
  ASSERT_TRUE(old->Write({&write, 1}).ok());
  nodes_["tebo"]->store_ = std::move(old);
  Start("tebo");
  Pass(3'000);
  EXPECT_FALSE(Status_("jambi").hard.alarm.empty());
  EXPECT_EQ(Status_("jambi").durable_index, 11u);
  EXPECT_EQ(Status_("tebo").state, LogState::kStalled);
}

// Tebo reigns on with an old disk that holds 6 of 11 records; jambi holds all and has an alarm.
class AlarmTest : public ReplicaTest {
 protected:
  void SetUp() override {
    Start("tebo");
    Start("jambi");
    Create("tebo", MakeConfig({"tebo", "jambi"}));
    Pass(1'000);
    for (uint64_t p = 1; p <= 5; ++p) ASSERT_TRUE(Acknowledged(Append("tebo", p)));
    const auto old = nodes_["tebo"]->store_->Save();
    for (uint64_t p = 6; p <= 10; ++p) ASSERT_TRUE(Acknowledged(Append("tebo", p)));
    Pass(500);
    Kill("tebo");
    nodes_["tebo"]->store_->Restore(*old);
    Start("tebo");
    Pass(3'000);
    ASSERT_FALSE(Status_("jambi").hard.alarm.empty());
    ASSERT_EQ(Status_("jambi").hard.alarm_index, 7u);
  }
  Reply Repair(const std::string& name) {
    Event(name, RepairRequest{++ticket_, "operator@desk", "tebo is right"});
    return replies_.at(ticket_);
  }
  Config config_ = MakeConfig({"tebo", "jambi"});
};

TEST_F(AlarmTest, PromotionNeedsAcceptedLossAndEndsIt) {
  const uint64_t epoch = NextEpoch(Status_("jambi").hard.promised_epoch);
  EXPECT_FALSE(Fence("jambi", epoch, "jambi").fence->alarm.empty());
  Fence("tebo", epoch, "jambi");
  EXPECT_EQ(Promote("jambi", epoch, config_).status.code(), Code::kPrecondition);
  ASSERT_TRUE(Promote("jambi", epoch, config_, /*lossy=*/true).status.ok());
  Pass(3'000);
  EXPECT_TRUE(Status_("jambi").hard.alarm.empty());
  EXPECT_EQ(Status_("jambi").state, LogState::kProtected);
  EXPECT_EQ(Status_("tebo").durable_root, Status_("jambi").durable_root);
  EXPECT_EQ(nodes_["tebo"]->store_->Quarantines("tebo")->size(), 1u);
}

TEST_F(AlarmTest, RepairMovesWhatDiffersToQuarantineAndTheNodeMayReignAgain) {
  const Reply reply = Repair("jambi");
  ASSERT_TRUE(reply.status.ok()) << reply.status.ToString();
  EXPECT_EQ(reply.index, 7u);
  EXPECT_EQ(reply.quarantined, 5u);
  const QuarantineInfo info = nodes_["jambi"]->store_->Quarantines("tebo")->front();
  EXPECT_EQ(info.acknowledged_to, 11u);
  for (const char* part : {"repair", "operator@desk", "tebo is right", "lacks committed records"}) {
    EXPECT_NE(info.origin.find(part), std::string::npos) << info.origin;
  }
  Pass(3'000);
  EXPECT_TRUE(Status_("jambi").trouble.empty()) << Status_("jambi").trouble;
  EXPECT_EQ(Status_("tebo").state, LogState::kProtected);
  EXPECT_EQ(Status_("jambi").durable_root, Status_("tebo").durable_root);
  const uint64_t epoch = NextEpoch(Status_("jambi").hard.promised_epoch);
  EXPECT_TRUE(Fence("jambi", epoch, "jambi").status.ok());
  EXPECT_TRUE(Promote("jambi", epoch, config_).status.ok());
}

TEST_F(ReplicaTest, AfterARepairTheNodeMayNotReignBeforeItHoldsWhatThePrimaryHadCommitted) {
  for (const char* name : {"tebo", "jambi", "bungo"}) Start(name);
  const Config config = MakeConfig({"tebo", "jambi", "bungo"});
  Create("tebo", config);
  Pass(1'000);
  ASSERT_TRUE(Acknowledged(Append("tebo", 1)));
  Pass(500);
  const auto old = nodes_["tebo"]->store_->Save();
  Kill("bungo");
  for (uint64_t p = 2; p <= 4; ++p) ASSERT_TRUE(Acknowledged(Append("tebo", p)));
  Pass(500);
  Kill("tebo");
  nodes_["tebo"]->store_->Restore(*old);
  Start("tebo");
  Start("bungo");  // knows nothing of what came after the old disk: tebo goes on with it
  Pass(3'000);
  for (uint64_t p = 2; p <= 9; ++p) ASSERT_TRUE(Acknowledged(Append("tebo", p, "again")));
  Pass(500);
  ASSERT_FALSE(Status_("jambi").hard.alarm.empty());
  cut_.insert({"jambi", "tebo"});  // it hears, and cannot ask for what it misses
  Event("jambi", RepairRequest{++ticket_, "operator@desk", ""});
  ASSERT_TRUE(replies_.at(ticket_).status.ok());
  EXPECT_EQ(Status_("jambi").hard.must_reach, Status_("tebo").commit_index);
  EXPECT_LT(Status_("jambi").durable_index, Status_("jambi").hard.must_reach);
  const uint64_t early = NextEpoch(Status_("tebo").epoch);
  ASSERT_TRUE(Fence("jambi", early, "jambi").status.ok());
  EXPECT_EQ(Promote("jambi", early, config).status.code(), Code::kPrecondition);
  cut_.clear();
  const uint64_t epoch = NextEpoch(early);
  for (const char* name : {"tebo", "bungo"}) ASSERT_TRUE(Fence(name, epoch, "tebo").status.ok());
  ASSERT_TRUE(Promote("tebo", epoch, config).status.ok());
  Pass(3'000);
  const uint64_t last = NextEpoch(epoch);
  ASSERT_TRUE(Fence("jambi", last, "jambi").status.ok());
  EXPECT_TRUE(Promote("jambi", last, config).status.ok());
}

TEST_F(AlarmTest, RepairIsRefusedWhereThereIsNothingToRepairOrNobodyToRepairTo) {
  EXPECT_EQ(Repair("tebo").status.code(), Code::kPrecondition);
  Kill("tebo");
  Pass(3'000);
  EXPECT_EQ(Repair("jambi").status.code(), Code::kUnavailable);
  Start("tebo");
  Pass(1'000);
  ASSERT_TRUE(Repair("jambi").status.ok());
  EXPECT_EQ(Repair("jambi").status.code(), Code::kPrecondition);
}

TEST_F(ReplicaTest, LagIsExactInBytesWhileItIsInMemory) {
  Start("tebo");
  Start("jambi");
  Create("tebo", MakeConfig({"tebo", "jambi"}));
  Pass(1'000);
  ASSERT_EQ(Status_("tebo").peers[0].lag_bytes, 0u);
  cut_.insert({"tebo", "jambi"});
  Append("tebo", 1, std::string(1'000, 'x'));
  Append("tebo", 2, std::string(50, 'x'));
  const FrameBatch behind = *nodes_["tebo"]->store_->Read("tebo", 2, 3, 1 << 20);
  EXPECT_EQ(Status_("tebo").peers[0].lag_bytes, behind.bytes);
}

}  // namespace
}  // namespace kembar
