// source_record.cc — see source.h: recording what is stable, deleting what is surely gone, and the
// canary.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/capture/path.h"
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

// What becomes of a file that may have changed.
Candidates::Verdict DocumentsSource::Judge(const Tree& tree, const std::string& path,
                                           Settling* settling) {
  using Verdict = Candidates::Verdict;
  const int64_t now = SteadyNs();
  const Result<FileFacts> facts = tree.Stat(path);
  if (!facts.ok()) {
    // Gone, or no regular file any more. What cannot be looked at is looked at again later.
    const bool gone = facts.status().code() != Code::kIo;
    if (gone && recorder_->known().contains(path)) vanished_.try_emplace(path, now);
    if (gone) anew_.erase(path);
    if (!gone) unreadable_.insert(path);
    return Verdict::kDrop;
  }
  if (!Differs(path, *facts)) return Verdict::kDrop;
  // In the log, another directory's canary would prove that directory to be the right one.
  if (other_root_ && path == kCanaryFile) return Verdict::kDrop;
  if (!settling->IsStable(*facts, now, WallNs())) return Verdict::kWait;
  const Result<Fd> fd = tree.OpenFile(path);
  const bool busy = fd.ok() && IsOpenForWriting(fd->get()) && !settling->IsLongStable(now);
  if (busy) return Verdict::kWait;
  return facts->size >= kLargeBytes ? Verdict::kLarge : Verdict::kSmall;
}

// One batch of what is ready. The next comes with the next turn, so that events, the canary and
// deletions do not wait for all of it.
Status DocumentsSource::RecordReady() {
  constexpr size_t kOffered = 1'024;  // more than a batch takes
  if (candidates_.empty()) return Status::Ok();
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  if (SteadyNs() >= reconcile_at_ns_) return Status::Ok();  // another tree is looked at first
  candidates_.Judge(
      [&](const std::string& path, Settling* settling) { return Judge(tree, path, settling); });
  const std::vector<std::string> paths = candidates_.Next(kOffered);
  return paths.empty() ? Status::Ok() : RecordBatch(tree, paths);
}

Status DocumentsSource::RecordBatch(const Tree& tree, const std::vector<std::string>& paths) {
  const std::set<std::string> fresh = OtherHalves(paths);
  Recorder::Recorded result;
  RETURN_IF_ERROR(recorder_->Record(tree, paths, &result));
  const auto counts = [&fresh](const std::string& path) { return fresh.contains(path); };
  guard_.Added(
      static_cast<uint64_t>(std::count_if(result.recorded.begin(), result.recorded.end(), counts)));
  NoteRecorded(result.recorded);
  for (const std::string& path : result.unreadable) {
    candidates_.Erase(path);
    unreadable_.insert(path);
  }
  for (const std::string& path : result.changed) candidates_.PutBack(path);
  // Looked at once more, to be missed.
  for (const std::string& path : result.gone) candidates_.Touch(path, SteadyNs());
  Publish("watching", Status::Ok());
  return Status::Ok();
}

void DocumentsSource::NoteRecorded(const std::vector<std::string>& paths) {
  uint64_t repaired = 0;
  for (const std::string& path : paths) {
    candidates_.Erase(path);
    vanished_.erase(path);
    repaired += anew_.erase(path);
    if (audit_) touched_.insert(path);
  }
  const std::lock_guard lock(mutex_);
  facts_.recorded += paths.size();
  facts_.audit_repaired += repaired;
  const bool canary = std::find(paths.begin(), paths.end(), kCanaryFile) != paths.end();
  if (canary) facts_.canary_us = recorder_->known().at(kCanaryFile).mtime_ns / 1'000;
}

// Those that may be new names of what vanished, as they were noticed at about the same time.
// Nothing that comes later makes up for deletions that are held.
std::set<std::string> DocumentsSource::OtherHalves(const std::vector<std::string>& paths) const {
  std::set<std::string> halves;
  if (vanished_.empty() || !too_many_.empty()) return halves;
  const auto [from, to] = WhenVanished();
  for (const std::string& path : paths) {
    const int64_t noticed = candidates_.NoticedNs(path);
    const bool known = recorder_->known().contains(path);
    if (!known && from <= noticed && noticed <= to) halves.insert(path);
  }
  return halves;
}

// When vanished files were noticed, and what belongs to them; some are there.
std::pair<int64_t, int64_t> DocumentsSource::WhenVanished() const {
  const auto earlier = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [first, last] = std::minmax_element(vanished_.begin(), vanished_.end(), earlier);
  return {first->second - kLateNs, last->second + kLateNs};
}

// Why this may not be the tree that the log knows; empty: it is.
std::string DocumentsSource::WhyOtherTree(const Tree& tree) const {
  if (other_root_) {
    return "another directory stands at " + options_.dir +
           " than when the agent started: is something not mounted?";
  }
  if (recorder_->known().contains(kCanaryFile) && !tree.Stat(kCanaryFile).ok()) {
    return "the canary file is gone: is another directory mounted at " + options_.dir + "?";
  }
  for (const std::string& mount : unmounted_) {
    const bool lost = std::any_of(vanished_.begin(), vanished_.end(), [&mount](const auto& entry) {
      return IsBelow(entry.first, mount);
    });
    if (lost) return "the file system at " + capture::EncodePath(mount) + " is not mounted";
  }
  return {};
}

// Why so many deletions are not believed; empty: they are.
std::string DocumentsSource::WhyTooMany(size_t deletions) const {
  const size_t known = recorder_->known().size();
  if (known > 1 && deletions >= known) {
    return "everything in " + options_.dir + " is gone: is it mounted?";
  }
  if (!guard_.Allows(deletions, known)) {
    return "more than " + std::to_string(options_.mass_delete_percent) +
           " % of all files vanished at once";
  }
  return {};
}

void DocumentsSource::PublishHeld(const std::string& why, uint64_t held) {
  std::string text;
  if (!why.empty()) {
    text = why + "; " + std::to_string(held) + " deletions are held; if they are meant: touch " +
           options_.dir + "/" + kConfirmFile;
  }
  NoteChange(&noted_held_, text, "deletions are recorded again");
  const std::lock_guard lock(mutex_);
  facts_.held = text;
  facts_.held_deletions = held;
}

Status DocumentsSource::DeleteVanished() {
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  const std::vector<std::string> paths = SurelyVanished(tree);
  if (vanished_.empty()) {
    too_many_.clear();
    PublishHeld(other_root_ ? WhyOtherTree(tree) : "", 0);
    return Status::Ok();
  }
  // What was renamed is recorded under its new name first: it was counted as new then. A file that
  // never comes to rest must not keep deletions waiting for ever.
  const bool late = std::any_of(paths.begin(), paths.end(), [this](const std::string& path) {
    return SteadyNs() - vanished_.at(path) >= std::max(10 * options_.settle_ms * kMsNs, kLateNs);
  });
  if (paths.empty() || (!candidates_.empty() && !late)) return Status::Ok();
  return DeleteOrHold(tree, paths);
}

// Those that have been away for long enough; whatever came back has not vanished.
std::vector<std::string> DocumentsSource::SurelyVanished(const Tree& tree) {
  const int64_t now = SteadyNs();
  std::vector<std::string> paths;
  for (auto at = vanished_.begin(); at != vanished_.end();) {
    const Result<FileFacts> facts = tree.Stat(at->first);
    const bool gone = !facts.ok() && facts.status().code() != Code::kIo;
    if (gone && now - at->second >= options_.settle_ms * kMsNs) paths.push_back(at->first);
    if (facts.ok()) candidates_.Add(at->first, now);
    // What cannot be looked at may be gone or not: it goes on waiting.
    at = facts.ok() ? vanished_.erase(at) : std::next(at);
  }
  return paths;
}

// Too many stay held whatever comes later; in the wrong tree only until the right one is back.
Status DocumentsSource::DeleteOrHold(const Tree& tree, const std::vector<std::string>& paths) {
  const bool confirmed = IsConfirmed(tree);
  std::string why = confirmed ? "" : WhyOtherTree(tree);
  if (why.empty() && !confirmed) {
    why = too_many_.empty() ? WhyTooMany(paths.size()) : too_many_;
    const auto [from, to] = WhenVanished();
    // While their other half may still come, it is not the last word.
    if (!candidates_.HasReady(from, to)) too_many_ = why;
  }
  if (!why.empty()) {
    PublishHeld(why, paths.size());
    return Status::Ok();
  }
  RETURN_IF_ERROR(recorder_->Delete(paths));
  guard_.Deleted(paths.size());
  for (const std::string& path : paths) {
    vanished_.erase(path);
    if (audit_) touched_.insert(path);
  }
  PublishHeld("", 0);
  if (confirmed) {
    too_many_.clear();
    unmounted_.clear();
    guard_.Begin();
    SpendConfirmation(tree);
  }
  const std::lock_guard lock(mutex_);
  facts_.deleted += paths.size();
  return Status::Ok();
}

// A small file whose age, once it is seen at the mirror, is the freshness of all.
Status DocumentsSource::WriteCanary() {
  ASSIGN_OR_RETURN(const Tree tree, OpenTree());
  // Never into a directory that may be a bare mount point: it would then look like the right one.
  if (other_root_) return Status(Code::kPrecondition, "not written into another directory");
  if (recorder_->known().contains(kCanaryFile) && !tree.Stat(kCanaryFile).ok() &&
      !IsConfirmed(tree)) {
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
  candidates_.Touch(kCanaryFile, SteadyNs());
  return Status::Ok();
}

}  // namespace kembar::documents
