// package_filter.h — which packages `package list` shows: by state, value and work unit.
//
// Pure.
#pragma once

#include <string>
#include <vector>

#include "kembar/v1/tender.pb.h"
#include "replicator/base/status.h"

namespace kembar::ctl {

struct PackageFilter {
  std::vector<std::string> states;  // of those that json.h names; empty: all
  std::string min_value;            // an exact decimal; empty: all
  std::string unit;                 // part of the work unit's name, in any case; empty: all
};

// kInvalid: a state or an amount that is none.
Status CheckFilter(const PackageFilter& filter);
// A package whose value is not known has none of at least `min_value`; one of which no unit is
// known is none of any.
bool Matches(const PackageFilter& filter, const v1::Package& package);

}  // namespace kembar::ctl
