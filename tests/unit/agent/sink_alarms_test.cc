// sink_alarms_test.cc — what the sink says of itself: metrics and alarms.
#include <gtest/gtest.h>

#include "tools/agent/sink_thread.h"

namespace kembar::agent {
namespace {

using restore::SinkState;
using restore::SinkStatus;

constexpr int64_t kNow = 1'000'000'000;

SinkStatus Level() {
  return {.state = SinkState::kFollowing,
          .source = "postgres/x",
          .applied_index = 9,
          .applied_time_us = kNow - 2'000'000,
          .newest_index = 9,
          .newest_time_us = kNow - 2'000'000,
          .level_us = kNow - 500'000};
}

TEST(SinkAlarms, NoneWhenLevel) {
  EXPECT_TRUE(SinkAlarms(Level(), {}, kNow).empty());
  const std::string page = RenderSinkMetrics(Level(), {}, kNow);
  EXPECT_NE(page.find("kembar_agent_sink_lag_seconds{source=\"postgres/x\"} 0\n"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("state=\"following\"} 1\n"), std::string::npos);
}

TEST(SinkAlarms, NeverFilledIsInfinite) {
  SinkStatus status;
  EXPECT_NE(RenderSinkMetrics(status, {}, kNow).find("lag_seconds{source=\"\"} +Inf\n"),
            std::string::npos);
  ASSERT_EQ(SinkAlarms(status, {}, kNow).size(), 1u);
  EXPECT_FALSE(SinkAlarms(status, {}, kNow)[0].critical) << "it has just begun";
  status.state = SinkState::kFailing;
  EXPECT_TRUE(SinkAlarms(status, {}, kNow)[0].critical);
}

TEST(SinkAlarms, BehindAndFailing) {
  SinkStatus status = Level();
  EXPECT_FALSE(SinkAlarms(status, {.quiet_warn_s = 0}, kNow + 70'000'000).at(0).critical);
  EXPECT_TRUE(SinkAlarms(status, {.quiet_warn_s = 0}, kNow + 400'000'000).at(0).critical);
  status.state = SinkState::kFailing;
  status.error = "no node answers";
  EXPECT_FALSE(SinkAlarms(status, {}, kNow).at(0).critical);
  EXPECT_EQ(SinkAlarms(status, {}, kNow).at(0).text, "the sink fails: no node answers");
  status.state = SinkState::kStopped;
  EXPECT_TRUE(SinkAlarms(status, {}, kNow).at(0).critical);
}

TEST(SinkAlarms, ALevelLogThatStandsStillIsTold) {
  SinkStatus status = Level();
  status.level_us = kNow + 400'000'000;
  const auto alarms = SinkAlarms(status, {}, kNow + 400'000'000);
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_FALSE(alarms[0].critical);
  EXPECT_NE(alarms[0].text.find("402 s old"), std::string::npos) << alarms[0].text;
}

}  // namespace
}  // namespace kembar::agent
