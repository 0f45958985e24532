// rate_limit_test.cc — the token bucket and its hours.
#include "node/rpc/rate_limit.h"

#include <gtest/gtest.h>

namespace kembar {
namespace {

constexpr LinkLimit kDay{.from_minute = 7 * 60, .to_minute = 17 * 60, .bytes_per_s = 1'000};
constexpr LinkLimit kNight{.from_minute = 22 * 60, .to_minute = 6 * 60, .bytes_per_s = 5'000};

RateLimit::Time At(int64_t mono_ms, int hour, int minute = 0) {
  return {mono_ms, hour * 60 + minute};
}

TEST(RateLimit, CoversItsHoursAcrossMidnightToo) {
  EXPECT_TRUE(Covers(kDay, 7 * 60));
  EXPECT_FALSE(Covers(kDay, 17 * 60));
  EXPECT_TRUE(Covers(kNight, 23 * 60));
  EXPECT_TRUE(Covers(kNight, 0));
  EXPECT_FALSE(Covers(kNight, 6 * 60));
  EXPECT_FALSE(Overlap(kDay, kNight));
  EXPECT_TRUE(Overlap(kNight, {.from_minute = 5 * 60, .to_minute = 7 * 60}));
  EXPECT_TRUE(Overlap({.from_minute = 5 * 60, .to_minute = 7 * 60}, kNight));
  EXPECT_TRUE(Overlap(kDay, {.from_minute = 0, .to_minute = 0}));  // the whole day
}

TEST(RateLimit, OutsideItsHoursNothingIsLimited) {
  RateLimit rate({kDay});
  rate.Take(1'000'000, At(0, 18));
  EXPECT_EQ(rate.WaitMs(At(0, 18)), 0);
}

TEST(RateLimit, ALargeMessageIsTakenOnCreditAndPaidForAfterwards) {
  RateLimit rate({kDay});
  ASSERT_EQ(rate.WaitMs(At(0, 8)), 0);      // a second's worth is there
  rate.Take(4'000, At(0, 8));               // three seconds too much
  EXPECT_EQ(rate.WaitMs(At(0, 8)), 1'000);  // looked at again soon: the hour may change
  EXPECT_GT(rate.WaitMs(At(2'900, 8)), 0);
  EXPECT_EQ(rate.WaitMs(At(3'100, 8)), 0);
}

TEST(RateLimit, OverTimeTheRateHolds) {
  RateLimit rate({kDay});
  uint64_t sent = 0;
  for (int64_t ms = 0; ms < 100'000; ms += 7) {
    if (rate.WaitMs(At(ms, 8)) != 0) continue;
    rate.Take(333, At(ms, 8));
    sent += 333;
  }
  EXPECT_GE(sent, 99'000u);
  EXPECT_LE(sent, 102'000u);
}

TEST(RateLimit, IdleTimeIsNotSavedUp) {
  RateLimit rate({kDay});
  rate.Take(1, At(0, 8));
  rate.Take(1'000, At(3'600'000, 9));
  EXPECT_GT(rate.WaitMs(At(3'600'000, 9)), 0);
}

TEST(RateLimit, DebtEndsWithTheHoursOfTheLimit) {
  RateLimit rate({kDay, kNight});
  rate.Take(1'000'000, At(0, 16, 59));
  EXPECT_GT(rate.WaitMs(At(10, 16, 59)), 0);
  EXPECT_EQ(rate.WaitMs(At(20, 17)), 0);
  EXPECT_EQ(rate.WaitMs(At(30, 22)), 0);
  rate.Take(10'000, At(30, 22));
  EXPECT_GT(rate.WaitMs(At(40, 22)), 0);
}

}  // namespace
}  // namespace kembar
