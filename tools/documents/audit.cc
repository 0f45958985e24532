// audit.cc — see audit.h.
#include "tools/documents/audit.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "tools/capture/facts.h"
#include "tools/capture/json_text.h"
#include "tools/capture/path.h"
#include "tools/documents/content.h"
#include "tools/documents/plan.h"
#include "tools/documents/throttle.h"

namespace kembar::documents {
namespace {

using Kind = AuditTrouble::Kind;

// What seems to be unequal, and what it was judged by.
struct Suspect {
  AuditTrouble trouble;
  std::optional<FileFacts> facts;  // nothing: no such file, or it could not be looked at
  uint64_t index = 0;              // of its record; 0: there is none
};

class Audit {
 public:
  Audit(const Tree& tree, const ListFn& list, const AuditOptions& options,
        const std::stop_token& stop)
      : tree_(tree),
        list_(list),
        options_(options),
        stop_(stop),
        throttle_(options.bytes_per_s, stop),
        began_ns_(WallNs()) {
    report_.time_us = began_ns_ / 1'000;
  }

  Result<AuditReport> Run(const OnBytes& progress) {
    RETURN_IF_ERROR(Compare(progress));
    NoteRest();
    if (suspects_.empty()) return std::move(report_);
    const auto patience = std::chrono::nanoseconds(2 * options_.settle_ns + kSecondNs);
    if (!WaitUnlessStopped(stop_, scanned_ + patience)) return Stopping();
    RETURN_IF_ERROR(LookAgain());
    return std::move(report_);
  }

 private:
  static Status Stopping() { return {Code::kCancelled, "stopping"}; }

  bool Skips(const std::string& path) const {
    return IsOwnFile(path) || (options_.skip && options_.skip(path));
  }

  Status Compare(const OnBytes& progress) {
    ASSIGN_OR_RETURN(const std::vector<PlacedDocument> documents, list_());
    const auto skip = [this](const std::string& path) { return Skips(path); };
    tree_.Scan("", {.skip = skip, .entered = {}}, &scan_);
    scanned_ = std::chrono::steady_clock::now();
    report_.files = scan_.files.size();
    uint64_t total = 0;
    uint64_t done = 0;
    for (const PlacedDocument& placed : documents) total += placed.document.size;
    for (const PlacedDocument& placed : documents) {
      if (stop_.stop_requested()) return Stopping();
      if (!Skips(placed.document.path)) RETURN_IF_ERROR(CompareOne(placed));
      done += placed.document.size;
      if (progress) progress(done, total);
    }
    return Status::Ok();
  }

  // Takes the file out of the scan: what is left there in the end, the log does not have.
  Status CompareOne(const PlacedDocument& placed) {
    const std::string& path = placed.document.path;
    const auto suspect = [&](Kind kind, std::string what, std::optional<FileFacts> facts) {
      suspects_.push_back({{kind, placed.package, path, std::move(what)}, facts, placed.index});
    };
    const auto at = scan_.files.find(path);
    if (at == scan_.files.end()) {
      const bool hidden =
          std::any_of(scan_.unreadable.begin(), scan_.unreadable.end(),
                      [&path](const std::string& unreadable) { return IsBelow(path, unreadable); });
      suspect(hidden ? Kind::kDiffering : Kind::kExtra, hidden ? kCannotBeRead : "extra", {});
      return Status::Ok();
    }
    const FileFacts facts = at->second;
    scan_.files.erase(at);
    const auto take = [this](const Digest&, const std::string& bytes) {
      return throttle_.Take(bytes.size());
    };
    const Result<std::string> what = Differences(tree_, facts, placed.document, take);
    switch (what.status().code()) {
      case Code::kOk:
        if (!what->empty()) suspect(Kind::kDiffering, *what, facts);
        return Status::Ok();
      case Code::kCancelled: return what.status();
      // Changed or gone since the scan.
      case Code::kUnavailable:
      case Code::kNotFound:
      case Code::kInvalid: ++report_.unsettled; return Status::Ok();
      default: suspect(Kind::kDiffering, kCannotBeRead, facts); return Status::Ok();
    }
  }

  void NoteRest() {
    const std::map<std::string, FileFacts> rest(scan_.files.begin(), scan_.files.end());
    for (const auto& [path, facts] : rest) {
      suspects_.push_back({{Kind::kMissing, "-", path, "missing"}, facts, 0});
    }
    for (const std::string& path : scan_.unreadable) {
      suspects_.push_back({{Kind::kDiffering, "-", path, kCannotBeRead}, {}, 0});
    }
  }

  // What the capture has dealt with meanwhile was nothing but on its way.
  Status LookAgain() {
    ASSIGN_OR_RETURN(const std::vector<PlacedDocument> documents, list_());
    const auto index_of = [&documents](const std::string& path) -> uint64_t {
      const auto at = std::lower_bound(documents.begin(), documents.end(), path,
                                       [](const PlacedDocument& placed, const std::string& wanted) {
                                         return placed.document.path < wanted;
                                       });
      return at == documents.end() || at->document.path != path ? 0 : at->index;
    };
    for (Suspect& suspect : suspects_) {
      if (stop_.stop_requested()) return Stopping();
      if (index_of(suspect.trouble.path) == suspect.index && IsSettled(suspect)) {
        report_.troubles.push_back(std::move(suspect.trouble));
      } else {
        ++report_.unsettled;
      }
    }
    return Status::Ok();
  }

  // Nobody has touched the file since well before the audit. The kernel sets ctime at every change;
  // one of the future says nothing.
  bool IsSettled(const Suspect& suspect) const {
    const Result<FileFacts> now = tree_.Stat(suspect.trouble.path);
    if (!now.ok() || !suspect.facts) return now.ok() == suspect.facts.has_value();
    const bool recent = now->ctime_ns > began_ns_ - options_.settle_ns && now->ctime_ns <= WallNs();
    return *now == *suspect.facts && !recent;
  }

  const Tree& tree_;
  const ListFn& list_;
  const AuditOptions& options_;
  const std::stop_token& stop_;
  Throttle throttle_;
  const int64_t began_ns_;
  TreeScan scan_;  // less what was compared
  std::chrono::steady_clock::time_point scanned_;
  std::vector<Suspect> suspects_;
  AuditReport report_;
};

void AppendTrouble(const AuditTrouble& trouble, std::string* out) {
  *out += "{\"package\":";
  capture::AppendJsonText(trouble.package, out);
  *out += ",\"path\":";
  capture::AppendJsonText(trouble.path.empty() ? "" : capture::EncodePath(trouble.path), out);
  *out += ",\"what\":";
  capture::AppendJsonText(trouble.what, out);
  *out += '}';
}

}  // namespace

uint64_t AuditReport::Count(AuditTrouble::Kind kind) const {
  return static_cast<uint64_t>(
      std::count_if(troubles.begin(), troubles.end(),
                    [kind](const AuditTrouble& trouble) { return trouble.kind == kind; }));
}

Result<AuditReport> AuditDocuments(const Tree& tree, const ListFn& list,
                                   const AuditOptions& options, const OnBytes& progress,
                                   const std::stop_token& stop) {
  return Audit(tree, list, options, stop).Run(progress);
}

std::string EncodeAudit(const AuditReport& report, size_t troubles_max) {
  std::string out = "{\"time\":\"" + capture::FormatUtc(report.time_us) +
                    "\",\"files\":{\"files\":" + std::to_string(report.files) +
                    ",\"equal\":" + (report.equal() ? "true" : "false") +
                    ",\"missing\":" + std::to_string(report.Count(Kind::kMissing)) +
                    ",\"extra\":" + std::to_string(report.Count(Kind::kExtra)) +
                    ",\"differing\":" + std::to_string(report.Count(Kind::kDiffering)) +
                    ",\"unsettled\":" + std::to_string(report.unsettled) + ",\"troubles\":[";
  for (size_t i = 0; i < std::min(report.troubles.size(), troubles_max); ++i) {
    if (i > 0) out += ',';
    AppendTrouble(report.troubles[i], &out);
  }
  return out + "]}}";
}

}  // namespace kembar::documents
