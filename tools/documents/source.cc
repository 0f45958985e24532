// source.cc — see source.h: the loop, reconciliation and events. source_record.cc has what is done
// with what they find.
#include "tools/documents/source.h"

#include <algorithm>
#include <chrono>

#include "tools/documents/clock.h"
#include "tools/documents/fetch.h"

namespace kembar::documents {
namespace {

constexpr int64_t kRetryMs = 1'000;

}  // namespace

DocumentsSource::DocumentsSource(SourceOptions options, std::vector<std::string> nodes,
                                 std::string log, capture::Mapping mapping,
                                 std::vector<capture::PathPattern> exclude)
    : options_(std::move(options)),
      nodes_(std::move(nodes)),
      log_(std::move(log)),
      mapping_(std::move(mapping)),
      exclude_(std::move(exclude)),
      guard_({.percent = options_.mass_delete_percent, .at_least = options_.mass_delete_min}) {
  facts_.source = options_.Source();
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

Status DocumentsSource::Run(std::stop_token stop) {
  stop_ = stop;
  ASSIGN_OR_RETURN(auto watcher, Watcher::Make());
  {
    const std::lock_guard lock(mutex_);
    watcher_ = std::move(watcher);
  }
  recorder_ =
      std::make_unique<Recorder>(RecorderOptions{.nodes = nodes_,
                                                 .log = log_,
                                                 .source = options_.Source(),
                                                 .upload = {.bytes_per_s = options_.upload_limit}},
                                 &mapping_, stop);
  recorder_->on_waiting = [this](const Status& why) {
    Publish(why.ok() ? "watching" : "waiting", why);
  };
  const std::stop_callback wake(stop, [this] { watcher_->Wake(); });
  audit_at_ns_ = SteadyNs() + options_.audit_every_s * kSecondNs;
  while (!stop.stop_requested()) {
    const Status status = Turn();
    if (stop.stop_requested()) break;
    Publish(status.ok() ? "watching" : "waiting", status);
    watcher_->Wait(std::chrono::milliseconds(status.ok() ? WaitMs() : kRetryMs), &hints_);
  }
  audit_.reset();
  Publish("stopped", Status::Ok());
  return Status::Ok();
}

Status DocumentsSource::Turn() {
  TakeHints(std::exchange(hints_, {}));
  if (!recorder_->loaded()) {
    RETURN_IF_ERROR(recorder_->Load());
    reconcile_at_ns_ = 0;
  }
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
  if (candidates_.empty() && vanished_.empty()) {
    const std::lock_guard lock(mutex_);
    facts_.caught_up_us = WallNs() / 1'000;
  }
  return Status::Ok();
}

Result<Tree> DocumentsSource::OpenTree() {
  ASSIGN_OR_RETURN(Tree tree, Tree::Open(options_.dir));
  const std::pair<uint64_t, uint64_t> root = {tree.device(), tree.inode()};
  if (root_ && *root_ != root && !tree.Stat(kConfirmFile).ok()) {
    return Status(Code::kPrecondition,
                  "another directory stands at " + options_.dir + " than when the agent started",
                  std::string("is something not mounted? If it is meant: touch ") + options_.dir +
                      "/" + kConfirmFile);
  }
  root_ = root;
  return tree;
}

Status DocumentsSource::SyncReferences() {
  ASSIGN_OR_RETURN(const bool moved, recorder_->SyncReferences());
  references_at_ns_ = SteadyNs() + options_.references_every_s * kSecondNs;
  if (!moved) return Status::Ok();
  for (const auto& [path, known] : recorder_->known()) {
    if (known.package != recorder_->PackageOf(path) && !vanished_.contains(path)) {
      candidates_.try_emplace(path, options_.settle_ms * kMsNs);
    }
  }
  return Status::Ok();
}

Tree::Visitor DocumentsSource::WatchingVisitor() {
  return {.skip = [this](const std::string& path) { return Skips(path); },
          .entered = [this](const std::string& path, int fd) { watcher_->Watch(path, fd); }};
}

// Looks at everything, with new watches: whatever was missed is found.
Status DocumentsSource::Reconcile() {
  Publish("reconciling", Status::Ok());
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  RETURN_IF_ERROR(watcher_->Reset());
  TreeScan scan;
  tree.Scan("", WatchingVisitor(), &scan);
  candidates_.clear();
  vanished_.clear();
  unreadable_.clear();
  std::erase_if(anew_, [&scan](const std::string& path) { return !scan.files.contains(path); });
  for (const auto& [path, facts] : scan.files) Consider(path, facts);
  NoteVanished(Vanished(recorder_->known(), "", scan));
  for (const std::string& path : scan.unreadable) unreadable_.insert(path);
  guard_.Begin();
  reconcile_at_ns_ = SteadyNs() + options_.reconcile_every_s * kSecondNs;
  const std::lock_guard lock(mutex_);
  ++facts_.reconciliations;
  facts_.reconciled_us = WallNs() / 1'000;
  facts_.symlinks = scan.symlinks;
  facts_.special = scan.special;
  return Status::Ok();
}

void DocumentsSource::Consider(const std::string& path, const FileFacts& facts) {
  const auto known = recorder_->known().find(path);
  const bool same = known != recorder_->known().end() && IsAsKnown(known->second, facts) &&
                    known->second.package == recorder_->PackageOf(path) && !anew_.contains(path);
  if (!same) candidates_.try_emplace(path, options_.settle_ms * kMsNs);
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
  if (!recorder_->loaded() || reconcile_at_ns_ == 0) return;  // everything is looked at anyway
  for (const std::string& path : hints.files) {
    if (!Skips(path)) candidates_.try_emplace(path, options_.settle_ms * kMsNs);
  }
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
  for (const auto& [file, facts] : scan.files) Consider(file, facts);
  for (const std::string& directory : scan.unreadable) unreadable_.insert(directory);
  NoteVanished(Vanished(recorder_->known(), path, scan));
  return Status::Ok();
}

int64_t DocumentsSource::WaitMs() const {
  const int64_t now = SteadyNs();
  int64_t until = std::min(reconcile_at_ns_, references_at_ns_) - now;
  if (options_.canary_every_s > 0) until = std::min(until, canary_at_ns_ - now);
  if (options_.audit_every_s > 0 && !audit_) until = std::min(until, audit_at_ns_ - now);
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
  facts_.files = recorder_->known().size();
  facts_.pending = candidates_.size();
  facts_.bytes_sent = totals.bytes_sent;
  facts_.chunks_sent = totals.sent;
  facts_.chunks_known = totals.chunks - std::min(totals.chunks, totals.sent);
  facts_.unreadable = unreadable_.size();
  facts_.watches = watcher_->watches();
  facts_.unwatched = watcher_->unwatched();
  facts_.auditing = audit_ != nullptr;
}

}  // namespace kembar::documents
