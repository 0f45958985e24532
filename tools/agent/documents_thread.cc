// documents_thread.cc — see documents_thread.h. docs/agent.md lists every metric and alarm.
#include "tools/agent/documents_thread.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>

namespace kembar::agent {
namespace {

constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kBehindWarnS = 300;
constexpr int64_t kBehindCriticalS = 3'600;

int64_t AgeSeconds(int64_t then_us, int64_t now_us) {
  return std::max<int64_t>(now_us - then_us, 0) / kSecondUs;
}

// Unset does not mean OK: what never was is infinitely old.
std::string AgeText(int64_t then_us, int64_t now_us) {
  return then_us == 0 ? "+Inf" : std::to_string(AgeSeconds(then_us, now_us));
}

class Page {
 public:
  explicit Page(const std::string& source) : source_(source) {}

  void Add(const char* name, const char* type, const char* help, const std::string& value) {
    text_ += std::string("# HELP kembar_agent_documents_") + name + " " + help +
             "\n# TYPE kembar_agent_documents_" + name + " " + type + "\n";
    AddSample(name, "", value);
  }
  void Gauge(const char* name, const char* help, uint64_t value) {
    Add(name, "gauge", help, std::to_string(value));
  }
  void Counter(const char* name, const char* help, uint64_t value) {
    Add(name, "counter", help, std::to_string(value));
  }
  void AddSample(const char* name, const std::string& more, const std::string& value) {
    text_ += std::string("kembar_agent_documents_") + name + "{source=\"" + source_ + "\"" + more +
             "} " + value + "\n";
  }
  const std::string& text() const { return text_; }

 private:
  const std::string& source_;  // letters, digits, '-', '_', '.', '/': nothing to escape
  std::string text_;
};

}  // namespace

std::vector<AgentAlarm> DocumentsAlarms(const documents::SourceStatus& status,
                                        const documents::SourceOptions& options, int64_t now_us) {
  std::vector<AgentAlarm> alarms;
  if (!status.held.empty()) alarms.push_back({true, status.held});
  if (status.caught_up_us != 0 && status.held.empty() &&
      AgeSeconds(status.caught_up_us, now_us) >= kBehindWarnS) {
    const int64_t age = AgeSeconds(status.caught_up_us, now_us);
    alarms.push_back({age >= kBehindCriticalS, "documents of the last " + std::to_string(age) +
                                                   " s may not be in the log yet"});
  }
  if (!status.trouble.empty()) alarms.push_back({status.caught_up_us == 0, status.trouble});
  if (status.unreadable > 0) {
    alarms.push_back({true, std::to_string(status.unreadable) + " files or directories of " +
                                options.dir + " cannot be read"});
  }
  if (status.unwatched > 0) {
    alarms.push_back({false, std::to_string(status.unwatched) +
                                 " directories are without events, changes are seen every " +
                                 std::to_string(options.reconcile_every_s) +
                                 " s: raise fs.inotify.max_user_watches"});
  }
  const int64_t stale_s = 3 * options.canary_every_s + kBehindWarnS;
  if (options.canary_every_s > 0 && status.canary_us != 0 &&
      AgeSeconds(status.canary_us, now_us) > stale_s) {
    alarms.push_back({true, "the last canary file is " +
                                std::to_string(AgeSeconds(status.canary_us, now_us)) + " s old"});
  }
  std::stable_partition(alarms.begin(), alarms.end(),
                        [](const AgentAlarm& alarm) { return alarm.critical; });
  return alarms;
}

std::string RenderDocumentsMetrics(const documents::SourceStatus& s,
                                   const std::vector<AgentAlarm>& alarms, int64_t now_us) {
  Page page(s.source);
  page.Gauge("files", "Files that the log holds as living.", s.files);
  page.Gauge("pending", "Files that were seen changed and are not recorded yet.", s.pending);
  page.Gauge("held_deletions", "Deletions that wait for an operator's word.", s.held_deletions);
  page.Gauge("symlinks", "Symbolic links, which are skipped.", s.symlinks);
  page.Gauge("special_files", "Pipes, sockets and devices, which are skipped.", s.special);
  page.Gauge("unreadable", "Files and directories that could not be read.", s.unreadable);
  page.Gauge("watches", "Directories that are watched.", s.watches);
  page.Gauge("unwatched", "Directories that could not be watched.", s.unwatched);
  page.Add("lag_seconds", "gauge",
           "Time since all that had been seen was in the log; +Inf: it never was.",
           AgeText(s.caught_up_us, now_us));
  page.Add("reconciled_age_seconds", "gauge",
           "Time since the whole tree was last looked at; +Inf: never.",
           AgeText(s.reconciled_us, now_us));
  page.Add("canary_age_seconds", "gauge",
           "Age of the newest canary file that is in the log; +Inf: none.",
           AgeText(s.canary_us, now_us));
  page.Counter("recorded_total", "Versions of documents that were recorded.", s.recorded);
  page.Counter("deleted_total", "Deletions that were recorded.", s.deleted);
  page.Counter("bytes_sent_total", "Bytes of contents that were sent.", s.bytes_sent);
  page.Counter("chunks_sent_total", "Chunks that were sent.", s.chunks_sent);
  page.Counter("chunks_known_total", "Chunks that the node had already.", s.chunks_known);
  page.Counter("reconciliations_total", "Times that the whole tree was looked at.",
               s.reconciliations);
  page.Counter("events_lost_total", "Times that events were lost.", s.events_lost);
  const auto critical =
      std::count_if(alarms.begin(), alarms.end(), [](const AgentAlarm& a) { return a.critical; });
  const auto warnings = static_cast<std::ptrdiff_t>(alarms.size()) - critical;
  std::string text = page.text();
  text +=
      "# HELP kembar_agent_documents_alarms Alarms, as /healthz lists them.\n"
      "# TYPE kembar_agent_documents_alarms gauge\n";
  Page counts(s.source);
  counts.AddSample("alarms", ",severity=\"critical\"", std::to_string(critical));
  counts.AddSample("alarms", ",severity=\"warning\"", std::to_string(warnings));
  return text + counts.text();
}

DocumentsThread::DocumentsThread(documents::SourceOptions options,
                                 std::unique_ptr<documents::DocumentsSource> source)
    : options_(std::move(options)), source_(std::move(source)) {}

Result<std::unique_ptr<DocumentsThread>> DocumentsThread::Start(const AgentConfig& config) {
  const DocumentsConfig& documents = *config.documents;
  ASSIGN_OR_RETURN(auto source, documents::DocumentsSource::Make(documents.options, config.nodes,
                                                                 config.log, documents.mapping));
  std::unique_ptr<DocumentsThread> thread(
      new DocumentsThread(documents.options, std::move(source)));
  documents::DocumentsSource* const running = thread->source_.get();
  running->on_note = [name = documents.options.Source()](bool good, const std::string& text) {
    if (good) {
      spdlog::info("source {}: {}", name, text);
    } else {
      spdlog::warn("source {}: {}", name, text);
    }
  };
  thread->thread_ = std::jthread([running](const std::stop_token& stop) {
    const Status status = running->Run(stop);
    if (!status.ok()) spdlog::error("documents: {}", status.ToString());
  });
  return thread;
}

DocumentsThread::~DocumentsThread() = default;

std::vector<AgentAlarm> DocumentsThread::AlarmsNow() const {
  return DocumentsAlarms(source_->status(), options_, WallUs());
}

std::string DocumentsThread::MetricsNow() const {
  return RenderDocumentsMetrics(source_->status(), AlarmsNow(), WallUs());
}

}  // namespace kembar::agent
