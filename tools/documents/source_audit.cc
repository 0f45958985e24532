// source_audit.cc — see source.h: audits of everything that was captured, one at a time, and the
// repair of what they find.
#include <algorithm>
#include <utility>

#include "tools/capture/path.h"
#include "tools/documents/audit.h"
#include "tools/documents/clock.h"
#include "tools/documents/source.h"

namespace kembar::documents {
namespace {

constexpr size_t kTroublesRecorded = 100;
constexpr size_t kTroublesNoted = 10;
constexpr int64_t kAuditRetryS = 60;

std::string CountsText(const AuditReport& report) {
  using Kind = AuditTrouble::Kind;
  return "audit: files " + std::to_string(report.files) + ", missing " +
         std::to_string(report.Count(Kind::kMissing)) + ", extra " +
         std::to_string(report.Count(Kind::kExtra)) + ", differing " +
         std::to_string(report.Count(Kind::kDiffering)) + ", unsettled " +
         std::to_string(report.unsettled);
}

}  // namespace

void DocumentsSource::AskAudit() {
  const std::lock_guard lock(mutex_);
  audit_asked_ = true;
  if (watcher_) watcher_->Wake();
}

bool DocumentsSource::TakeAuditAsked() {
  const std::lock_guard lock(mutex_);
  return std::exchange(audit_asked_, false);
}

// At the end of a turn: the log can be reached, and the tree is the one that it was.
Status DocumentsSource::AuditTurn() {
  if (audit_ && audit_->done()) TakeAudit();
  if (!audit_unwritten_.empty()) {
    RETURN_IF_ERROR(recorder_->RecordAudit(audit_unwritten_));
    audit_unwritten_.clear();
  }
  if (audit_ || other_root_) return Status::Ok();
  const bool due = options_.audit_every_s > 0 && SteadyNs() >= audit_at_ns_;
  const bool repaired = anew_.empty() && vanished_.empty();
  if (due || (audit_follow_up_due_ && repaired) || TakeAuditAsked()) return BeginAudit();
  return Status::Ok();
}

Status DocumentsSource::BeginAudit() {
  ASSIGN_OR_RETURN(Tree tree, OpenTree());
  audit_follows_up_ = std::exchange(audit_follow_up_due_, false);
  audit_at_ns_ = SteadyNs() + options_.audit_every_s * kSecondNs;
  touched_.clear();
  AuditThread::Options options = {
      .nodes = nodes_, .log = log_, .source = options_.Source(), .audit = {}};
  // Reads only what is constant, so it may run on the audit's thread.
  options.audit.skip = [this](const std::string& path) { return Skips(path); };
  options.audit.settle_ns = options_.settle_ms * kMsNs;
  options.audit.bytes_per_s = options_.audit_limit;
  audit_ = std::make_unique<AuditThread>(std::move(options), std::move(tree),
                                         [this] { watcher_->Wake(); });
  return Status::Ok();
}

// What was found in a directory counts only if that still stands in its place.
Result<AuditReport> DocumentsSource::FinishedAudit() {
  const std::unique_ptr<AuditThread> audit = std::move(audit_);
  ASSIGN_OR_RETURN(AuditReport report, audit->Take());
  ASSIGN_OR_RETURN(const Tree now, OpenTree());
  if (now.device() != audit->tree().device() || now.inode() != audit->tree().inode()) {
    return Status(Code::kPrecondition, "another directory took its place meanwhile");
  }
  return report;
}

void DocumentsSource::TakeAudit() {
  Result<AuditReport> report = FinishedAudit();
  if (!report.ok()) {
    audit_at_ns_ = std::min(audit_at_ns_, SteadyNs() + kAuditRetryS * kSecondNs);
    const std::string why = "no audit: " + report.status().ToString();
    if (on_note) on_note(false, why);
    const std::lock_guard lock(mutex_);
    facts_.audit_trouble = why;
    return;
  }
  LeaveOutWaiting(&*report);
  audit_unwritten_ = EncodeAudit(*report, kTroublesRecorded);
  audit_follow_up_due_ = Repair(*report) && !audit_follows_up_;
  if (on_note) on_note(report->equal(), CountsText(*report));
  const size_t noted = std::min(report->troubles.size(), kTroublesNoted);
  for (size_t i = 0; on_note && i < noted; ++i) {
    const AuditTrouble& trouble = report->troubles[i];
    on_note(false, "audit: package " + trouble.package + ", " +
                       (trouble.path.empty() ? "." : capture::EncodePath(trouble.path)) + ": " +
                       trouble.what);
  }
  const std::lock_guard lock(mutex_);
  facts_.audit_us = report->time_us;
  facts_.audit_differences = report->troubles.size();
  facts_.audit_unsettled = report->unsettled;
  facts_.audit_trouble.clear();
}

// What this source itself knows to be on its way, or has dealt with since, is no difference.
// Deletions that are held wait for an operator: those are told.
void DocumentsSource::LeaveOutWaiting(AuditReport* report) const {
  const bool held = !noted_held_.empty();
  report->unsettled += std::erase_if(report->troubles, [&](const AuditTrouble& trouble) {
    return touched_.contains(trouble.path) || candidates_.Contains(trouble.path) ||
           (!held && vanished_.contains(trouble.path));
  });
  for (AuditTrouble& trouble : report->troubles) {
    if (trouble.kind == AuditTrouble::Kind::kMissing) {
      trouble.package = recorder_->PackageOf(trouble.path);
    }
  }
}

// The living directory is the truth: what differs is recorded anew, what is extra vanished unseen
// (and is deleted under the same guard as ever). True: something is to be repaired.
bool DocumentsSource::Repair(const AuditReport& report) {
  using Kind = AuditTrouble::Kind;
  bool some = false;
  for (const AuditTrouble& trouble : report.troubles) {
    if (trouble.what == kCannotBeRead) continue;
    some = true;
    const bool known = recorder_->known().contains(trouble.path);
    if (trouble.kind == Kind::kExtra) {
      vanished_.try_emplace(trouble.path, SteadyNs());
    } else {
      anew_.insert(trouble.path);
      candidates_.Add(trouble.path, SteadyNs());
    }
    // Then what we hold to be in the log is wrong: it is read again.
    if (known == (trouble.kind == Kind::kMissing)) recorder_->Forget();
  }
  return some;
}

}  // namespace kembar::documents
