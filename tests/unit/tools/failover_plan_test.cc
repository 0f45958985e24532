// failover_plan_test.cc — what a failover may claim, must refuse, and tells the operator.
#include "tools/kembarctl/failover_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replicator/log/epoch_history.h"

namespace kembar::ctl {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ControlState Control(Mode mode, std::vector<std::string> members, uint32_t sync_mirrors = 1) {
  ControlState state;
  state.log_uuid = "uuid";
  state.primary = members.front();
  for (const std::string& name : members) state.config.members.push_back({name, name + ":7301"});
  state.config.mode = mode;
  state.config.sync_mirrors = sync_mirrors;
  return state;
}

NodeFact Node(const std::string& name, const ControlState& control, uint64_t durable = 100,
              uint64_t epoch = 1) {
  NodeFact fact{.name = name, .address = name + ":7301", .reachable = true, .holds_log = true};
  fact.is_primary = control.primary == name;
  fact.epoch = fact.seen_epoch = fact.promised_epoch = epoch * kFirstEpoch;
  fact.last_index = fact.durable_index = durable;
  fact.commit_index = durable;
  fact.promised_to = control.primary;
  fact.control_index = 1;
  fact.control = control;
  fact.contact_ms_ago = 5'000;
  fact.level_ms_ago = 6'500;
  return fact;
}

NodeFact Silent(const std::string& name) {
  return NodeFact{.name = name, .address = name + ":7301"};
}

const ControlState kTwo = Control(Mode::kMaxProtection, {"tebo", "jambi"});
const ControlState kThree = Control(Mode::kMaxProtection, {"tebo", "jambi", "padang"});

TEST(PlanFailover, LostPrimaryIsReplacedWithoutDoubt) {
  const auto plan =
      PlanFailover({Silent("tebo"), Node("jambi", kTwo)}, {.to = "jambi", .without = {"tebo"}});
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_TRUE(plan->outlook.proven());
  EXPECT_EQ(plan->old_primary, "tebo");
  EXPECT_FALSE(plan->old_primary_reachable);
  EXPECT_EQ(plan->epoch, 12 * kFirstEpoch);  // room for promises of the lost site
  EXPECT_THAT(plan->to_fence, ElementsAre("jambi"));
  EXPECT_THAT(plan->config.members, ElementsAre(Member{"jambi", "jambi:7301"}));
  EXPECT_THAT(plan->config.left_out, ElementsAre(Member{"tebo", "tebo:7301"}));
  EXPECT_EQ(plan->config.RequiredMirrors(), 0u);
  EXPECT_EQ(plan->config.sync_mirrors, 1u);
}

TEST(PlanFailover, RefusesWhenTheTargetDoesNotAnswer) {
  const auto plan = PlanFailover({Node("tebo", kTwo), Silent("jambi")}, {.to = "jambi"});
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.status().message(), HasSubstr("jambi does not answer"));
}

TEST(PlanFailover, RefusesAnUnknownTargetAndAnUnknownWithout) {
  const std::vector<NodeFact> nodes{Silent("tebo"), Node("jambi", kTwo)};
  EXPECT_FALSE(PlanFailover(nodes, {.to = "medan"}).ok());
  EXPECT_FALSE(PlanFailover(nodes, {.to = "jambi", .without = {"tebo", "medan"}}).ok());
  EXPECT_FALSE(PlanFailover(nodes, {.to = "jambi", .without = {"jambi"}}).ok());
}

TEST(PlanFailover, RefusesToLeaveOutANodeThatAnswers) {
  const auto plan =
      PlanFailover({Node("tebo", kTwo), Node("jambi", kTwo)}, {.to = "jambi", .without = {"tebo"}});
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.status().hint(), HasSubstr("switchover"));
}

TEST(PlanFailover, RefusesAPrimaryThatCouldNotAcknowledge) {
  const auto plan = PlanFailover({Silent("tebo"), Node("jambi", kTwo)}, {.to = "jambi"});
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.status().message(), HasSubstr("needs 1 mirror"));
  EXPECT_THAT(plan.status().hint(), HasSubstr("--without tebo"));
}

TEST(PlanFailover, ASilentMemberStaysOneWhileOthersSuffice) {
  const auto plan = PlanFailover({Silent("tebo"), Node("jambi", kThree), Node("padang", kThree)},
                                 {.to = "jambi"});
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_TRUE(plan->outlook.proven());
  EXPECT_EQ(plan->config.members.size(), 3u);
  EXPECT_THAT(plan->to_fence, ElementsAre("jambi", "padang"));
}

TEST(PlanFailover, RefusesEmptyNodesAndDoubtsStoppedOnes) {
  NodeFact empty = Silent("jambi");
  empty.reachable = true;
  EXPECT_FALSE(PlanFailover({Node("tebo", kTwo), empty}, {.to = "jambi"}).ok());
  NodeFact stopped = Node("jambi", kTwo);
  stopped.alarm = "differs from record 7 on";
  const auto plan = PlanFailover({Silent("tebo"), stopped}, {.to = "jambi", .without = {"tebo"}});
  // Which of two contradicting logs is the truth, only --accept-loss can say.
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_TRUE(plan->candidate_stopped);
  ASSERT_FALSE(plan->outlook.proven());
  EXPECT_THAT(plan->outlook.doubts.front(), HasSubstr("record 7"));
  // Nor is anything proven for a sound candidate while another node contradicts its primary.
  EXPECT_FALSE(JudgeCompleteness("tebo", {Node("tebo", kTwo), stopped}).proven());
}

TEST(PlanFailover, NothingToDoWhenTheTargetReigns) {
  EXPECT_FALSE(PlanFailover({Node("tebo", kTwo), Node("jambi", kTwo)}, {.to = "tebo"}).ok());
  // But a dead mirror may be dropped that way.
  const auto plan =
      PlanFailover({Node("tebo", kTwo), Silent("jambi")}, {.to = "tebo", .without = {"jambi"}});
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_TRUE(plan->outlook.proven());
}

TEST(PlanFailover, EpochIsAboveEveryPromise) {
  NodeFact jambi = Node("jambi", kThree);
  jambi.promised_epoch = 7 * kFirstEpoch;
  NodeFact padang = Node("padang", kThree);
  padang.seen_epoch = 9 * kFirstEpoch + 3;  // after three restarts
  const auto plan = PlanFailover({Silent("tebo"), jambi, padang}, {.to = "jambi"});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->epoch, 10 * kFirstEpoch);
}

TEST(PlanFailover, ASwitchoverIsSeenAsOne) {
  const auto plan = PlanFailover({Node("tebo", kTwo), Node("jambi", kTwo)}, {.to = "jambi"});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->old_primary_reachable);
  EXPECT_TRUE(plan->outlook.proven());
  EXPECT_EQ(plan->config.members.size(), 2u);
  EXPECT_TRUE(plan->config.left_out.empty());
}

TEST(PlanFailover, ALeftOutNodeThatIsChosenBecomesAMember) {
  ControlState control = Control(Mode::kMaxProtection, {"jambi"});
  control.config.left_out.push_back({"tebo", "tebo:7301"});
  const Config next = NextConfig(control.config, {.to = "tebo"});
  EXPECT_EQ(next.members.size(), 2u);
  EXPECT_TRUE(next.left_out.empty());
}

TEST(PlanFailover, FollowsTheLatestMembership) {
  ControlState later = Control(Mode::kMaxProtection, {"tebo", "jambi", "medan"});
  NodeFact jambi = Node("jambi", later);
  jambi.control_index = 50;
  const auto plan = PlanFailover({Silent("tebo"), jambi, Node("medan", kTwo, 40)}, {.to = "jambi"});
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_TRUE(plan->config.HasMember("medan"));
}

TEST(JudgeCompleteness, TheMostAdvancedIsNeeded) {
  const auto result =
      JudgeCompleteness("jambi", {Node("jambi", kThree, 90), Node("padang", kThree, 95)});
  EXPECT_FALSE(result.proven());
  EXPECT_EQ(result.better, "padang");
}

TEST(JudgeCompleteness, AHigherEpochBeatsALongerLog) {
  const auto result =
      JudgeCompleteness("jambi", {Node("jambi", kThree, 200, 1), Node("padang", kThree, 95, 2)});
  EXPECT_EQ(result.better, "padang");
  const auto other =
      JudgeCompleteness("padang", {Node("jambi", kThree, 200, 1), Node("padang", kThree, 95, 2)});
  EXPECT_TRUE(other.better.empty());
}

TEST(JudgeCompleteness, TooFewPromisesProveNothing) {
  const auto result = JudgeCompleteness("padang", {Node("padang", kThree)});
  ASSERT_FALSE(result.proven());
  EXPECT_THAT(result.doubts.front(), HasSubstr("only 1 of the 2 promises"));
}

TEST(JudgeCompleteness, AWipedDiskPromisesNothing) {
  NodeFact wiped = Silent("jambi");
  wiped.reachable = true;
  EXPECT_FALSE(JudgeCompleteness("padang", {Node("padang", kThree), wiped}).proven());
  NodeFact older = Node("jambi", kThree, 50);
  older.must_reach = 80;
  EXPECT_FALSE(JudgeCompleteness("padang", {Node("padang", kThree), older}).proven());
}

TEST(JudgeCompleteness, AReignThatNobodyHereHoldsIsADoubt) {
  NodeFact jambi = Node("jambi", kTwo);
  jambi.seen_epoch = 2 * kFirstEpoch;
  const auto result = JudgeCompleteness("jambi", {jambi});
  EXPECT_THAT(result.doubts, Contains(HasSubstr("epoch 2")));
}

TEST(JudgeCompleteness, HoldingLessThanOnceAcknowledgedIsADoubt) {
  NodeFact jambi = Node("jambi", kTwo);
  jambi.must_reach = 101;
  const auto result = JudgeCompleteness("jambi", {jambi});
  EXPECT_THAT(result.doubts, Contains(HasSubstr("record 101")));
}

TEST(JudgeCompleteness, WhatAnotherNodeOnceHeldCounts) {
  NodeFact tebo = Node("tebo", kTwo, 90);
  tebo.must_reach = 120;
  EXPECT_THAT(JudgeCompleteness("jambi", {Node("jambi", kTwo), tebo}).doubts,
              Contains(HasSubstr("record 120")));
}

TEST(JudgeCompleteness, WeakerModesNeedTheOldPrimary) {
  for (const Mode mode : {Mode::kMaxAvailability, Mode::kMaxPerformance}) {
    const ControlState control = Control(mode, {"tebo", "jambi"});
    EXPECT_FALSE(JudgeCompleteness("jambi", {Node("jambi", control)}).proven());
    EXPECT_TRUE(
        JudgeCompleteness("jambi", {Node("jambi", control), Node("tebo", control)}).proven());
    // Back, but with an empty disk: what it held is not to be had.
    NodeFact wiped = Silent("tebo");
    wiped.reachable = true;
    EXPECT_FALSE(JudgeCompleteness("jambi", {Node("jambi", control), wiped}).proven());
  }
}

TEST(JudgeCompleteness, SoloNeedsTheOldPrimary) {
  ControlState control = Control(Mode::kMaxProtection, {"tebo", "jambi"});
  control.config.solo = true;
  EXPECT_FALSE(JudgeCompleteness("jambi", {Node("jambi", control)}).proven());
  EXPECT_TRUE(JudgeCompleteness("jambi", {Node("jambi", control), Node("tebo", control)}).proven());
}

TEST(JudgeCompleteness, ALeftOutNodeCannotProveAnything) {
  ControlState alone = Control(Mode::kMaxProtection, {"tebo"});
  alone.config.left_out.push_back({"jambi", "jambi:7301"});
  EXPECT_FALSE(JudgeCompleteness("jambi", {Node("jambi", alone)}).proven());
}

TEST(JudgeCompleteness, WithoutTheCandidatesPromiseNothingIsProven) {
  EXPECT_FALSE(JudgeCompleteness("jambi", {Node("tebo", kTwo)}).proven());
  EXPECT_FALSE(JudgeCompleteness("jambi", {}).proven());
}

TEST(AccountLines, SayWhatEachHoldsAndWhatIsProven) {
  const std::vector<NodeFact> nodes{Silent("tebo"), Node("jambi", kTwo)};
  const FailoverRequest request{.to = "jambi", .without = {"tebo"}};
  const auto plan = PlanFailover(nodes, request);
  ASSERT_TRUE(plan.ok());
  const auto lines = AccountLines(nodes, request, *plan);
  EXPECT_THAT(lines, Contains(HasSubstr("tebo (tebo:7301): does not answer")));
  EXPECT_THAT(lines, Contains(HasSubstr("durable 100, committed 100, last contact with its primary "
                                        "5 s ago")));
  EXPECT_THAT(lines, Contains(HasSubstr("complete: node jambi holds records 1 to 100")));
  EXPECT_THAT(lines, Contains(HasSubstr("provided that nobody has let tebo go on without jambi")));
}

TEST(AccountLines, SayWhatMayBeLostAndSinceWhen) {
  const ControlState control = Control(Mode::kMaxPerformance, {"tebo", "jambi"});
  const std::vector<NodeFact> nodes{Silent("tebo"), Node("jambi", control)};
  const FailoverRequest request{.to = "jambi", .without = {"tebo"}};
  const auto plan = PlanFailover(nodes, request);
  ASSERT_TRUE(plan.ok());
  const auto lines = AccountLines(nodes, request, *plan);
  EXPECT_THAT(lines, Contains(HasSubstr("NOT provably complete")));
  EXPECT_THAT(lines, Contains(HasSubstr("after record 100, in the last 7 s")));
}

}  // namespace
}  // namespace kembar::ctl
