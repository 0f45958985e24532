// rate_limit.h — how much catching up may take of this node's line, by hour of day: a token bucket
// whose rate the clock on the wall chooses.
//
// One for all links of a node: the line is what is scarce. What does not fit into the bucket is
// taken on credit, so that a large message passes whole and the next one waits; over time the rate
// holds.
//
// Time is passed in. Thread-safety: every method from any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace kembar {

// From minute `from` of the day (local time) up to minute `to`, which may lie on the next day.
struct LinkLimit {
  int from_minute = 0;
  int to_minute = 0;
  uint64_t bytes_per_s = 0;       // above 0
  uint64_t blob_bytes_per_s = 0;  // of contents of documents (node/blob/exchange.h); 0: no limit
  bool operator==(const LinkLimit&) const = default;
};
inline constexpr int kMinutesPerDay = 24 * 60;

// Whether some minute belongs to both.
bool Overlap(const LinkLimit& a, const LinkLimit& b);
bool Covers(const LinkLimit& limit, int minute);

class RateLimit {
 public:
  struct Time {
    int64_t mono_ms = 0;
    int minute_of_day = 0;
  };

  // No two overlap.
  explicit RateLimit(std::vector<LinkLimit> limits) : limits_(std::move(limits)) {}

  // How long to wait before anything more may be sent; 0: now.
  int64_t WaitMs(Time now);
  // `bytes` are sent now.
  void Take(uint64_t bytes, Time now);
  bool limits_anything() const { return !limits_.empty(); }

 private:
  void Refill(Time now);  // mutex_ is held

  const std::vector<LinkLimit> limits_;
  std::mutex mutex_;
  uint64_t rate_ = 0;  // now in force; 0: none
  int64_t tokens_ = 0;
  int64_t filled_ms_ = 0;
};

}  // namespace kembar
