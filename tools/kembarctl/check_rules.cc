// check_rules.cc — see check_rules.h.
#include "tools/kembarctl/check_rules.h"

#include <algorithm>
#include <cstdio>

#include "replicator/log/epoch_history.h"

namespace kembar::ctl {
namespace {

// Collects findings; the gravest decides.
class Findings {
 public:
  void Add(Severity severity, std::string text) { found_.emplace_back(severity, std::move(text)); }
  void Into(Verdict* verdict) {
    std::stable_sort(found_.begin(), found_.end(),
                     [](const auto& a, const auto& b) { return Rank(a.first) > Rank(b.first); });
    verdict->severity = found_.empty() ? Severity::kOk : found_.front().first;
    for (auto& [severity, text] : found_) verdict->reasons.push_back(std::move(text));
  }

 private:
  // CRITICAL outranks UNKNOWN: a known evil is acted upon.
  static int Rank(Severity severity) {
    switch (severity) {
      case Severity::kOk: return 0;
      case Severity::kWarning: return 1;
      case Severity::kUnknown: return 2;
      case Severity::kCritical: return 3;
    }
    return 3;
  }
  std::vector<std::pair<Severity, std::string>> found_;
};

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

void JudgeState(const LogView& view, Findings* findings) {
  if (view.state == "protected") return;
  if (view.state == "catching-up") {
    findings->Add(Severity::kWarning, "a mirror is catching up");
  } else if (view.state == "solo") {
    findings->Add(Severity::kCritical, "solo: " + view.primary + " acknowledges without a mirror");
  } else if (view.state == "stalled") {
    findings->Add(Severity::kCritical,
                  "stalled: " + view.primary + " cannot acknowledge, a mirror is missing");
  } else if (view.state == "no-primary") {
    findings->Add(Severity::kCritical, "no primary");
  } else {
    findings->Add(Severity::kUnknown, "state \"" + view.state + "\" is not understood");
  }
}

void JudgeMembership(const LogView& view, Findings* findings) {
  if (view.mode == "unknown") findings->Add(Severity::kUnknown, "the protection mode is not known");
  if (view.mirrors == 0) findings->Add(Severity::kCritical, "no mirror: there is one copy only");
  for (const std::string& name : view.left_out) {
    findings->Add(Severity::kWarning, name + " is left out and does not count");
  }
  for (const std::string& alarm : view.alarms) findings->Add(Severity::kCritical, alarm);
}

void JudgeReach(const LogView& view, Findings* findings) {
  size_t mirrors_in_contact = 0;
  for (const NodeRow& row : view.nodes) {
    if (row.disk_full) findings->Add(Severity::kCritical, row.name + ": disk nearly full");
    const bool in_contact = row.reachable || row.linked;
    if (row.counts && row.name != view.primary && in_contact) ++mirrors_in_contact;
  }
  const bool strict = view.mode != "max-performance";
  for (const NodeRow& row : view.nodes) {
    if (!row.counts) continue;
    if (!row.reachable && !row.linked) {
      const bool needed = row.name == view.primary || mirrors_in_contact < view.sync_mirrors;
      findings->Add(strict && needed ? Severity::kCritical : Severity::kWarning,
                    row.name + " does not answer");
    } else if (!row.reachable && row.name == view.primary) {
      findings->Add(Severity::kWarning, row.name + " does not answer here; a mirror hears it");
    }
  }
}

void JudgeLag(const LogView& view, const CheckThresholds& limits, Findings* findings) {
  for (const NodeRow& row : view.nodes) {
    if (!row.counts || row.name == view.primary) continue;
    if (!row.lag_seconds) {
      findings->Add(Severity::kWarning, row.name + ": lag not known");
    } else if (*row.lag_seconds >= limits.crit_lag_s) {
      findings->Add(Severity::kCritical, row.name + " lags " + Number(*row.lag_seconds) + " s");
    } else if (*row.lag_seconds >= limits.warn_lag_s) {
      findings->Add(Severity::kWarning, row.name + " lags " + Number(*row.lag_seconds) + " s");
    }
  }
}

void JudgePackages(const LogView& view, Findings* findings) {
  for (const NodeRow& row : view.nodes) {
    if (!row.packages || row.packages->incomplete == 0) continue;
    findings->Add(Severity::kWarning,
                  row.name + ": " + std::to_string(row.packages->incomplete) +
                      " packages are incomplete (kembarctl package list --state incomplete)");
  }
}

// A backup that has silently stopped: the log is level at both sites, and nothing comes into it.
void JudgeSources(const LogView& view, const CheckThresholds& limits, Findings* findings) {
  for (const SourceRow& row : view.sources) {
    if (row.retired || row.age_seconds < limits.warn_source_s) continue;
    findings->Add(
        row.age_seconds >= limits.crit_source_s ? Severity::kCritical : Severity::kWarning,
        row.name + " not heard for " + Number(row.age_seconds) +
            " s: is its kembar-agent running?");
  }
}

// Labels are quoted because of the hyphens; U is the convention's "unknown".
std::string Perfdata(const LogView& view, const CheckThresholds& limits) {
  size_t answering = 0;
  uint64_t quarantines = 0;
  std::string text;
  for (const NodeRow& row : view.nodes) {
    answering += row.reachable ? 1 : 0;
    quarantines += row.quarantines;
    if (row.name == view.primary || (!row.counts && row.role != "left-out")) continue;
    text += " 'lag_seconds_" + row.name +
            "'=" + (row.lag_seconds ? Number(*row.lag_seconds) + "s" : std::string("U")) + ";" +
            Number(limits.warn_lag_s) + ";" + Number(limits.crit_lag_s) + ";0";
    text += " 'lag_records_" + row.name +
            "'=" + (row.lag_records ? std::to_string(*row.lag_records) : std::string("U")) + ";;;0";
    text += " 'lag_bytes_" + row.name +
            "'=" + (row.lag_bytes ? std::to_string(*row.lag_bytes) + "B" : std::string("U")) +
            ";;;0";
  }
  for (const SourceRow& row : view.sources) {
    if (row.retired) continue;
    text += " 'age_" + row.name + "'=" + Number(row.age_seconds) + "s;" +
            Number(limits.warn_source_s) + ";" + Number(limits.crit_source_s) + ";0";
  }
  return "'commit_index'=" + std::to_string(view.commit_index) +
         "c 'nodes_reachable'=" + std::to_string(answering) + ";;;0;" +
         std::to_string(view.nodes.size()) + " 'epoch'=" + std::to_string(EpochNumber(view.epoch)) +
         " 'quarantines'=" + std::to_string(quarantines) + text;
}

}  // namespace

Verdict JudgeLog(const LogView& view, const CheckThresholds& thresholds) {
  Verdict verdict;
  Findings findings;
  JudgeState(view, &findings);
  JudgeMembership(view, &findings);
  JudgeReach(view, &findings);
  JudgeLag(view, thresholds, &findings);
  JudgeSources(view, thresholds, &findings);
  JudgePackages(view, &findings);
  findings.Into(&verdict);
  if (verdict.severity == Severity::kOk) {
    verdict.reasons.push_back("log " + view.log + " " + view.state + ", primary " + view.primary +
                              ", epoch " + EpochText(view.epoch) + ", " +
                              std::to_string(view.commit_index) + " records committed");
  }
  verdict.perfdata = Perfdata(view, thresholds);
  return verdict;
}

std::string PluginLine(const Verdict& verdict) {
  static constexpr const char* kNames[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
  std::string text;
  for (const std::string& reason : verdict.reasons) text += (text.empty() ? "" : ", ") + reason;
  // The bar and line ends belong to the convention.
  std::replace(text.begin(), text.end(), '|', '/');
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::string line = std::string("KEMBAR ") + kNames[static_cast<int>(verdict.severity)] + " - " +
                     (text.empty() ? "nothing was found out" : text);
  if (!verdict.perfdata.empty()) line += " | " + verdict.perfdata;
  return line;
}

}  // namespace kembar::ctl
