// clock.h — the two clocks of this directory, in nanoseconds: the steady one for waiting, the
// wall's for comparing with a file's times.
//
// Thread-safety: functions may be called from many threads.
#pragma once

#include <chrono>
#include <cstdint>

namespace kembar::documents {

inline constexpr int64_t kMsNs = 1'000'000;
inline constexpr int64_t kSecondNs = 1'000 * kMsNs;

inline int64_t SteadyNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}
inline int64_t WallNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace kembar::documents
