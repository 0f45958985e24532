// documents_thread.h — the source `documents` on a thread of its own, and what it tells of itself:
// log lines, metrics, alarms.
//
// Thread-safety: Metrics, Health may be called from any thread.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tools/agent/config.h"
#include "tools/agent/stats.h"
#include "tools/documents/source.h"

namespace kembar::agent {

// What in it must alarm somebody, critical first. Pure.
std::vector<AgentAlarm> DocumentsAlarms(const documents::SourceStatus& status,
                                        const documents::SourceOptions& options, int64_t now_us);
// In Prometheus' text form. Pure.
std::string RenderDocumentsMetrics(const documents::SourceStatus& status,
                                   const std::vector<AgentAlarm>& alarms, int64_t now_us);

class DocumentsThread {
 public:
  // `config.documents` is set. It begins at once and ends with this object.
  static Result<std::unique_ptr<DocumentsThread>> Start(const AgentConfig& config);
  ~DocumentsThread();

  // An audit is asked for now. Any thread.
  void AskAudit() { source_->AskAudit(); }

  documents::SourceStatus status() const { return source_->status(); }
  std::vector<AgentAlarm> AlarmsNow() const;
  std::string MetricsNow() const;

 private:
  DocumentsThread(documents::SourceOptions options,
                  std::unique_ptr<documents::DocumentsSource> source);

  const documents::SourceOptions options_;
  const std::unique_ptr<documents::DocumentsSource> source_;
  std::jthread thread_;
};

}  // namespace kembar::agent
