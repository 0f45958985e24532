// stats.h — what a source tells of itself, for metrics, health and status; and what in it must
// alarm somebody, decided in one place.
//
// Thread-safety: StatsBoard may be used from many threads; the rest are values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace kembar::agent {

class MetricsPage;

enum class SourceState : uint8_t { kStarting, kCopying, kStreaming, kWaiting, kStopped };
const char* SourceStateName(SourceState state);

struct SourceStats {
  std::string source;
  SourceState state = SourceState::kStarting;
  std::string trouble;  // why it does not stream; empty: it does

  // Times are microseconds since 1970 UTC; 0: never.
  int64_t caught_up_us = 0;  // everything that the server had written then is in the log
  int64_t committed_us = 0;  // commit time of the last transaction in the log
  bool canary_on = false;
  std::string canary_why_off;
  int64_t canary_us = 0;  // when the last canary in the log was committed
  int64_t server_seen_us = 0;

  uint64_t retained_wal_bytes = 0;
  uint64_t lag_bytes = 0;
  bool synchronous = false;

  uint64_t rows = 0;
  uint64_t transactions = 0;
  uint64_t batches = 0;
  std::map<std::string, uint64_t> unmapped;  // by table
  uint64_t incomplete = 0;
  uint64_t reconnects = 0;
  uint64_t slots_lost = 0;
  uint64_t reconciliations = 0;
  uint64_t reconciled_rows = 0;

  int64_t audit_us = 0;
  uint64_t audit_differences = 0;  // of the last audit
  uint64_t audit_repaired = 0;     // of all: what was found and put right

  std::vector<std::string> not_captured;  // tables that should be, but can't

  // From the configuration.
  uint64_t retained_wal_warn_bytes = 0;
  uint64_t retained_wal_critical_bytes = 0;
  int64_t lag_warn_s = 0;
  int64_t lag_critical_s = 0;
  int64_t audit_every_s = 0;
};

struct AgentAlarm {
  bool critical = false;  // otherwise a warning
  std::string text;
};
// What is wrong, critical first.
std::vector<AgentAlarm> Alarms(const SourceStats& stats, int64_t now_us);
// Whether audits, of which the last began then (0: none yet), have stopped coming.
bool IsAuditOverdue(int64_t audit_us, int64_t every_s, int64_t now_us);
// As metrics: how many of each severity.
void AddAlarms(const char* name, const std::string& source, const std::vector<AgentAlarm>& alarms,
               MetricsPage* page);
// Seconds since everything was in the log; infinite: it never was.
double LagSeconds(const SourceStats& stats, int64_t now_us);

std::string RenderMetrics(const std::string& agent, const SourceStats& stats, int64_t now_us);

int64_t WallUs();

class StatsBoard {
 public:
  SourceStats Read() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void Update(const std::function<void(SourceStats*)>& change) {
    const std::lock_guard lock(mutex_);
    change(&stats_);
  }

 private:
  mutable std::mutex mutex_;
  SourceStats stats_;
};

}  // namespace kembar::agent
