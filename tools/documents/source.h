// source.h — the agent's source `documents`: a directory tree into the log, as it changes and by
// looking at all of it from time to time (docs/documents.md).
//
// Events say where to look, a full reconciliation at the start and by period finds what they
// missed. A file is recorded when it has been left alone for `settle`, a batch at a time, so that
// nothing waits for a backlog. Deletions are recorded only while the directory is surely the same
// (plan.h); otherwise they are held and told, until an operator puts a file
// `.kembar-confirm-deletions` into the directory. It counts once.
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
#include <utility>
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
  bool needs_operator = false;     // the trouble does not go away by itself
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
  uint64_t unreadable = 0;          // files and directories that could not be read
  uint64_t unreadable_records = 0;  // in the log, when it was last read: anybody's
  uint64_t watches = 0;
  uint64_t unwatched = 0;  // directories without events
  uint64_t reconciliations = 0;
  uint64_t events_lost = 0;
  // Microseconds since 1970 UTC; 0: never.
  int64_t started_us = 0;  // set always
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

  // Until `stop`: whatever goes wrong is told, and tried again.
  void Run(std::stop_token stop);
  SourceStatus status() const;
  // An audit begins as soon as the log can be reached and none is running.
  void AskAudit();

  // Told on Run's thread when something goes wrong (`good` is false) or goes on again. Set before
  // Run.
  std::function<void(bool good, const std::string& text)> on_note;
  // Gives the watcher; set before Run.
  std::function<Result<std::unique_ptr<Watcher>>()> make_watcher = &Watcher::Make;

 private:
  using Root = std::pair<uint64_t, uint64_t>;  // device and inode

  DocumentsSource(SourceOptions options, std::vector<std::string> nodes, std::string log,
                  capture::Mapping mapping, std::vector<capture::PathPattern> exclude);

  bool Skips(const std::string& path) const;
  Status Turn();
  Status BeginTurn();
  void WaitForNext(int64_t ms);
  // The tree that stands there. other_root_ says whether it is another than the one that it was.
  Result<Tree> OpenTree();
  bool HasKnownCanary(const Tree& tree) const;
  Status RefuseStaleTree();
  // An operator's word, not spent yet.
  bool IsConfirmed(const Tree& tree) const;
  void SpendConfirmation(const Tree& tree);
  Status DropIdleConfirmation();
  Status Reconcile();
  void NoteMounts(std::set<std::string> mounts);
  Status SyncReferences();
  Tree::Visitor WatchingVisitor();
  void TakeHints(Hints hints);
  bool Differs(const std::string& path, const FileFacts& facts) const;
  void NoteVanished(const std::vector<std::string>& paths);
  Status ScanDirectory(const std::string& path);
  Candidates::Verdict Judge(const Tree& tree, const std::string& path, Settling* settling);
  Status RecordReady();
  Status RecordBatch(const Tree& tree, const std::vector<std::string>& paths);
  void NoteRecorded(const std::vector<std::string>& paths);
  std::set<std::string> OtherHalves(const std::vector<std::string>& paths) const;
  std::pair<int64_t, int64_t> WhenVanished() const;
  Status DeleteVanished();
  std::vector<std::string> SurelyVanished(const Tree& tree);
  Status DeleteOrHold(const Tree& tree, const std::vector<std::string>& paths);
  std::string WhyOtherTree(const Tree& tree) const;
  std::string WhyTooMany(size_t deletions) const;
  void PublishHeld(const std::string& why, uint64_t held);
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
  Candidates candidates_;
  std::map<std::string, int64_t> vanished_;  // path -> when it was noticed, steady ns
  std::set<std::string> unreadable_;
  Hints hints_;
  std::optional<Root> root_;         // the one whose deletions are believed
  std::optional<Root> reconciled_;   // the one that was looked at last
  bool other_root_ = false;          // not root_ stands there
  bool unproven_ = true;             // just loaded, or another tree: it may be an old copy
  bool stale_ = false;               // it is one
  std::set<std::string> mounts_;     // directories with a file system of their own
  std::set<std::string> unmounted_;  // that had one
  std::string too_many_;             // why deletions wait for an operator; empty: they do not
  std::optional<FileFacts> spent_;   // the confirmation that has been used
  int64_t reconcile_at_ns_ = 0;      // steady
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
