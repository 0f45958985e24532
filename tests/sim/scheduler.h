// scheduler.h — virtual time: a heap of timed events in one thread. Events of one time happen in
// the order in which they were planned.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "tests/sim/trace.h"

namespace kembar::sim {

class Scheduler {
 public:
  using Action = std::function<void()>;

  int64_t now_us() const { return now_us_; }
  uint64_t steps() const { return steps_; }

  void After(int64_t delay_us, Action action) {
    heap_.push_back({now_us_ + std::max<int64_t>(delay_us, 0), next_++, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }

  // Runs events up to and including time `until_us`; then it is that time.
  void RunUntil(int64_t until_us) {
    while (!heap_.empty() && heap_.front().time_us <= until_us) {
      std::pop_heap(heap_.begin(), heap_.end(), Later);
      Item item = std::move(heap_.back());
      heap_.pop_back();
      now_us_ = item.time_us;
      if (++steps_ > kStepsMax) throw Violation{"livelock: more than a million steps"};
      item.action();
    }
    now_us_ = std::max(now_us_, until_us);
  }

 private:
  static constexpr uint64_t kStepsMax = 1'000'000;
  struct Item {
    int64_t time_us;
    uint64_t order;
    Action action;
  };
  static bool Later(const Item& a, const Item& b) {
    return a.time_us != b.time_us ? a.time_us > b.time_us : a.order > b.order;
  }

  std::vector<Item> heap_;
  int64_t now_us_ = 0;
  uint64_t next_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace kembar::sim
