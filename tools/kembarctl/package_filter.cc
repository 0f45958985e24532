// package_filter.cc — see package_filter.h.
#include "tools/kembarctl/package_filter.h"

#include <algorithm>
#include <array>

#include "tools/kembarctl/json.h"
#include "tools/restore/decimal.h"

namespace kembar::ctl {

Status CheckFilter(const PackageFilter& filter) {
  constexpr std::array kStates = {"complete", "incomplete", "at-risk"};
  for (const std::string& state : filter.states) {
    if (std::find(kStates.begin(), kStates.end(), state) != kStates.end()) continue;
    return {Code::kInvalid, "--state " + state + " is none",
            "complete, incomplete or at-risk; the option may be given several times"};
  }
  if (filter.min_value.empty() || restore::IsDecimal(filter.min_value)) return {};
  return {Code::kInvalid, "--min-value " + filter.min_value + " is not an amount",
          "rupiah without separators, such as 50000000000 or 999995334.78"};
}

namespace {

std::string LowerCase(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

bool Matches(const PackageFilter& filter, const v1::Package& package) {
  const std::string state = PackageStateText(package.state());
  if (!filter.states.empty() &&
      std::find(filter.states.begin(), filter.states.end(), state) == filter.states.end()) {
    return false;
  }
  if (LowerCase(package.unit()).find(LowerCase(filter.unit)) == std::string::npos) return false;
  if (filter.min_value.empty()) return true;
  return restore::IsDecimal(package.value()) &&
         restore::CompareDecimals(package.value(), filter.min_value) >= 0;
}

}  // namespace kembar::ctl
