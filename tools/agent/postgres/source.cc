// source.cc — see source.h.
#include "tools/agent/postgres/source.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "tools/agent/postgres/session.h"

namespace kembar::agent {
namespace {

constexpr int kPauseMsFirst = 200;
constexpr int kPauseMsLongest = 3'000;

void Prepare(const PostgresConfig& config, SourceStats* stats) {
  stats->source = config.Source();
  stats->retained_wal_warn_bytes = config.retained_wal_warn_bytes;
  stats->retained_wal_critical_bytes = config.retained_wal_critical_bytes;
  stats->lag_warn_s = config.lag_warn_s;
  stats->lag_critical_s = config.lag_critical_s;
  stats->audit_every_s = config.audit_every_s;
}

// Woken early by an acknowledgement of the session before: the pause is kept all the same.
void Pause(int ms, Wakeup* wakeup) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (!wakeup->stopping() && std::chrono::steady_clock::now() < until) wakeup->Wait(ms);
}

}  // namespace

Status RunPostgresSource(const AgentConfig& config, bool accept_new_database, StatsBoard* board,
                         Wakeup* wakeup) {
  board->Update([&](SourceStats* stats) { Prepare(*config.postgres, stats); });
  SessionOptions options{.accept_new_database = accept_new_database};
  int pause_ms = kPauseMsFirst;
  while (!wakeup->stopping()) {
    Status status;
    bool fatal = false;
    {
      Session session(config, options, board, wakeup);
      status = session.Run();
      fatal = session.fatal();
      options.discontinued = session.diverged();
      if (session.streamed()) {
        options.first = false;
        // Accepted once: a third database would be news again.
        options.accept_new_database = false;
        pause_ms = kPauseMsFirst;
      }
    }
    if (status.ok() || wakeup->stopping()) break;
    if (fatal && options.first) return status;
    spdlog::error("source={} {}; trying again in {} ms", config.postgres->Source(),
                  status.ToString(), pause_ms);
    board->Update([&](SourceStats* stats) {
      stats->state = SourceState::kWaiting;
      stats->trouble = status.ToString();
      ++stats->reconnects;
    });
    Pause(pause_ms, wakeup);
    pause_ms = std::min(pause_ms * 2, kPauseMsLongest);
  }
  board->Update([](SourceStats* stats) { stats->state = SourceState::kStopped; });
  return Status::Ok();
}

}  // namespace kembar::agent
