// source.h — the agent's source `documents`: a directory tree into the log, as it changes and by
// looking at all of it from time to time (docs/documents.md).
//
// Events say where to look, a full reconciliation at the start and by period finds what they
// missed. A file is recorded when it has been left alone for `settle`. Deletions are recorded only
// while the directory is surely the same (plan.h); otherwise they are held and told, until an
// operator puts a file `.kembar-confirm-deletions` into the directory.
//
// From time to time an audit reads every byte beside all of this (audit.h), on a thread of its own;
// what it finds is recorded in the log, and recorded anew.
//
// Thread-safety: Run on one thread; status() and AskAudit() from any.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "replicator/base/status.h"
#include "tools/capture/mapping.h"
#include "tools/documents/audit_thread.h"
#include "tools/documents/plan.h"
#include "tools/documents/recorder.h"
#include "tools/documents/watcher.h"

namespace kembar::documents {

inline constexpr char kConfirmFile[] = ".kembar-confirm-deletions";

// [documents] of the agent's configuration.
struct SourceOptions {
  std::string name;  // SOURCE is "documents/NAME"
  std::string dir;
  int64_t settle_ms = 2'000;
  int64_t reconcile_every_s = 600;
  int64_t references_every_s = 60;   // how often rows are asked which documents they refer to
  int64_t canary_every_s = 300;      // 0: off
  std::vector<std::string> exclude;  // patterns as in a mapping
  uint64_t upload_limit = 0;         // bytes a second; 0: none
  uint64_t mass_delete_percent = 20;
  uint64_t mass_delete_min = 100;
  int64_t audit_every_s = 86'400;             // 0: only when asked for
  uint64_t audit_limit = uint64_t{32} << 20;  // bytes a second that it reads; 0: no limit

  std::string Source() const { return "documents/" + name; }
};

struct SourceStatus {
  std::string source;
  std::string state = "starting";  // "starting", "reconciling", "watching", "waiting", "stopped"
  std::string trouble;             // why it does not go on; empty: it does
  std::string held;                // why deletions are held; empty: they are not
  uint64_t held_deletions = 0;
  uint64_t files = 0;     // in the log
  uint64_t pending = 0;   // seen, not recorded yet
  uint64_t recorded = 0;  // by this process: versions
  uint64_t deleted = 0;
  uint64_t bytes_sent = 0;
  uint64_t chunks_sent = 0;
  uint64_t chunks_known = 0;  // that the primary had already
  uint64_t symlinks = 0;      // skipped, at the last reconciliation
  uint64_t special = 0;
  uint64_t unreadable = 0;  // files and directories that could not be read
  uint64_t watches = 0;
  uint64_t unwatched = 0;  // directories without events
  uint64_t reconciliations = 0;
  uint64_t events_lost = 0;
  // Microseconds since 1970 UTC; 0: never.
  int64_t reconciled_us = 0;
  int64_t caught_up_us = 0;  // everything that was seen then is in the log
  int64_t canary_us = 0;     // when the last canary in the log was written
  // Audits by this process.
  bool auditing = false;           // one runs
  int64_t audit_us = 0;            // when the last one began
  uint64_t audit_differences = 0;  // files that it found missing, extra or differing
  uint64_t audit_unsettled = 0;    // files that it did not judge
  uint64_t audit_repaired = 0;     // by all: files that were recorded anew
  std::string audit_trouble;       // why there is none; empty: nothing keeps it
};

class DocumentsSource {
 public:
  // kInvalid: a pattern is none.
  static Result<std::unique_ptr<DocumentsSource>> Make(SourceOptions options,
                                                       std::vector<std::string> nodes,
                                                       std::string log, capture::Mapping mapping);

  // Until `stop`. Returns early only when the system gives no means to watch anything.
  Status Run(std::stop_token stop);
  SourceStatus status() const;
  // An audit begins as soon as the log can be reached and none is running.
  void AskAudit();

  // Told on Run's thread when something goes wrong (`good` is false) or goes on again. Set before
  // Run.
  std::function<void(bool good, const std::string& text)> on_note;

 private:
  DocumentsSource(SourceOptions options, std::vector<std::string> nodes, std::string log,
                  capture::Mapping mapping, std::vector<capture::PathPattern> exclude);

  bool Skips(const std::string& path) const;
  Status Turn();
  // The tree, if it is the one that it was; kPrecondition: another stands in its place.
  Result<Tree> OpenTree();
  Status Reconcile();
  Status SyncReferences();
  Tree::Visitor WatchingVisitor();
  void TakeHints(Hints hints);
  void Consider(const std::string& path, const FileFacts& facts);
  void NoteVanished(const std::vector<std::string>& paths);
  Status ScanDirectory(const std::string& path);
  std::vector<std::string> FindReady(const Tree& tree);
  Status RecordReady();
  Status RecordBatch(const Tree& tree, std::vector<std::string>* ready);
  Status DeleteVanished();
  std::string WhyHold(const Tree& tree, size_t deletions) const;
  Status WriteCanary();
  // source_audit.cc
  Status AuditTurn();
  Status BeginAudit();
  void TakeAudit();
  Result<AuditReport> FinishedAudit();
  void LeaveOutWaiting(AuditReport* report) const;
  bool Repair(const AuditReport& report);
  bool TakeAuditAsked();
  int64_t WaitMs() const;
  void Publish(const char* state, const Status& trouble);
  void NoteChange(std::string* last, const std::string& now, const char* over) const;

  // Constant after construction.
  const SourceOptions options_;
  const std::vector<std::string> nodes_;
  const std::string log_;
  const capture::Mapping mapping_;
  const std::vector<capture::PathPattern> exclude_;
  // Run's thread only.
  std::stop_token stop_;
  std::unique_ptr<Watcher> watcher_;  // set under mutex_, for AskAudit
  std::unique_ptr<Recorder> recorder_;
  DeletionGuard guard_;
  std::map<std::string, Settling> candidates_;
  std::map<std::string, int64_t> vanished_;  // path -> when it was noticed, steady ns
  std::set<std::string> unreadable_;
  Hints hints_;
  std::optional<std::pair<uint64_t, uint64_t>> root_;  // device and inode
  int64_t reconcile_at_ns_ = 0;                        // steady
  int64_t references_at_ns_ = 0;
  int64_t canary_at_ns_ = 0;
  int64_t audit_at_ns_ = 0;
  std::unique_ptr<AuditThread> audit_;  // while one runs
  std::string audit_unwritten_;         // its result, until it is in the log
  std::set<std::string> touched_;       // recorded, or deleted in the log, since it began
  std::set<std::string> anew_;          // to be recorded even if they look as known
  bool audit_follow_up_due_ = false;    // another is to tell whether the repair has helped
  bool audit_follows_up_ = false;       // this is it; no other follows
  std::string canary_trouble_;
  std::string noted_trouble_;  // what on_note was told last
  std::string noted_held_;
  // Shared.
  mutable std::mutex mutex_;
  SourceStatus facts_;
  bool audit_asked_ = false;
};

}  // namespace kembar::documents
