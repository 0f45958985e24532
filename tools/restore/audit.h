// audit.h — the capture audit: does the log hold what the living source holds?
//
// A temporary replication slot gives a snapshot and the LSN at which it was taken; once the log has
// got past that LSN, the log as of its newest boundary before it and the snapshot must be equal.
//
// Thread-safety: functions use the reader they are given.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tools/restore/compare.h"
#include "tools/restore/log_reader.h"

namespace kembar::restore {

// One that kembar-agent made and recorded.
struct RecordedAudit {
  std::string source;
  uint64_t index = 0;
  int64_t time_us = 0;
  std::string payload;  // JSON, see docs/agent.md
};
// The latest of `source` (empty: of every source) that has one.
Result<std::vector<RecordedAudit>> ReadAudits(LogReader* log, const std::string& source);

// The databases that are captured into the log: each should have an audit.
Result<std::set<std::string>> CapturedDatabases(LogReader* log);

// Why an audit does not show that all is equal, one text for each table; empty: it does. What it
// should say and does not is a trouble, too.
std::vector<std::string> TroublesOf(const RecordedAudit& audit);

struct AuditOptions {
  std::string dsn;
  std::string source;  // empty: the only one
  // How long the slot and then the capture may take.
  client::Millis timeout{60'000};
};
struct Audit {
  capture::Lsn lsn = 0;  // of the snapshot
  CompareReport report;
};
// kTimeout: the log did not get past the snapshot; that is a failed audit, too.
Result<Audit> AuditSource(LogReader* log, const AuditOptions& options, const OnProgress& progress);

}  // namespace kembar::restore
