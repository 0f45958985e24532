// sink_thread.cc — see sink_thread.h. docs/agent.md lists every metric and alarm.
#include "tools/agent/sink_thread.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tools/agent/metrics_page.h"
#include "tools/client/cluster.h"

namespace kembar::agent {
namespace {

using restore::SinkState;
using restore::SinkStatus;

// Since the source committed the log's newest transaction.
double QuietSeconds(const SinkStatus& status, int64_t now_us) {
  return static_cast<double>(std::max<int64_t>(now_us - status.newest_time_us, 0)) / kSecondUs;
}

// The node `at` while it answers; otherwise the primary, or who holds most.
const client::NodeView* Choose(const client::Cluster& cluster, const std::string& log,
                               const std::string& at) {
  const client::NodeView* wanted = at.empty() ? nullptr : cluster.Find(at);
  if (wanted != nullptr && wanted->Log(log) != nullptr) return wanted;
  return cluster.BestReader(log);
}

// Finds the nodes of the log, as often as it is asked.
class LogFinder {
 public:
  explicit LogFinder(const AgentConfig& config)
      : cluster_(config.nodes), log_(config.log), at_(config.sink->at) {}

  Result<std::unique_ptr<restore::LogReader>> Open() {
    RETURN_IF_ERROR(cluster_.Refresh());
    ASSIGN_OR_RETURN(const std::string log, cluster_.ResolveLog(log_));
    const client::NodeView* const node = Choose(cluster_, log, at_);
    if (node == nullptr) {
      return Status(Code::kUnavailable, "no node that answers holds log " + log);
    }
    if (node->name != last_) spdlog::info("sink: log {} is read at node {}", log, node->name);
    last_ = node->name;
    return std::unique_ptr<restore::LogReader>(
        std::make_unique<restore::NodeLog>(cluster_.Stubs(node->address), log));
  }

 private:
  client::Cluster cluster_;
  const std::string log_;
  const std::string at_;
  std::string last_;
};

}  // namespace

std::vector<AgentAlarm> SinkAlarms(const SinkStatus& status, const SinkConfig& config,
                                   int64_t now_us) {
  std::vector<AgentAlarm> alarms;
  const double lag = status.LagSeconds(now_us);
  const bool never = std::isinf(lag);
  const bool filling = status.state == SinkState::kStarting || status.state == SinkState::kFilling;
  const bool late = never ? !filling : lag >= static_cast<double>(config.lag_critical_s);
  if (status.state == SinkState::kStopped) {
    alarms.push_back({true, "the sink does not go on by itself: " + status.error});
  } else if (status.state == SinkState::kFailing) {
    alarms.push_back({late, "the sink fails: " + status.error});
  }
  if (never) {
    alarms.push_back({late, std::string("the standby database is not filled yet (") +
                                SinkStateName(status.state) + ")"});
  } else if (lag >= static_cast<double>(config.lag_warn_s)) {
    alarms.push_back({late, "the standby database is behind the log by " + WholeSeconds(lag)});
  }
  const double quiet = QuietSeconds(status, now_us);
  if (config.quiet_warn_s > 0 && status.newest_time_us != 0 &&
      quiet >= static_cast<double>(config.quiet_warn_s)) {
    alarms.push_back({false, "the log's newest transaction is " + WholeSeconds(quiet) +
                                 " old: is the source still captured?"});
  }
  std::stable_partition(alarms.begin(), alarms.end(),
                        [](const AgentAlarm& alarm) { return alarm.critical; });
  return alarms;
}

std::string RenderSinkMetrics(const SinkStatus& s, const std::vector<AgentAlarm>& alarms,
                              int64_t now_us) {
  MetricsPage page;
  const MetricsPage::Labels source = {{"source", s.source}};
  const auto gauge = [&](const char* name, const char* help, double value) {
    page.Gauge(name, help, value, source);
  };
  for (const SinkState state : {SinkState::kStarting, SinkState::kFilling, SinkState::kFollowing,
                                SinkState::kFailing, SinkState::kStopped}) {
    page.Gauge("kembar_agent_sink_state", "1 for the state of the sink.", s.state == state ? 1 : 0,
               {{"source", s.source}, {"state", SinkStateName(state)}});
  }
  gauge("kembar_agent_sink_lag_seconds",
        "All that was in the log so long ago is in the standby database; +Inf: nothing is.",
        std::floor(s.LagSeconds(now_us)));
  gauge("kembar_agent_sink_applied_index", "Index at which the standby database stands; 0: none.",
        static_cast<double>(s.applied_index));
  gauge("kembar_agent_sink_newest_index", "Index of the log's newest transaction, as last asked.",
        static_cast<double>(s.newest_index));
  gauge("kembar_agent_sink_applied_timestamp_seconds",
        "Commit time of the last transaction that was applied; 0: none.",
        static_cast<double>(s.applied_time_us) / kSecondUs);
  page.Counter("kembar_agent_sink_transactions_total", "Transactions that were applied.",
               s.transactions, source);
  page.Counter("kembar_agent_sink_fillings_total",
               "Times that the standby database was filled, at first or anew.", s.fillings, source);
  AddAlarms("kembar_agent_sink_alarms", s.source, alarms, &page);
  return page.Text();
}

std::unique_ptr<SinkThread> SinkThread::Start(const AgentConfig& config,
                                              std::function<void()> on_end) {
  const SinkConfig& sink = *config.sink;
  auto finder = std::make_shared<LogFinder>(config);
  std::unique_ptr<SinkThread> thread(new SinkThread(sink, {.dsn = sink.dsn, .source = sink.source},
                                                    [finder] { return finder->Open(); }));
  restore::Sink* const running = &thread->sink_;
  running->on_note = [](bool good, const std::string& text) {
    spdlog::log(good ? spdlog::level::info : spdlog::level::warn, "sink: {}", text);
  };
  thread->thread_ =
      std::jthread([running, on_end = std::move(on_end)](const std::stop_token& stop) {
        const Status status = running->Run(stop);
        if (status.ok()) return;
        spdlog::error("sink: {}", status.ToString());
        on_end();
      });
  return thread;
}

std::vector<AgentAlarm> SinkThread::AlarmsNow() const {
  return SinkAlarms(sink_.status(), config_, WallUs());
}

std::string SinkThread::MetricsNow() const {
  return RenderSinkMetrics(sink_.status(), AlarmsNow(), WallUs());
}

}  // namespace kembar::agent
