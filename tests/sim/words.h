// words.h — what the simulator's sources have in common: visits, numbers in texts, time.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>
#include <string>

namespace kembar::sim {

inline constexpr int64_t kMs = 1'000;  // simulated time is in microseconds

// Lambdas, one for each alternative of a variant, as one visitor.
template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

inline std::string N(uint64_t number) { return std::to_string(number); }

}  // namespace kembar::sim
