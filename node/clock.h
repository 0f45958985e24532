// clock.h — time that only goes forward, for waits and pauses inside one process.
//
// Thread-safety: pure but for the clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace kembar {

inline int64_t MonoUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}
inline int64_t MonoMs() { return MonoUs() / 1'000; }

}  // namespace kembar
