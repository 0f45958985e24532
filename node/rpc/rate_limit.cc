// rate_limit.cc — see rate_limit.h.
#include "node/rpc/rate_limit.h"

#include <algorithm>

namespace kembar {
namespace {

// Sooner than this nobody need look again; the clock may have reached another hour by then.
constexpr int64_t kWaitMsMin = 10;
constexpr int64_t kWaitMsMax = 1'000;

}  // namespace

bool Covers(const LinkLimit& limit, int minute) {
  if (limit.from_minute < limit.to_minute) {
    return minute >= limit.from_minute && minute < limit.to_minute;
  }
  return minute >= limit.from_minute || minute < limit.to_minute;
}

bool Overlap(const LinkLimit& a, const LinkLimit& b) {
  return Covers(a, b.from_minute) || Covers(b, a.from_minute);
}

// The bucket holds at most one second's worth. A debt of an hour with a limit ends with it.
void RateLimit::Refill(Time now) {
  const auto limit = std::find_if(limits_.begin(), limits_.end(), [&](const LinkLimit& one) {
    return Covers(one, now.minute_of_day);
  });
  const uint64_t rate = limit == limits_.end() ? 0 : limit->bytes_per_s;
  if (rate != rate_) {
    if (rate == 0 || rate_ == 0) tokens_ = static_cast<int64_t>(rate);
    rate_ = rate;
    filled_ms_ = now.mono_ms;
  }
  if (rate_ == 0) return;
  const int64_t passed = std::max<int64_t>(now.mono_ms - filled_ms_, 0);
  const auto per_s = static_cast<int64_t>(rate_);
  const int64_t whole_s = passed / 1'000;
  if (whole_s > 0 && tokens_ >= 0) {
    tokens_ = per_s;
  } else {
    tokens_ = std::min(per_s, tokens_ + whole_s * per_s + passed % 1'000 * per_s / 1'000);
  }
  filled_ms_ = now.mono_ms;
}

int64_t RateLimit::WaitMs(Time now) {
  std::lock_guard lock(mutex_);
  Refill(now);
  if (rate_ == 0 || tokens_ > 0) return 0;
  const auto per_s = static_cast<int64_t>(rate_);
  return std::clamp((1 - tokens_) * 1'000 / per_s + 1, kWaitMsMin, kWaitMsMax);
}

void RateLimit::Take(uint64_t bytes, Time now) {
  std::lock_guard lock(mutex_);
  Refill(now);
  if (rate_ != 0) tokens_ -= static_cast<int64_t>(bytes);
}

}  // namespace kembar
