// restore.h — a whole database out of a log: SQL before the rows, rows, sequences, large objects,
// SQL after the rows; in one database transaction, at a transaction boundary of the source.
//
// Foreign keys, triggers and indexes stand in the SQL after the rows, so rows may come in any
// order.
//
// Thread-safety: functions use the reader and the connection they are given.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tools/postgres/connection.h"
#include "tools/restore/boundary.h"
#include "tools/restore/captured.h"
#include "tools/restore/log_reader.h"

namespace kembar::restore {

// `total` is about right: rows and the few items beside them.
using OnProgress = std::function<void(uint64_t done, uint64_t total)>;

struct TableRows {
  capture::TableName name;
  uint64_t rows = 0;
};
struct LeftOutColumn {
  capture::TableName table;
  std::string column;
  uint64_t rows = 0;  // that had a value there
};

struct Restored {
  std::vector<TableRows> tables;
  uint64_t sequences = 0;
  uint64_t large_objects = 0;
  // Of rows whose columns or tables the schema as of then no longer had.
  std::vector<LeftOutColumn> left_out_columns;
  std::vector<TableRows> left_out_tables;
};

// kExists: names what the database holds in the schemas that a restore would fill.
Status CheckEmpty(postgres::Connection* connection, const Captured& captured);

// Fills the database inside the caller's transaction, and counts what it wrote. Leaves search_path
// empty.
Result<Restored> FillDatabase(postgres::Connection* connection, LogReader* log,
                              const Boundary& boundary, const Captured& captured,
                              const OnProgress& progress);

struct RestoreOptions {
  std::string dsn;
  v1::AsOf as_of;
  std::string source;  // empty: the only one
};
struct RestoreReport {
  Boundary boundary;
  Restored restored;
  std::string analyze_error;  // empty: statistics are fresh
};

// Connects, checks, fills, commits, analyzes. After any failure the database is as it was.
Result<RestoreReport> RestoreDatabase(LogReader* log, const RestoreOptions& options,
                                      const OnProgress& progress);

}  // namespace kembar::restore
