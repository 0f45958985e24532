// decimal.h — exact sums and comparisons of amounts, as texts such as "999995334.78": HPS has sen,
// and totals go beyond what a double holds exactly.
//
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace kembar::restore {

// Digits, perhaps a sign before and a fraction behind; nothing else.
bool IsDecimal(std::string_view text);
// Both must be decimals (CHECKed). The sum has as many fraction digits as the longer of them.
std::string AddDecimals(std::string_view a, std::string_view b);
// < 0, 0, > 0.
int CompareDecimals(std::string_view a, std::string_view b);

}  // namespace kembar::restore
