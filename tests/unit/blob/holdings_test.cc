// holdings_test.cc — what nodes tell each other of their documents: what is told, when and to whom,
// what of it counts, and that it is bounded.
#include "node/blob/holdings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/inventory.h"
#include "tests/unit/node/engine_fixture.h"

namespace kembar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::MakeAppend;
using testing::MakeControl;
using testing::TestNode;
using testing::WaitUntil;

// A primary with one mirror, which is not there. Its log has records 1 to 5.
class HoldingsTest : public ::testing::Test {
 protected:
  HoldingsTest() {
    EXPECT_TRUE(node_.engine->Start().ok());
    const CreateLog create{.state = MakeControl({"tebo", "jambi"}, Mode::kMaxPerformance)};
    EXPECT_TRUE(node_.Order("log", create).status.ok());
    for (uint64_t i = 1; i <= 4; ++i) {
      EXPECT_EQ(node_.Append("log", MakeAppend(i)).get().index, i + 1);
    }
    epoch_ = ReadRecord(node_.store, "log", 5)->epoch;
  }
  ~HoldingsTest() override {
    if (holdings_) holdings_->Stop();
  }

  Holdings& Make(HoldingsOptions options = {}) {
    options.turn_ms = 2;
    options.documents = [this](const std::string&) {
      std::lock_guard lock(mutex_);
      ++looked_;
      return here_;
    };
    options.send = [this](const std::string& peer, const std::string& log, const Holding& holding) {
      EXPECT_EQ(log, "log");
      std::lock_guard lock(mutex_);
      sent_[peer].push_back(holding);
    };
    holdings_ = std::make_unique<Holdings>(options, node_.engine.get());
    return *holdings_;
  }
  // And waits until that was looked at.
  void Here(uint64_t checked_to, std::set<uint64_t> missing) {
    uint64_t before = 0;
    {
      std::lock_guard lock(mutex_);
      here_ = {checked_to, std::make_shared<const std::set<uint64_t>>(std::move(missing))};
      before = looked_;
    }
    EXPECT_TRUE(WaitUntil([&] {
      std::lock_guard lock(mutex_);
      return looked_ >= before + 2;
    }));
  }
  Holding Says(uint64_t known_to, std::vector<uint64_t> missing) const {
    return {known_to, epoch_, std::move(missing)};
  }
  std::vector<Holding> Sent(const std::string& peer) {
    std::lock_guard lock(mutex_);
    return sent_[peer];
  }
  bool Hears(const std::string& peer, const std::vector<Holding>& all) {
    return WaitUntil([&] { return Sent(peer) == all; });
  }

  TestNode node_{"tebo", nullptr};
  uint64_t epoch_ = 0;
  std::unique_ptr<Holdings> holdings_;
  std::mutex mutex_;
  DocumentsHere here_{2, nullptr};
  uint64_t looked_ = 0;
  std::map<std::string, std::vector<Holding>> sent_;
};

TEST(Holding, SpeaksOnlyOfWhatIsKnown) {
  const Holding holding{.known_to = 7, .epoch = 1, .missing = {3, 6}};
  EXPECT_TRUE(holding.Holds(1));
  EXPECT_FALSE(holding.Holds(3));
  EXPECT_FALSE(holding.Holds(6));
  EXPECT_TRUE(holding.Holds(7));
  EXPECT_FALSE(holding.Holds(8));
}

TEST_F(HoldingsTest, TellsTheLogsNodesWhatHasChanged) {
  Holdings& holdings = Make();
  holdings.PeerConnected("jambi");
  holdings.PeerConnected("stranger");
  holdings.Start();
  ASSERT_TRUE(Hears("jambi", {Says(2, {})}));
  Here(4, {3, 4, 5});  // 5 has not been looked at: it is being entered
  Here(4, {3, 4});
  Here(4, {});
  Here(5, {});
  EXPECT_TRUE(Hears("jambi", {Says(2, {}), Says(4, {3, 4}), Says(4, {}), Says(5, {})}));
  EXPECT_THAT(Sent("stranger"), IsEmpty());
}

TEST_F(HoldingsTest, WhoBecomesAMemberIsToldAlsoWhatHasNotChanged) {
  HoldingsOptions options;
  options.pause_ms = 1;
  Holdings& holdings = Make(options);
  holdings.PeerConnected("bungo");
  holdings.PeerConnected("jambi");
  holdings.Start();
  ASSERT_TRUE(Hears("jambi", {Says(2, {})}));
  EXPECT_THAT(Sent("bungo"), IsEmpty());
  Config config = node_.StatusOf("log").control.config;
  config.members.push_back({"bungo", "bungo:1"});
  ASSERT_TRUE(node_.Order("log", ChangeConfig{.config = config, .actor = "test"}).status.ok());
  EXPECT_TRUE(Hears("bungo", {Says(2, {})}));
  EXPECT_THAT(Sent("jambi"), ElementsAre(Says(2, {})));
}

TEST_F(HoldingsTest, TellsAgainWhenALinkComesUp) {
  Holdings& holdings = Make();
  holdings.Start();
  Here(5, {3});
  EXPECT_THAT(Sent("jambi"), IsEmpty());
  holdings.PeerConnected("jambi");
  EXPECT_TRUE(Hears("jambi", {Says(5, {3})}));
  holdings.PeerDisconnected("jambi");
  Here(5, {4});
  holdings.PeerConnected("jambi");
  EXPECT_TRUE(Hears("jambi", {Says(5, {3}), Says(5, {4})}));
  holdings.PeerConnected("jambi");  // another stream has taken its place
  EXPECT_TRUE(Hears("jambi", {Says(5, {3}), Says(5, {4}), Says(5, {4})}));
}

TEST_F(HoldingsTest, ManyChangesAreToldOnceInAWhileButTheLastDocumentAtOnce) {
  HoldingsOptions options;
  options.pause_ms = 3'600'000;
  options.burst = 2;
  Holdings& holdings = Make(options);
  holdings.PeerConnected("jambi");
  holdings.Start();
  ASSERT_TRUE(Hears("jambi", {Says(2, {})}));
  Here(5, {2, 3});
  Here(5, {3});
  EXPECT_TRUE(Hears("jambi", {Says(2, {}), Says(5, {2, 3})}));
  Here(5, {});
  EXPECT_TRUE(Hears("jambi", {Says(2, {}), Says(5, {2, 3}), Says(5, {})}));
}

TEST_F(HoldingsTest, ListsNoMoreThanAllowedAndDoesNotSpeakOfTheRest) {
  HoldingsOptions options;
  options.missing_max = 2;
  here_ = {5, std::make_shared<const std::set<uint64_t>>(std::set<uint64_t>{2, 4, 5})};
  Holdings& holdings = Make(options);
  holdings.PeerConnected("jambi");
  holdings.Start();
  EXPECT_TRUE(Hears("jambi", {Says(4, {2, 4})}));
  Here(5, {2, 4});  // all that are missing, but that is not told
  EXPECT_THAT(Sent("jambi"), ElementsAre(Says(4, {2, 4})));
}

TEST_F(HoldingsTest, SaysNothingOfRecordsThatAreGone) {
  here_ = {9, nullptr};  // the log was cut back, which the tracker has not seen yet
  HoldingsOptions options;
  options.pause_ms = 1;
  Holdings& holdings = Make(options);
  holdings.PeerConnected("jambi");
  holdings.Start();
  EXPECT_TRUE(Hears("jambi", {Holding()}));
  Here(5, {});
  EXPECT_TRUE(Hears("jambi", {Holding(), Says(5, {})}));
}

TEST_F(HoldingsTest, WhatAPeerSaidCountsWhileItIsAwayButNotWhenItIsBack) {
  Holdings& holdings = Make();
  EXPECT_THAT(holdings.Of("log"), IsEmpty());
  holdings.PeerConnected("jambi");
  holdings.Receive("jambi", "log", Says(5, {3}));
  holdings.PeerDisconnected("jambi");
  EXPECT_EQ(*holdings.Of("log").at("jambi"), Says(5, {3}));
  EXPECT_THAT(holdings.Of("another"), IsEmpty());
  holdings.Receive("jambi", "log", Says(5, {}));
  EXPECT_EQ(*holdings.Of("log").at("jambi"), Says(5, {}));
  holdings.PeerConnected("jambi");  // with its disk or with another
  EXPECT_THAT(holdings.Of("log"), IsEmpty());
  holdings.Receive("jambi", "log", Says(4, {3}));
  EXPECT_EQ(*holdings.Of("log").at("jambi"), Says(4, {3}));
}

TEST_F(HoldingsTest, AnotherBranchOfTheLogIsAboutOtherRecords) {
  Holdings& holdings = Make();
  for (const uint64_t known_to : {4U, 5U, 900U}) {  // 900: this node has not caught up
    holdings.Receive("jambi", "log", {known_to, epoch_, {}});
    EXPECT_EQ(holdings.Of("log").count("jambi"), 1u) << known_to;
    holdings.Receive("jambi", "log", {known_to, epoch_ + 1, {}});
    EXPECT_EQ(holdings.Of("log").count("jambi"), 0u) << known_to;
  }
}

TEST_F(HoldingsTest, TheSameRecordsAreNotReadAgainForTheSameStatement) {
  Holdings& holdings = Make();
  ASSERT_TRUE(WaitUntil([&] { return node_.engine->CommitIndex("log") == 5; }));
  holdings.Receive("jambi", "log", Says(5, {}));
  EXPECT_EQ(holdings.Of("log").size(), 1u);
  ASSERT_TRUE(node_.store.CorruptFrame("log", 5));
  EXPECT_EQ(holdings.Of("log").size(), 1u);
  holdings.Receive("jambi", "log", Says(5, {3}));  // another statement
  EXPECT_THAT(holdings.Of("log"), IsEmpty());
}

TEST_F(HoldingsTest, APeerMaySpeakOfSoManyLogsOnly) {
  Holdings& holdings = Make();
  for (int i = 0; i < 10'001; ++i) holdings.Receive("jambi", std::to_string(i), {});
  EXPECT_EQ(holdings.Of("9999").size(), 1u);
  EXPECT_THAT(holdings.Of("10000"), IsEmpty());
}

}  // namespace
}  // namespace kembar
