// documents_thread.cc — see documents_thread.h. docs/agent.md lists every metric and alarm.
#include "tools/agent/documents_thread.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>

#include "tools/agent/metrics_page.h"

namespace kembar::agent {
namespace {

constexpr double kBehindWarnS = 300;
constexpr double kBehindCriticalS = 3'600;

// Unset does not mean OK: what never was is as old as this process.
int64_t SinceOrStart(int64_t then_us, const documents::SourceStatus& status) {
  return then_us != 0 ? then_us : status.started_us;
}

void AddAuditAlarms(const documents::SourceStatus& status, const documents::SourceOptions& options,
                    int64_t now_us, std::vector<AgentAlarm>* alarms) {
  if (status.audit_differences > 0) {
    alarms->push_back({true, "the last audit found " + std::to_string(status.audit_differences) +
                                 " differing files"});
  }
  if (!status.audit_trouble.empty()) alarms->push_back({false, status.audit_trouble});
  const int64_t since_us = SinceOrStart(status.audit_us, status);
  if (IsAuditOverdue(since_us, options.audit_every_s, now_us)) {
    const std::string age = WholeSeconds(AgeSeconds(since_us, now_us));
    alarms->push_back({false, status.audit_us == 0 ? "no audit since the start, " + age + " ago"
                                                   : "the last audit is " + age + " old"});
  }
}

// The log is behind, or its canary is old, or there never was one.
void AddFreshnessAlarms(const documents::SourceStatus& status,
                        const documents::SourceOptions& options, int64_t now_us,
                        std::vector<AgentAlarm>* alarms) {
  const double behind = AgeSeconds(SinceOrStart(status.caught_up_us, status), now_us);
  if (status.held.empty() && behind >= kBehindWarnS) {
    const std::string age = WholeSeconds(behind);
    alarms->push_back({behind >= kBehindCriticalS,
                       status.caught_up_us == 0
                           ? "the log was never level since the start, " + age + " ago"
                           : "documents of the last " + age + " may not be in the log yet"});
  }
  const double canary = AgeSeconds(SinceOrStart(status.canary_us, status), now_us);
  const auto stale_s = static_cast<double>(3 * options.canary_every_s) + kBehindWarnS;
  if (options.canary_every_s > 0 && canary > stale_s) {
    const std::string age = WholeSeconds(canary);
    alarms->push_back(
        {true, status.canary_us == 0
                   ? "no canary file came into the log since the start, " + age + " ago"
                   : "the last canary file is " + age + " old"});
  }
}

}  // namespace

std::vector<AgentAlarm> DocumentsAlarms(const documents::SourceStatus& status,
                                        const documents::SourceOptions& options, int64_t now_us) {
  std::vector<AgentAlarm> alarms;
  if (!status.held.empty()) alarms.push_back({true, status.held});
  if (!status.trouble.empty()) {
    alarms.push_back({status.caught_up_us == 0 || status.needs_operator, status.trouble});
  }
  AddFreshnessAlarms(status, options, now_us, &alarms);
  if (status.unreadable > 0) {
    alarms.push_back({true, std::to_string(status.unreadable) + " files or directories of " +
                                options.dir + " cannot be read, or have too long a path"});
  }
  if (status.unreadable_records > 0) {
    alarms.push_back({false, std::to_string(status.unreadable_records) +
                                 " records of documents could not be read when the log was last "
                                 "read: kembarctl package list --state incomplete names packages"});
  }
  if (status.unwatched > 0) {
    alarms.push_back({false, std::to_string(status.unwatched) +
                                 " directories are without events, changes are seen every " +
                                 std::to_string(options.reconcile_every_s) +
                                 " s: raise fs.inotify.max_user_watches"});
  }
  AddAuditAlarms(status, options, now_us, &alarms);
  std::stable_partition(alarms.begin(), alarms.end(),
                        [](const AgentAlarm& alarm) { return alarm.critical; });
  return alarms;
}

std::string RenderDocumentsMetrics(const documents::SourceStatus& s,
                                   const std::vector<AgentAlarm>& alarms, int64_t now_us) {
  MetricsPage page;
  const MetricsPage::Labels source = {{"source", s.source}};
  const auto gauge = [&](const std::string& name, const char* help, auto value) {
    page.Gauge(("kembar_agent_documents_" + name).c_str(), help, static_cast<double>(value),
               source);
  };
  const auto counter = [&](const std::string& name, const char* help, uint64_t value) {
    page.Counter(("kembar_agent_documents_" + name).c_str(), help, value, source);
  };
  for (const char* state : {"starting", "reconciling", "watching", "waiting", "stopped"}) {
    page.Gauge("kembar_agent_documents_state", "1 for the state of the source.",
               s.state == state ? 1 : 0, {{"source", s.source}, {"state", state}});
  }
  gauge("files", "Files that the log holds as living.", s.files);
  gauge("pending", "Files that were seen changed and are not recorded yet.", s.pending);
  gauge("held_deletions", "Deletions that wait for an operator's word.", s.held_deletions);
  gauge("symlinks", "Symbolic links, which are skipped.", s.symlinks);
  gauge("special_files", "Pipes, sockets and devices, which are skipped.", s.special);
  gauge("unreadable", "Files and directories that could not be read.", s.unreadable);
  gauge("unreadable_records", "Records of documents in the log that cannot be read.",
        s.unreadable_records);
  gauge("watches", "Directories that are watched.", s.watches);
  gauge("unwatched", "Directories that could not be watched.", s.unwatched);
  gauge("lag_seconds", "Time since all that had been seen was in the log; +Inf: it never was.",
        AgeSeconds(s.caught_up_us, now_us));
  gauge("reconciled_age_seconds", "Time since the whole tree was last looked at; +Inf: never.",
        AgeSeconds(s.reconciled_us, now_us));
  gauge("canary_age_seconds", "Age of the newest canary file that is in the log; +Inf: none.",
        AgeSeconds(s.canary_us, now_us));
  gauge("audit_running", "Whether an audit runs.", s.auditing ? 1 : 0);
  gauge("audit_age_seconds", "Time since the last audit began; +Inf: none yet.",
        AgeSeconds(s.audit_us, now_us));
  gauge("audit_differences", "Files that differed in the last audit.", s.audit_differences);
  gauge("audit_unsettled", "Files that the last audit did not judge, because they changed.",
        s.audit_unsettled);
  counter("audit_repaired_total", "Files that were recorded anew because an audit found them.",
          s.audit_repaired);
  counter("recorded_total", "Versions of documents that were recorded.", s.recorded);
  counter("deleted_total", "Deletions that were recorded.", s.deleted);
  counter("bytes_sent_total", "Bytes of contents that were sent.", s.bytes_sent);
  counter("chunks_sent_total", "Chunks that were sent.", s.chunks_sent);
  counter("chunks_known_total", "Chunks that the node had already.", s.chunks_known);
  counter("reconciliations_total", "Times that the whole tree was looked at.", s.reconciliations);
  counter("events_lost_total", "Times that events were lost.", s.events_lost);
  AddAlarms("kembar_agent_documents_alarms", s.source, alarms, &page);
  return page.Text();
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
  thread->thread_ = std::jthread([running](const std::stop_token& stop) { running->Run(stop); });
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
