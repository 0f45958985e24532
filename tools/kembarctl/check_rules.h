// check_rules.h — when `check` is content, as the monitoring plugins' convention has it.
//
// OK is earned: everything that is needed for it was asked and answered. What is unknown, unset or
// not understood is never OK.
//
// Pure.
#pragma once

#include <string>
#include <vector>

#include "tools/kembarctl/status_view.h"

namespace kembar::ctl {

enum class Severity : int { kOk = 0, kWarning = 1, kCritical = 2, kUnknown = 3 };

struct CheckThresholds {
  double warn_lag_s = 60;
  double crit_lag_s = 600;
  double warn_source_s = 600;  // a capture not heard for so long
  double crit_source_s = 1800;
};

struct Verdict {
  Severity severity = Severity::kUnknown;
  std::vector<std::string> reasons;  // the gravest first
  std::string perfdata;
};

Verdict JudgeLog(const LogView& view, const CheckThresholds& thresholds);
// "KEMBAR CRITICAL - text | perfdata", one line.
std::string PluginLine(const Verdict& verdict);

}  // namespace kembar::ctl
