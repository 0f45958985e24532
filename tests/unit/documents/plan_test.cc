// plan_test.cc — what vanished, whether it can be meant, and when a file is at rest.
#include "tools/documents/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kembar::documents {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Plan, AsKnown) {
  const Known known{"-", 10, 0640, 77};
  FileFacts facts{.size = 10, .mtime_ns = 77, .mode = 0640};
  EXPECT_TRUE(IsAsKnown(known, facts));
  facts.mode = 0600;
  EXPECT_FALSE(IsAsKnown(known, facts));
}

TEST(Plan, VanishedBelowADirectory) {
  KnownFiles known;
  for (const char* path : {"a", "a-b", "a/x", "a/y", "ab", "b/a/x"}) known[path] = {};
  TreeScan scan;
  scan.files["a/y"] = {};
  EXPECT_THAT(Vanished(known, "a", scan), ElementsAre("a", "a/x"));
  EXPECT_THAT(Vanished(known, "", scan), ElementsAre("a", "a-b", "a/x", "ab", "b/a/x"));
  EXPECT_THAT(Vanished(known, "c", scan), IsEmpty());
}

TEST(Plan, WhatCannotBeReadHasNotVanished) {
  KnownFiles known;
  for (const char* path : {"a/x", "a/y/z", "b"}) known[path] = {};
  TreeScan scan;
  scan.unreadable = {"a"};
  EXPECT_THAT(Vanished(known, "", scan), ElementsAre("b"));
  scan.unreadable = {""};
  EXPECT_THAT(Vanished(known, "", scan), IsEmpty());
}

TEST(DeletionGuard, FewAreBelievedManyAreNot) {
  const DeletionGuard guard({.percent = 20, .at_least = 100});
  EXPECT_TRUE(guard.Allows(99, 1'000));
  EXPECT_TRUE(guard.Allows(200, 1'000));
  EXPECT_FALSE(guard.Allows(201, 1'000));
  EXPECT_TRUE(guard.Allows(99, 150));
  EXPECT_FALSE(guard.Allows(100, 150)) << "two thirds";
}

TEST(DeletionGuard, PiecesAddUp) {
  DeletionGuard guard({.percent = 20, .at_least = 100});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(guard.Allows(50, 1'000));
    guard.Deleted(50);
  }
  EXPECT_FALSE(guard.Allows(51, 850));
  guard.Begin();
  EXPECT_TRUE(guard.Allows(51, 850));
}

TEST(DeletionGuard, ARenamedDirectoryIsNoDeletion) {
  DeletionGuard guard({.percent = 20, .at_least = 100});
  guard.Added(900);
  EXPECT_TRUE(guard.Allows(900, 1'900));
  EXPECT_FALSE(guard.Allows(1'300, 1'900));
  guard.Deleted(100);
  EXPECT_FALSE(guard.Allows(300, 1'000)) << "what was new then counts no more";
}

constexpr int64_t kSettle = 2'000'000'000;

TEST(Settling, AnOldFileIsStableAtOnce) {
  Settling settling(kSettle);
  EXPECT_TRUE(settling.IsStable({.ctime_ns = 1'000}, 1, 1'000 + kSettle));
  EXPECT_FALSE(Settling(kSettle).IsStable({.ctime_ns = 1'001}, 1, 1'000 + kSettle));
}

TEST(Settling, AGrowingFileIsNot) {
  Settling settling(kSettle);
  FileFacts facts{.size = 1, .ctime_ns = INT64_MAX};  // of a clock that was set back since
  EXPECT_FALSE(settling.IsStable(facts, 1, 0));
  facts.size = 2;
  EXPECT_FALSE(settling.IsStable(facts, 1 + kSettle, 0));
  EXPECT_FALSE(settling.IsStable(facts, 2 * kSettle, 0));
  EXPECT_TRUE(settling.IsStable(facts, 1 + 2 * kSettle, 0));
  EXPECT_FALSE(settling.IsLongStable(1 + 2 * kSettle));
  EXPECT_TRUE(settling.IsLongStable(1 + 20 * kSettle));
}

using Verdict = Candidates::Verdict;

// Judges all; files whose names begin with "L" are large.
void JudgeReady(Candidates* candidates) {
  candidates->Judge([](const std::string& path, Settling*) {
    return path.starts_with('L') ? Verdict::kLarge : Verdict::kSmall;
  });
}

TEST(CandidatesTest, WhatGetsReadyLaterIsTakenFirst) {
  Candidates candidates(kSettle);
  for (const char* path : {"Lold", "old", "older"}) candidates.Add(path, 1);
  JudgeReady(&candidates);
  EXPECT_THAT(candidates.Next(9), ElementsAre("old", "older", "Lold")) << "small files first";
  for (const char* path : {"Lnew", "new", "old"}) candidates.Add(path, 2);
  JudgeReady(&candidates);
  EXPECT_THAT(candidates.Next(9), ElementsAre("new", "Lnew", "old", "older", "Lold"));
  EXPECT_THAT(candidates.Next(1), ElementsAre("new"));
  candidates.Erase("new");
  candidates.EraseIf([](const std::string& path) { return path == "older"; });
  EXPECT_THAT(candidates.Next(9), ElementsAre("Lnew", "old", "Lold"));
  EXPECT_EQ(candidates.NoticedNs("old"), 1);
  EXPECT_TRUE(candidates.HasReady(2, 3));
  EXPECT_FALSE(candidates.HasReady(3, 4));
}

TEST(CandidatesTest, WhatIsReadyIsNotJudgedAgainUnlessTouched) {
  Candidates candidates(kSettle);
  candidates.Add("a", 1);
  candidates.Add("b", 1);
  JudgeReady(&candidates);
  candidates.Touch("b", 2);
  EXPECT_THAT(candidates.Next(9), ElementsAre("a"));
  EXPECT_EQ(candidates.size(), 2U);
  std::vector<std::string> judged;
  candidates.Judge([&judged](const std::string& path, Settling*) {
    judged.push_back(path);
    return Verdict::kDrop;
  });
  EXPECT_THAT(judged, ElementsAre("b"));
  EXPECT_FALSE(candidates.Contains("b"));
}

TEST(CandidatesTest, WhatChangedWhileItWasReadIsTakenLast) {
  Candidates candidates(kSettle);
  for (const char* path : {"Lold", "a", "b"}) candidates.Add(path, 1);
  JudgeReady(&candidates);
  candidates.PutBack("a");
  EXPECT_THAT(candidates.Next(9), ElementsAre("b", "Lold"));
  JudgeReady(&candidates);
  EXPECT_THAT(candidates.Next(9), ElementsAre("b", "Lold", "a"));
}

TEST(CandidatesTest, WhatIsNoticedAgainRestsOn) {
  Candidates candidates(kSettle);
  const FileFacts facts{.size = 1, .ctime_ns = INT64_MAX};
  const auto judge_at = [&](int64_t now_ns) {
    candidates.Add("a", now_ns);  // as every reconciliation does
    candidates.Judge([&](const std::string&, Settling* settling) {
      return settling->IsStable(facts, now_ns, 0) ? Verdict::kSmall : Verdict::kWait;
    });
    return candidates.has_ready();
  };
  EXPECT_FALSE(judge_at(1));
  EXPECT_FALSE(judge_at(kSettle));
  EXPECT_TRUE(judge_at(1 + kSettle));
}

}  // namespace
}  // namespace kembar::documents
