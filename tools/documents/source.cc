// source.cc — see source.h: the loop, reconciliation and events. source_record.cc has what is done
// with what they find.
#include "tools/documents/source.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "tools/capture/path.h"
#include "tools/documents/clock.h"
#include "tools/documents/fetch.h"
#include "tools/documents/throttle.h"

namespace kembar::documents {
namespace {

constexpr int64_t kRetryMs = 1'000;
// A restored file has the time that the log knows, as far as its file system can tell it.
constexpr int64_t kCoarseNs = 2 * kSecondNs;

}  // namespace

DocumentsSource::DocumentsSource(SourceOptions options, std::vector<std::string> nodes,
                                 std::string log, capture::Mapping mapping,
                                 std::vector<capture::PathPattern> exclude)
    : options_(std::move(options)),
      nodes_(std::move(nodes)),
      log_(std::move(log)),
      mapping_(std::move(mapping)),
      exclude_(std::move(exclude)),
      guard_({.percent = options_.mass_delete_percent, .at_least = options_.mass_delete_min}),
      candidates_(options_.settle_ms * kMsNs) {
  facts_.source = options_.Source();
  facts_.started_us = WallNs() / 1'000;
}

Result<std::unique_ptr<DocumentsSource>> DocumentsSource::Make(SourceOptions options,
                                                               std::vector<std::string> nodes,
                                                               std::string log,
                                                               capture::Mapping mapping) {
  std::vector<capture::PathPattern> exclude;
  for (const std::string& text : options.exclude) {
    ASSIGN_OR_RETURN(capture::PathPattern pattern, capture::PathPattern::Parse(text));
    exclude.push_back(std::move(pattern));
  }
  return std::unique_ptr<DocumentsSource>(new DocumentsSource(std::move(options), std::move(nodes),
                                                              std::move(log), std::move(mapping),
                                                              std::move(exclude)));
}

SourceStatus DocumentsSource::status() const {
  const std::lock_guard lock(mutex_);
  return facts_;
}

bool DocumentsSource::Skips(const std::string& path) const {
  if (IsOwnFile(path) && path != kCanaryFile) return true;
  return std::any_of(
      exclude_.begin(), exclude_.end(),
      [&path](const capture::PathPattern& pattern) { return pattern.Matches(path, nullptr); });
}

void DocumentsSource::Run(std::stop_token stop) {
  stop_ = stop;
  recorder_ =
      std::make_unique<Recorder>(RecorderOptions{.nodes = nodes_,
                                                 .log = log_,
                                                 .source = options_.Source(),
                                                 .upload = {.bytes_per_s = options_.upload_limit}},
                                 &mapping_, stop);
  recorder_->on_waiting = [this](const Status& why) {
    Publish(why.ok() ? "watching" : "waiting", why);
  };
  const std::stop_callback wake(stop, [this] {
    const std::lock_guard lock(mutex_);
    if (watcher_) watcher_->Wake();
  });
  audit_at_ns_ = SteadyNs() + options_.audit_every_s * kSecondNs;
  while (!stop.stop_requested()) {
    const Status status = Turn();
    if (stop.stop_requested()) break;
    Publish(status.ok() ? "watching" : "waiting", status);
    WaitForNext(status.ok() ? WaitMs() : kRetryMs);
  }
  audit_.reset();
  Publish("stopped", Status::Ok());
}

void DocumentsSource::WaitForNext(int64_t ms) {
  const std::chrono::milliseconds wait(ms);
  if (watcher_) return watcher_->Wait(wait, &hints_);
  WaitUnlessStopped(stop_, std::chrono::steady_clock::now() + wait);
}

// What everything else stands on.
Status DocumentsSource::BeginTurn() {
  if (!watcher_) {
    ASSIGN_OR_RETURN(auto watcher, make_watcher());
    const std::lock_guard lock(mutex_);
    watcher_ = std::move(watcher);
  }
  TakeHints(std::exchange(hints_, {}));
  if (!recorder_->loaded()) {
    RETURN_IF_ERROR(recorder_->Load());
    reconcile_at_ns_ = 0;
    unproven_ = true;
  }
  return RefuseStaleTree();
}

Status DocumentsSource::Turn() {
  RETURN_IF_ERROR(BeginTurn());
  if (SteadyNs() >= std::min(references_at_ns_, reconcile_at_ns_)) {
    RETURN_IF_ERROR(SyncReferences());
  }
  if (SteadyNs() >= reconcile_at_ns_) RETURN_IF_ERROR(Reconcile());
  if (options_.canary_every_s > 0 && SteadyNs() >= canary_at_ns_) {
    // Told, but no reason to stop: the directory may be read-only for us.
    const Status canary = WriteCanary();
    canary_trouble_ = canary.ok() ? "" : "canary: " + canary.message();
    canary_at_ns_ = SteadyNs() + options_.canary_every_s * kSecondNs;
  }
  RETURN_IF_ERROR(RecordReady());
  RETURN_IF_ERROR(DeleteVanished());
  RETURN_IF_ERROR(AuditTurn());
  RETURN_IF_ERROR(DropIdleConfirmation());
  if (candidates_.empty() && vanished_.empty()) {
    const std::lock_guard lock(mutex_);
    facts_.caught_up_us = WallNs() / 1'000;
  }
  return Status::Ok();
}

Result<Tree> DocumentsSource::OpenTree() {
  ASSIGN_OR_RETURN(Tree tree, Tree::Open(options_.dir));
  const Root root = {tree.device(), tree.inode()};
  // With the log's canary in it, it is the right one, mounted late.
  other_root_ = root_ && *root_ != root && !HasKnownCanary(tree) && !IsConfirmed(tree);
  if (!other_root_ && root_ != root) {
    root_ = root;
    canary_at_ns_ = 0;  // it may have been refused before
  }
  // What is mounted over a directory raises no event in it.
  if (reconciled_ && *reconciled_ != root) {
    reconcile_at_ns_ = 0;
    unproven_ = true;
  }
  return tree;
}

bool DocumentsSource::HasKnownCanary(const Tree& tree) const {
  const auto known = recorder_->known().find(kCanaryFile);
  const Result<FileFacts> canary = tree.Stat(kCanaryFile);
  return known != recorder_->known().end() && canary.ok() && known->second.size == canary->size &&
         known->second.mtime_ns == canary->mtime_ns;
}

// Only this source writes canaries, into the tree first. So if the log's is newer, there is another
// agent of this name, or this tree is an old copy: what it holds must not become the newest.
Status DocumentsSource::RefuseStaleTree() {
  if (!unproven_) return Status::Ok();
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  const auto known = recorder_->known().find(kCanaryFile);
  const Result<FileFacts> canary = tree.Stat(kCanaryFile);
  stale_ = known != recorder_->known().end() && canary.ok() &&
           canary->mtime_ns + kCoarseNs < known->second.mtime_ns && !IsConfirmed(tree);
  unproven_ = stale_;
  if (!stale_) return Status::Ok();
  return {Code::kPrecondition,
          "nothing is recorded: the log has a newer canary file than " + options_.dir +
              ", so another agent captures as " + options_.Source() +
              ", or this is an old copy of the directory",
          "stop the agent that is not meant; if this is the right directory: touch " +
              options_.dir + "/" + kConfirmFile};
}

bool DocumentsSource::IsConfirmed(const Tree& tree) const {
  const Result<FileFacts> facts = tree.Stat(kConfirmFile);
  return facts.ok() && spent_ != *facts;
}

void DocumentsSource::SpendConfirmation(const Tree& tree) {
  const Result<FileFacts> facts = tree.Stat(kConfirmFile);
  if (!facts.ok()) return;
  spent_ = *facts;  // counts no more, even where we may not remove it
  const Result<Fd> root = tree.OpenDirectory("");
  if (root.ok()) unlinkat(root->get(), kConfirmFile, 0);
}

// A confirmation is for what waits now. One that is left lying would let the next loss pass.
Status DocumentsSource::DropIdleConfirmation() {
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  if (vanished_.empty() && SteadyNs() < reconcile_at_ns_) SpendConfirmation(tree);
  return Status::Ok();
}

Status DocumentsSource::SyncReferences() {
  ASSIGN_OR_RETURN(const bool moved, recorder_->SyncReferences());
  references_at_ns_ = SteadyNs() + options_.references_every_s * kSecondNs;
  if (!moved) return Status::Ok();
  for (const auto& [path, known] : recorder_->known()) {
    if (known.package != recorder_->PackageOf(path) && !vanished_.contains(path)) {
      candidates_.Add(path, SteadyNs());
    }
  }
  return Status::Ok();
}

Tree::Visitor DocumentsSource::WatchingVisitor() {
  return {.skip = [this](const std::string& path) { return Skips(path); },
          .entered = [this](const std::string& path, int fd) { watcher_->Watch(path, fd); }};
}

// Looks at everything, with new watches: whatever was missed is found. What was noticed before
// keeps its time: else a file that never rests would be waited for as often as we look.
Status DocumentsSource::Reconcile() {
  Publish("reconciling", Status::Ok());
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  RETURN_IF_ERROR(RefuseStaleTree());
  RETURN_IF_ERROR(watcher_->Reset());
  TreeScan scan;
  tree.Scan("", WatchingVisitor(), &scan);
  std::erase_if(anew_, [&scan](const std::string& path) { return !scan.files.contains(path); });
  candidates_.EraseIf([&](const std::string& path) {
    const auto at = scan.files.find(path);
    return at == scan.files.end() || !Differs(path, at->second);
  });
  for (const auto& [path, facts] : scan.files) {
    if (Differs(path, facts)) candidates_.Add(path, SteadyNs());
  }
  // While deletions wait, they are judged by the period in which they were noticed.
  if (vanished_.empty()) guard_.Begin();
  const std::vector<std::string> vanished = Vanished(recorder_->known(), "", scan);
  std::erase_if(vanished_, [&vanished](const auto& entry) {
    return !std::binary_search(vanished.begin(), vanished.end(), entry.first);
  });
  NoteVanished(vanished);
  NoteMounts(std::move(scan.mounts));
  unreadable_ = {scan.unreadable.begin(), scan.unreadable.end()};
  reconciled_ = {tree.device(), tree.inode()};
  reconcile_at_ns_ = SteadyNs() + options_.reconcile_every_s * kSecondNs;
  const std::lock_guard lock(mutex_);
  ++facts_.reconciliations;
  facts_.reconciled_us = WallNs() / 1'000;
  facts_.symlinks = scan.symlinks;
  facts_.special = scan.special;
  return Status::Ok();
}

// An empty mount point below the root looks like a directory in which everything was deleted, too.
void DocumentsSource::NoteMounts(std::set<std::string> mounts) {
  unmounted_.merge(mounts_);
  std::erase_if(unmounted_, [&mounts](const std::string& path) { return mounts.contains(path); });
  mounts_ = std::move(mounts);
}

bool DocumentsSource::Differs(const std::string& path, const FileFacts& facts) const {
  const auto known = recorder_->known().find(path);
  return known == recorder_->known().end() || !IsAsKnown(known->second, facts) ||
         known->second.package != recorder_->PackageOf(path) || anew_.contains(path);
}

void DocumentsSource::NoteVanished(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    // What is left out by configuration is not gone.
    if (!Skips(path)) vanished_.try_emplace(path, SteadyNs());
  }
}

void DocumentsSource::TakeHints(Hints hints) {
  if (hints.lost || hints.root_gone) {
    reconcile_at_ns_ = 0;
    const std::lock_guard lock(mutex_);
    ++facts_.events_lost;
  }
  for (const std::string& path : hints.files) {
    if (Skips(path)) continue;
    if (capture::IsPlainPath(path)) {
      candidates_.Touch(path, SteadyNs());
    } else {
      unreadable_.insert(ShortPath(path));
    }
  }
  if (!recorder_->loaded() || reconcile_at_ns_ == 0) return;  // everything is looked at anyway
  for (const std::string& path : hints.directories) {
    if (!ScanDirectory(path).ok()) reconcile_at_ns_ = 0;
  }
}

// A directory came or went, with all that is in it.
Status DocumentsSource::ScanDirectory(const std::string& path) {
  if (Skips(path)) return Status::Ok();
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  TreeScan scan;
  tree.Scan(path, WatchingVisitor(), &scan);
  for (const auto& [file, facts] : scan.files) {
    if (Differs(file, facts)) candidates_.Add(file, SteadyNs());
  }
  for (const std::string& directory : scan.unreadable) unreadable_.insert(directory);
  NoteVanished(Vanished(recorder_->known(), path, scan));
  return Status::Ok();
}

int64_t DocumentsSource::WaitMs() const {
  if (candidates_.has_ready()) return 0;
  const int64_t now = SteadyNs();
  int64_t until = std::min(reconcile_at_ns_, references_at_ns_) - now;
  if (options_.canary_every_s > 0) until = std::min(until, canary_at_ns_ - now);
  if (options_.audit_every_s > 0 && !audit_ && !other_root_) {
    until = std::min(until, audit_at_ns_ - now);
  }
  if (!candidates_.empty() || !vanished_.empty()) {
    until = std::min(until, std::clamp(options_.settle_ms / 4, int64_t{20}, int64_t{500}) * kMsNs);
  }
  return std::max<int64_t>(until / kMsNs, 0) + 1;
}

void DocumentsSource::NoteChange(std::string* last, const std::string& now,
                                 const char* over) const {
  if (now == *last) return;
  *last = now;
  if (on_note) on_note(now.empty(), now.empty() ? over : now);
}

void DocumentsSource::Publish(const char* state, const Status& trouble) {
  // While it looks at everything it is not known yet whether the trouble is over.
  const std::string told = trouble.ok() ? canary_trouble_ : trouble.ToString();
  if (!trouble.ok() || state != std::string_view("reconciling")) {
    NoteChange(&noted_trouble_, told, "goes on");
  }
  const UploadTotals totals = recorder_->totals();
  const std::lock_guard lock(mutex_);
  facts_.state = state;
  if (!trouble.ok() || state != std::string_view("reconciling")) facts_.trouble = told;
  facts_.needs_operator = stale_;
  facts_.files = recorder_->known().size();
  facts_.pending = candidates_.size();
  facts_.bytes_sent = totals.bytes_sent;
  facts_.chunks_sent = totals.sent;
  facts_.chunks_known = totals.chunks - std::min(totals.chunks, totals.sent);
  facts_.unreadable = unreadable_.size();
  facts_.unreadable_records = recorder_->unreadable();
  facts_.watches = watcher_ ? watcher_->watches() : 0;
  facts_.unwatched = watcher_ ? watcher_->unwatched() : 0;
  facts_.auditing = audit_ != nullptr;
}

}  // namespace kembar::documents
