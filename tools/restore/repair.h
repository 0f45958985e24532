// repair.h — single packages back into a living database, in one transaction, parents first.
//
// What the database has and the log does not know is never overwritten unless told: a row that
// equals no version in the log may be newer than the log, or not ours.
//
// Thread-safety: functions use the reader they are given.
#pragma once

#include <string>
#include <vector>

#include "tools/restore/boundary.h"
#include "tools/restore/log_reader.h"
#include "tools/restore/restore.h"

namespace kembar::restore {

struct RepairOptions {
  std::string dsn;
  v1::AsOf as_of;
  std::string source;  // empty: the only one
  std::vector<std::string> packages;
  bool overwrite = false;
};

struct RowNote {
  std::string package;
  capture::TableName table;
  std::string key;                   // as in the item's name
  std::vector<std::string> columns;  // that differ
};
struct TableRepair {
  capture::TableName name;
  uint64_t inserted = 0;
  uint64_t updated = 0;
  uint64_t deleted = 0;
  uint64_t unchanged = 0;
};
struct RepairReport {
  Boundary boundary;
  std::vector<TableRepair> tables;
  // Rows that the log does not know in this state. Not empty: nothing was written.
  std::vector<RowNote> refused;
  // Rows that are deleted in the log and still in the database; they stayed.
  std::vector<RowNote> deleted_in_log;
  uint64_t sequences_raised = 0;
};

Result<RepairReport> RepairPackages(LogReader* log, const RepairOptions& options,
                                    const OnProgress& progress);

}  // namespace kembar::restore
