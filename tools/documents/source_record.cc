// source_record.cc — see source.h: recording what is stable, deleting what is surely gone, and the
// canary.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/documents/clock.h"
#include "tools/documents/content.h"
#include "tools/documents/fetch.h"
#include "tools/documents/source.h"

namespace kembar::documents {
namespace {

constexpr int64_t kLateNs = 30'000 * kMsNs;
constexpr char kCanaryTemporary[] = ".kembar-canary.tmp";
constexpr uint64_t kLargeBytes = uint64_t{8} << 20;

}  // namespace

// The candidates that may be recorded now, small files first; decides on those that need not be.
std::vector<std::string> DocumentsSource::FindReady(const Tree& tree) {
  const int64_t now = SteadyNs();
  const int64_t wall = WallNs();
  std::vector<std::pair<bool, std::string>> ready;
  for (auto at = candidates_.begin(); at != candidates_.end();) {
    const std::string& path = at->first;
    const Result<FileFacts> facts = tree.Stat(path);
    const auto known = recorder_->known().find(path);
    bool keep = true;
    if (!facts.ok()) {
      // Gone, or no regular file any more. What cannot be looked at is looked at again later.
      const bool gone = facts.status().code() != Code::kIo;
      if (gone && known != recorder_->known().end()) vanished_.try_emplace(path, now);
      if (gone) anew_.erase(path);
      if (!gone) unreadable_.insert(path);
      keep = false;
    } else if (known != recorder_->known().end() && IsAsKnown(known->second, *facts) &&
               known->second.package == recorder_->PackageOf(path) && !anew_.contains(path)) {
      keep = false;
    } else if (at->second.IsStable(*facts, now, wall)) {
      const Result<Fd> fd = tree.OpenFile(path);
      const bool busy = fd.ok() && IsOpenForWriting(fd->get()) && !at->second.IsLongStable(now);
      if (!busy) ready.emplace_back(facts->size >= kLargeBytes, path);
    }
    at = keep ? std::next(at) : candidates_.erase(at);
  }
  std::sort(ready.begin(), ready.end());
  std::vector<std::string> paths;
  paths.reserve(ready.size());
  for (auto& [large, path] : ready) paths.push_back(std::move(path));
  return paths;
}

Status DocumentsSource::RecordReady() {
  if (candidates_.empty()) return Status::Ok();
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  std::vector<std::string> ready = FindReady(tree);
  std::reverse(ready.begin(), ready.end());  // taken from the back
  while (!ready.empty() && !stop_.stop_requested()) RETURN_IF_ERROR(RecordBatch(tree, &ready));
  return Status::Ok();
}

Status DocumentsSource::RecordBatch(const Tree& tree, std::vector<std::string>* ready) {
  constexpr size_t kOffered = 1'024;  // more than a batch takes
  const size_t offered = std::min(ready->size(), kOffered);
  const std::vector<std::string> paths(ready->rbegin(),
                                       ready->rbegin() + static_cast<std::ptrdiff_t>(offered));
  uint64_t fresh = 0;
  Recorder::Recorded result;
  std::vector<bool> known;
  for (const std::string& path : paths) known.push_back(recorder_->known().contains(path));
  RETURN_IF_ERROR(recorder_->Record(tree, paths, &result));
  const size_t taken = result.recorded.size() + result.changed.size() + result.gone.size() +
                       result.unreadable.size();
  for (size_t i = 0; i < taken; ++i) {
    if (!known[i] && recorder_->known().contains(paths[i])) ++fresh;
  }
  ready->resize(ready->size() - taken);
  if (!vanished_.empty()) guard_.Added(fresh);
  uint64_t repaired = 0;
  for (const std::string& path : result.recorded) {
    candidates_.erase(path);
    vanished_.erase(path);
    repaired += anew_.erase(path);
    if (audit_) touched_.insert(path);
  }
  for (const std::string& path : result.unreadable) {
    candidates_.erase(path);
    unreadable_.insert(path);
  }
  {
    const std::lock_guard lock(mutex_);
    facts_.recorded += result.recorded.size();
    facts_.audit_repaired += repaired;
    const bool canary = std::find(result.recorded.begin(), result.recorded.end(), kCanaryFile) !=
                        result.recorded.end();
    if (canary) facts_.canary_us = recorder_->known().at(kCanaryFile).mtime_ns / 1'000;
  }
  Publish("watching", Status::Ok());
  // Not to let the kernel's queue of events run over during a long upload.
  watcher_->Wait(std::chrono::milliseconds(0), &hints_);
  return Status::Ok();
}

// Why deletions may not be recorded now; empty: they may.
std::string DocumentsSource::WhyHold(const Tree& tree, size_t deletions) const {
  const KnownFiles& known = recorder_->known();
  if (known.contains(kCanaryFile) && !tree.Stat(kCanaryFile).ok()) {
    return "the canary file is gone: is another directory mounted at " + options_.dir + "?";
  }
  if (known.size() > 1 && deletions >= known.size()) {
    return "everything in " + options_.dir + " is gone: is it mounted?";
  }
  if (!guard_.Allows(deletions, known.size())) {
    return "more than " + std::to_string(options_.mass_delete_percent) +
           " % of all files vanished at once";
  }
  return {};
}

Status DocumentsSource::DeleteVanished() {
  const auto publish = [this](const std::string& why, uint64_t held) {
    NoteChange(&noted_held_, why, "deletions are recorded again");
    const std::lock_guard lock(mutex_);
    facts_.held = why;
    facts_.held_deletions = held;
  };
  if (vanished_.empty()) {
    publish("", 0);
    return Status::Ok();
  }
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  const int64_t now = SteadyNs();
  std::vector<std::string> paths;
  for (auto at = vanished_.begin(); at != vanished_.end();) {
    const Result<FileFacts> facts = tree.Stat(at->first);
    const bool gone = !facts.ok() && facts.status().code() != Code::kIo;
    if (gone && now - at->second >= options_.settle_ms * kMsNs) paths.push_back(at->first);
    if (facts.ok()) candidates_.try_emplace(at->first, options_.settle_ms * kMsNs);
    at = gone ? std::next(at) : vanished_.erase(at);
  }
  // What was renamed is recorded under its new name first: it was counted as new then. A file that
  // never comes to rest must not keep deletions waiting for ever.
  const bool late = std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
    return now - vanished_.at(path) >= std::max(10 * options_.settle_ms * kMsNs, kLateNs);
  });
  if (paths.empty() || (!candidates_.empty() && !late)) return Status::Ok();
  const bool confirmed = tree.Stat(kConfirmFile).ok();
  const std::string why = confirmed ? "" : WhyHold(tree, paths.size());
  if (!why.empty()) {
    publish(why + "; " + std::to_string(paths.size()) +
                " deletions are held; if they are meant: touch " + options_.dir + "/" +
                kConfirmFile,
            paths.size());
    return Status::Ok();
  }
  RETURN_IF_ERROR(recorder_->Delete(paths));
  guard_.Deleted(paths.size());
  for (const std::string& path : paths) {
    vanished_.erase(path);
    if (audit_) touched_.insert(path);
  }
  publish("", 0);
  if (confirmed) {
    guard_.Begin();
    ASSIGN_OR_RETURN(const Fd root, tree.OpenDirectory(""));
    unlinkat(root.get(), kConfirmFile, 0);
  }
  const std::lock_guard lock(mutex_);
  facts_.deleted += paths.size();
  return Status::Ok();
}

// A small file whose age, once it is seen at the mirror, is the freshness of all.
Status DocumentsSource::WriteCanary() {
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  // Never into a directory that may be a bare mount point: it would then look like the right one.
  if (recorder_->known().contains(kCanaryFile) && !tree.Stat(kCanaryFile).ok() &&
      !tree.Stat(kConfirmFile).ok()) {
    return Status(Code::kPrecondition, "not written, because the one before is gone");
  }
  ASSIGN_OR_RETURN(const Fd root, tree.OpenDirectory(""));
  unlinkat(root.get(), kCanaryTemporary, 0);
  const Fd fd(openat(root.get(), kCanaryTemporary,
                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  const std::string text =
      options_.Source() + " " + std::to_string(WallNs() / 1'000'000'000) + "\n";
  const bool written =
      fd.ok() && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      renameat(root.get(), kCanaryTemporary, root.get(), kCanaryFile) == 0;
  if (!written) return Status(Code::kIo, std::string("write: ") + std::strerror(errno));
  candidates_.try_emplace(kCanaryFile, options_.settle_ms * kMsNs);
  return Status::Ok();
}

}  // namespace kembar::documents
