// compare_view.h — a comparison as JSON and as text for the Pokja: which packages, with titles,
// values and what must be tendered again.
//
// Pure.
#pragma once

#include <string>

#include "tools/kembarctl/json.h"
#include "tools/restore/compare.h"
#include "tools/restore/thresholds.h"

namespace kembar::ctl {

// The value of what is missing, split by the thresholds of a day.
struct MissingValue {
  struct Share {
    uint64_t count = 0;
    std::string value = "0";  // exact decimal
  };
  std::string total = "0";
  Share tender_needed, direct_possible, unknown;
};
MissingValue SplitMissing(const restore::CompareReport& report,
                          const restore::Thresholds& thresholds, const std::string& date);

Json CompareJson(const restore::CompareReport& report, const MissingValue& missing);
std::string CompareText(const restore::CompareReport& report, const MissingValue& missing);

}  // namespace kembar::ctl
