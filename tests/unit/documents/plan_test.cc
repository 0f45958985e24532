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

}  // namespace
}  // namespace kembar::documents
