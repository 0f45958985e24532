// audit.h — the capture audit of documents: does the log hold what stands in the living directory?
//
// Every byte of every file is read and compared with the newest record of its path. Files are
// changed and recorded meanwhile, so what seems unequal is looked at once more, after the capture
// has had time: only where neither the file nor its record has changed is it told, the rest is
// counted as unsettled. Files of the agent's own (.kembar-*) are left out.
//
// Thread-safety: functions of what they are given; AuditDocuments blocks until it is done.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "replicator/base/status.h"
#include "tools/documents/clock.h"
#include "tools/documents/fetch.h"
#include "tools/documents/tree.h"

namespace kembar::documents {

struct AuditOptions {
  // What is left out besides, by path; null: nothing.
  std::function<bool(const std::string& path)> skip;
  // What has changed so shortly before the audit is not judged. The second look comes at least
  // twice as long, and a second, after the first.
  int64_t settle_ns = 2 * kSecondNs;
  uint64_t bytes_per_s = 0;  // of reading; 0: no limit
};

struct AuditTrouble {
  enum class Kind : uint8_t {
    kMissing,    // in the directory, not in the log
    kExtra,      // in the log, not in the directory
    kDiffering,  // in both, and not the same; or it cannot be read
  };
  Kind kind = Kind::kDiffering;
  std::string package;  // that of the record; "-": has none
  std::string path;     // bytes; "": the directory itself cannot be read
  std::string what;     // "missing", "extra", kCannotBeRead, or as of Differences
};
inline constexpr char kCannotBeRead[] = "cannot be read";

struct AuditReport {
  int64_t time_us = 0;     // when it began, since 1970 UTC
  uint64_t files = 0;      // of the directory
  uint64_t unsettled = 0;  // of the directory or the log, not judged
  std::vector<AuditTrouble> troubles;

  bool equal() const { return troubles.empty(); }
  uint64_t Count(AuditTrouble::Kind kind) const;
};

// The documents that the log holds of this directory now; called once or twice.
using ListFn = std::function<Result<std::vector<PlacedDocument>>()>;

// `progress` may be null. kCancelled: told to stop. Other errors are those of `list`: a file that
// cannot be read is in the report.
Result<AuditReport> AuditDocuments(const Tree& tree, const ListFn& list,
                                   const AuditOptions& options, const OnBytes& progress,
                                   const std::stop_token& stop);

// The payload of item audit/SOURCE (docs/documents.md): counts, and the first troubles.
std::string EncodeAudit(const AuditReport& report, size_t troubles_max);

}  // namespace kembar::documents
