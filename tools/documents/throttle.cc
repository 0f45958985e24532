// throttle.cc — see throttle.h.
#include "tools/documents/throttle.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace kembar::documents {

bool WaitUnlessStopped(const std::stop_token& stop, std::chrono::steady_clock::time_point until) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any nobody;
  nobody.wait_until(lock, stop, until, [] { return false; });
  return !stop.stop_requested();
}

Throttle::Throttle(uint64_t bytes_per_s, std::stop_token stop)
    : bytes_per_s_(bytes_per_s),
      stop_(std::move(stop)),
      free_at_(std::chrono::steady_clock::now()) {}

Status Throttle::Take(uint64_t bytes) {
  const bool waits = bytes_per_s_ > 0 && free_at_ > std::chrono::steady_clock::now();
  if (stop_.stop_requested() || (waits && !WaitUnlessStopped(stop_, free_at_))) {
    return Status(Code::kCancelled, "stopping");
  }
  if (bytes_per_s_ == 0) return Status::Ok();
  const double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_s_);
  free_at_ = std::max(free_at_, std::chrono::steady_clock::now()) +
             std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                 std::chrono::duration<double>(seconds));
  return Status::Ok();
}

}  // namespace kembar::documents
