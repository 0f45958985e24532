// stats.cc — see stats.h. docs/agent.md lists every metric and alarm.
#include "tools/agent/stats.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "tools/agent/metrics_page.h"

namespace kembar::agent {
namespace {

void AddLevels(const SourceStats& s, int64_t now_us, MetricsPage* page) {
  page->Gauge("kembar_agent_retained_wal_bytes",
              "WAL that the server keeps for the slot; as of the last answer of the server.",
              static_cast<double>(s.retained_wal_bytes), {{"source", s.source}});
  page->Gauge("kembar_agent_lag_bytes", "WAL that is not covered by the log yet.",
              static_cast<double>(s.lag_bytes), {{"source", s.source}});
  page->Gauge("kembar_agent_lag_seconds",
              "Time since all that the server had committed was in the log; +Inf: it never was.",
              LagSeconds(s, now_us), {{"source", s.source}});
  page->Gauge("kembar_agent_server_age_seconds", "Time since the server last answered.",
              AgeSeconds(s.server_seen_us, now_us), {{"source", s.source}});
  page->Gauge("kembar_agent_committed_timestamp_seconds",
              "Commit time of the last transaction that is in the log; 0: none.",
              static_cast<double>(s.committed_us) / kSecondUs, {{"source", s.source}});
  page->Gauge("kembar_agent_canary_on", "Whether a canary row is written.", s.canary_on ? 1 : 0,
              {{"source", s.source}});
  page->Gauge("kembar_agent_canary_age_seconds",
              "Age of the newest canary that is in the log; +Inf: none.",
              AgeSeconds(s.canary_us, now_us), {{"source", s.source}});
  page->Gauge("kembar_agent_synchronous", "Whether commits of the server wait for this source.",
              s.synchronous ? 1 : 0, {{"source", s.source}});
  page->Gauge("kembar_agent_not_captured_tables", "Tables that should be captured but can't.",
              static_cast<double>(s.not_captured.size()), {{"source", s.source}});
  page->Gauge("kembar_agent_audit_age_seconds", "Time since the last audit; +Inf: none yet.",
              AgeSeconds(s.audit_us, now_us), {{"source", s.source}});
  page->Gauge("kembar_agent_audit_differences", "Rows that differed in the last audit.",
              static_cast<double>(s.audit_differences), {{"source", s.source}});
}

void AddCounters(const SourceStats& s, MetricsPage* page) {
  const auto counter = [&](const char* name, const char* help, uint64_t value) {
    page->Counter(name, help, value, {{"source", s.source}});
  };
  counter("kembar_agent_rows_total", "Rows written to the log.", s.rows);
  counter("kembar_agent_transactions_total", "Transactions written to the log.", s.transactions);
  counter("kembar_agent_batches_total", "Batches that the log acknowledged.", s.batches);
  counter("kembar_agent_reconnects_total", "Sessions after the first.", s.reconnects);
  counter("kembar_agent_slots_lost_total", "Times that changes were lost and copied anew.",
          s.slots_lost);
  counter("kembar_agent_reconciliations_total", "Reconciliations, first copies included.",
          s.reconciliations);
  counter("kembar_agent_reconciled_rows_total", "Rows that they wrote.", s.reconciled_rows);
  counter("kembar_agent_incomplete_changes_total",
          "Changes whose row was not known; their tables were reconciled.", s.incomplete);
  counter("kembar_agent_audit_repaired_total", "Rows that audits found and repaired.",
          s.audit_repaired);
  for (const auto& [table, rows] : s.unmapped) {
    page->Counter("kembar_agent_unmapped_rows", "Rows that belong to no package.", rows,
                  {{"source", s.source}, {"table", table}});
  }
}

}  // namespace

const char* SourceStateName(SourceState state) {
  switch (state) {
    case SourceState::kStarting: return "starting";
    case SourceState::kCopying: return "copying";
    case SourceState::kStreaming: return "streaming";
    case SourceState::kWaiting: return "waiting";
    case SourceState::kStopped: return "stopped";
  }
  return "unknown";
}

int64_t WallUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

double LagSeconds(const SourceStats& stats, int64_t now_us) {
  return AgeSeconds(stats.caught_up_us, now_us);
}

bool IsAuditOverdue(int64_t audit_us, int64_t every_s, int64_t now_us) {
  constexpr int64_t kGraceS = 3'600;
  return audit_us != 0 && every_s > 0 &&
         AgeSeconds(audit_us, now_us) > static_cast<double>(2 * every_s + kGraceS);
}

std::vector<AgentAlarm> Alarms(const SourceStats& s, int64_t now_us) {
  std::vector<AgentAlarm> alarms;
  const auto add = [&](bool critical, std::string text) {
    alarms.push_back({critical, std::move(text)});
  };
  const double lag = LagSeconds(s, now_us);
  if (s.caught_up_us == 0) {
    add(s.state != SourceState::kCopying && s.state != SourceState::kStarting,
        "the log does not hold everything yet (" + std::string(SourceStateName(s.state)) + ")");
  } else if (lag >= static_cast<double>(s.lag_warn_s)) {
    add(lag >= static_cast<double>(s.lag_critical_s),
        "the log is behind the database by " + WholeSeconds(lag));
  }
  if (s.retained_wal_bytes >= s.retained_wal_warn_bytes) {
    add(s.retained_wal_bytes >= s.retained_wal_critical_bytes,
        "the server keeps " + std::to_string(s.retained_wal_bytes >> 20) +
            " MiB of WAL for this source; its disk may fill");
  }
  if (!s.trouble.empty()) add(false, s.trouble);
  if (s.slots_lost > 0) add(false, "changes were lost and copied anew; history has a gap");
  if (!s.not_captured.empty()) {
    std::string names;
    for (const std::string& name : s.not_captured) names += (names.empty() ? "" : ", ") + name;
    add(true, "tables that are not captured: " + names);
  }
  if (s.canary_on && s.canary_us != 0 && s.caught_up_us != 0 &&
      AgeSeconds(s.canary_us, now_us) >= static_cast<double>(s.lag_critical_s)) {
    add(true, "the last canary is " + WholeSeconds(AgeSeconds(s.canary_us, now_us)) + " old");
  }
  if (!s.canary_on && !s.canary_why_off.empty()) add(false, "no canary: " + s.canary_why_off);
  if (s.audit_differences > 0) {
    add(true, "the last audit found " + std::to_string(s.audit_differences) + " differing rows");
  }
  if (IsAuditOverdue(s.audit_us, s.audit_every_s, now_us)) {
    add(false, "the last audit is " + WholeSeconds(AgeSeconds(s.audit_us, now_us)) + " old");
  }
  std::stable_partition(alarms.begin(), alarms.end(),
                        [](const AgentAlarm& alarm) { return alarm.critical; });
  return alarms;
}

std::string RenderMetrics(const std::string& agent, const SourceStats& s, int64_t now_us) {
  MetricsPage page;
  page.Gauge("kembar_agent_build_info", "Program version; always 1.", 1,
             {{"version", KEMBAR_VERSION}, {"agent", agent}});
  for (const SourceState state :
       {SourceState::kStarting, SourceState::kCopying, SourceState::kStreaming,
        SourceState::kWaiting, SourceState::kStopped}) {
    page.Gauge("kembar_agent_state", "1 for the state of the source.", s.state == state ? 1 : 0,
               {{"source", s.source}, {"state", SourceStateName(state)}});
  }
  AddLevels(s, now_us, &page);
  AddCounters(s, &page);
  AddAlarms("kembar_agent_alarms", s.source, Alarms(s, now_us), &page);
  return page.Text();
}

void AddAlarms(const char* name, const std::string& source, const std::vector<AgentAlarm>& alarms,
               MetricsPage* page) {
  const auto critical =
      std::count_if(alarms.begin(), alarms.end(), [](const AgentAlarm& a) { return a.critical; });
  const auto warnings = static_cast<std::ptrdiff_t>(alarms.size()) - critical;
  constexpr char kHelp[] = "Alarms, as /healthz lists them.";
  page->Gauge(name, kHelp, static_cast<double>(critical),
              {{"source", source}, {"severity", "critical"}});
  page->Gauge(name, kHelp, static_cast<double>(warnings),
              {{"source", source}, {"severity", "warning"}});
}

}  // namespace kembar::agent
