// sink_thread.h — the sink `postgres`, which keeps a warm standby database, on a thread of its own,
// and what it tells of itself: log lines, metrics, alarms.
//
// Thread-safety: AlarmsNow, MetricsNow, status may be called from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tools/agent/config.h"
#include "tools/agent/stats.h"
#include "tools/restore/sink.h"

namespace kembar::agent {

// What in it must alarm somebody, critical first. Pure.
std::vector<AgentAlarm> SinkAlarms(const restore::SinkStatus& status, const SinkConfig& config,
                                   int64_t now_us);
// In Prometheus' text form. Pure.
std::string RenderSinkMetrics(const restore::SinkStatus& status,
                              const std::vector<AgentAlarm>& alarms, int64_t now_us);

class SinkThread {
 public:
  // `config.sink` is set. It begins at once and ends with this object. `on_end` is called, on its
  // thread, when it can't go on; status() says why then.
  static std::unique_ptr<SinkThread> Start(const AgentConfig& config, std::function<void()> on_end);

  restore::SinkStatus status() const { return sink_.status(); }
  std::vector<AgentAlarm> AlarmsNow() const;
  std::string MetricsNow() const;

 private:
  SinkThread(SinkConfig config, restore::SinkOptions options, restore::Sink::OpenLog open_log)
      : config_(std::move(config)), sink_(std::move(options), std::move(open_log)) {}

  const SinkConfig config_;
  restore::Sink sink_;
  std::jthread thread_;
};

}  // namespace kembar::agent
