// epoch_history_test.cc — where two logs can agree, by hand and against a brute-force model.
#include "replicator/log/epoch_history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace kembar {
namespace {

EpochHistory SampleHistory() {
  return EpochHistory({{1, 1, "tebo", false}, {3, 10, "jambi", true}, {4, 20, "tebo", false}});
}

TEST(Epoch, ARestartedPrimaryNeverOutbidsANewOne) {
  EXPECT_EQ(EpochText(kFirstEpoch), "1");
  EXPECT_EQ(EpochText(kFirstEpoch + 3), "1.3");
  EXPECT_EQ(EpochText(NextEpoch(kFirstEpoch + 3)), "2");
  EXPECT_LT(kFirstEpoch + 1000, NextEpoch(kFirstEpoch));
  EXPECT_EQ(NextEpoch(0), kFirstEpoch);
}

TEST(EpochHistory, KnowsTheEpochOfAnIndex) {
  EXPECT_EQ(EpochHistory().LastEpoch(), 0U);
  EXPECT_EQ(EpochHistory().EpochOf(5), 0U);
  EpochHistory history = SampleHistory();
  EXPECT_EQ(history.LastEpoch(), 4U);
  EXPECT_EQ(history.EpochOf(0), 0U);
  EXPECT_EQ(history.EpochOf(1), 1U);
  EXPECT_EQ(history.EpochOf(9), 1U);
  EXPECT_EQ(history.EpochOf(10), 3U);
  EXPECT_EQ(history.EpochOf(19), 3U);
  EXPECT_EQ(history.EpochOf(20), 4U);
  EXPECT_EQ(history.EpochOf(1'000'000), 4U);
}

TEST(EpochHistory, LossyAfterLooksAtLaterReignsOnly) {
  EpochHistory history = SampleHistory();
  EXPECT_TRUE(history.LossyAfter(0));
  EXPECT_TRUE(history.LossyAfter(9));
  EXPECT_FALSE(history.LossyAfter(10));
  EXPECT_FALSE(history.LossyAfter(25));
  EXPECT_FALSE(EpochHistory().LossyAfter(0));
}

TEST(EpochHistory, AppendTakesLaterReigns) {
  EpochHistory history;
  history.Append({1, 1, "tebo", false});
  history.Append({3, 10, "jambi", true});
  history.Append({4, 20, "tebo", false});
  EXPECT_EQ(history, SampleHistory());
}

TEST(EpochHistory, WellFormedGrowsInBoth) {
  EXPECT_TRUE(EpochHistory::WellFormed({}));
  EXPECT_TRUE(EpochHistory::WellFormed(SampleHistory().entries()));
  EXPECT_FALSE(EpochHistory::WellFormed({{0, 1, "a", false}}));
  EXPECT_FALSE(EpochHistory::WellFormed({{1, 0, "a", false}}));
  EXPECT_FALSE(EpochHistory::WellFormed({{1, 1, "a", false}, {1, 2, "a", false}}));
  EXPECT_FALSE(EpochHistory::WellFormed({{1, 1, "a", false}, {2, 1, "a", false}}));
  EXPECT_FALSE(EpochHistory::WellFormed({{2, 1, "a", false}, {1, 2, "a", false}}));
}

TEST(EpochHistoryDeathTest, RefusesToGoBack) {
  EpochHistory history = SampleHistory();
  EXPECT_DEATH(history.Append({4, 30, "tebo", false}), "CHECK failed");
  EXPECT_DEATH(history.Append({5, 20, "tebo", false}), "CHECK failed");
  EXPECT_DEATH(EpochHistory({{2, 1, "a", false}, {1, 2, "a", false}}), "WellFormed");
}

TEST(CommonIndex, ByHand) {
  EpochHistory one({{1, 1, "tebo", false}});
  EpochHistory two({{1, 1, "tebo", false}, {2, 8, "jambi", false}});
  EXPECT_EQ(EpochHistory::CommonIndex(one, 5, one, 9), 5U);    // a mirror that lags
  EXPECT_EQ(EpochHistory::CommonIndex(one, 12, two, 20), 7U);  // wrote on after a failover
  EXPECT_EQ(EpochHistory::CommonIndex(one, 6, two, 20), 6U);   // merely behind it
  EXPECT_EQ(EpochHistory::CommonIndex(two, 20, two, 9), 9U);
  EXPECT_EQ(EpochHistory::CommonIndex({}, 0, two, 20), 0U);
  EXPECT_EQ(EpochHistory::CommonIndex({}, 0, {}, 0), 0U);
  // Same epoch number, another history: nothing is common.
  EpochHistory other({{1, 1, "palsu", false}});
  EXPECT_EQ(EpochHistory::CommonIndex(one, 5, other, 5), 0U);
  EpochHistory lossy({{1, 1, "tebo", true}});
  EXPECT_EQ(EpochHistory::CommonIndex(one, 5, lossy, 5), 0U);
  // An end from outside that its history contradicts: never beyond either end.
  EXPECT_EQ(EpochHistory::CommonIndex(two, 3, two, 20), 3U);
  EXPECT_EQ(EpochHistory::CommonIndex(two, 3, one, 20), 3U);
}

// A log as the epochs of its records. In one epoch one primary wrote, so two logs that hold the
// same epoch at the same index hold the same record there.
struct ModelLog {
  std::vector<uint64_t> epochs;

  EpochHistory History() const {
    EpochHistory history;
    for (size_t i = 0; i < epochs.size(); ++i) {
      if (i == 0 || epochs[i] != epochs[i - 1]) {
        history.Append({epochs[i], i + 1, "n" + std::to_string(epochs[i]), epochs[i] % 5 == 0});
      }
    }
    return history;
  }
};

uint64_t TrueCommon(const ModelLog& a, const ModelLog& b) {
  auto ends = std::mismatch(a.epochs.begin(), a.epochs.end(), b.epochs.begin(), b.epochs.end());
  return static_cast<uint64_t>(ends.first - a.epochs.begin());
}

TEST(CommonIndex, MatchesTheModelOfForkingLogs) {
  std::mt19937_64 random(101);
  for (int round = 0; round < 200; ++round) {
    std::vector<ModelLog> logs(1);
    for (uint64_t epoch = 1; epoch <= 8; ++epoch) {
      // A new primary keeps some prefix of some log and writes on; the old log stays as it is.
      ModelLog next = logs[random() % logs.size()];
      next.epochs.resize(next.epochs.size() - random() % (next.epochs.size() + 1) / 2);
      next.epochs.insert(next.epochs.end(), 1 + random() % 6, epoch);
      ModelLog mirror = next;
      mirror.epochs.resize(random() % (mirror.epochs.size() + 1));
      logs.push_back(std::move(next));
      logs.push_back(std::move(mirror));
    }
    for (const ModelLog& a : logs) {
      for (const ModelLog& b : logs) {
        EXPECT_EQ(
            EpochHistory::CommonIndex(a.History(), a.epochs.size(), b.History(), b.epochs.size()),
            TrueCommon(a, b));
      }
    }
  }
}

}  // namespace
}  // namespace kembar
