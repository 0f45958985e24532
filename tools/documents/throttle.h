// throttle.h — waiting that ends at once when the thread is told to stop, and a limit of bytes a
// second that is kept by such waiting.
//
// Thread-safety: a Throttle belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>

#include "replicator/base/status.h"

namespace kembar::documents {

// False: `stop` was asked for, before or meanwhile.
bool WaitUnlessStopped(const std::stop_token& stop, std::chrono::steady_clock::time_point until);

class Throttle {
 public:
  // `bytes_per_s` 0: no limit.
  Throttle(uint64_t bytes_per_s, std::stop_token stop);

  // Waits until the limit has room, then takes it for `bytes`. kCancelled: told to stop.
  Status Take(uint64_t bytes);

 private:
  const uint64_t bytes_per_s_;
  const std::stop_token stop_;
  std::chrono::steady_clock::time_point free_at_;
};

}  // namespace kembar::documents
