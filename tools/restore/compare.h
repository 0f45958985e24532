// compare.h — a database against a log, row by row, told package by package.
//
// Rows are streamed out of the database, encoded as the capture encodes them, and their SHA-256
// compared with the log's; payloads are fetched only for rows that differ. Memory: some 200 bytes
// for each row of the log. Kembar's own schema (canary, sink) is passed over.
//
// Thread-safety: functions use the reader and the connection they are given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/postgres/connection.h"
#include "tools/restore/boundary.h"
#include "tools/restore/captured.h"
#include "tools/restore/log_reader.h"
#include "tools/restore/restore.h"
#include "tools/restore/sequences.h"

namespace kembar::restore {

enum class RowState : uint8_t { kDiffers, kMissing, kExtra };

struct RowFinding {
  RowState state = RowState::kDiffers;
  capture::TableName table;
  std::string key;                   // as in the item's name
  std::vector<std::string> columns;  // kDiffers: which
};

struct PackageFinding {
  std::string package;
  std::string title, value;
  std::string category;          // of missing packages, when the mapping says where it stands
  std::vector<RowFinding> rows;  // at most kRowsListed
  uint64_t rows_total = 0;
};
inline constexpr size_t kRowsListed = 10'000;

struct TableFinding {
  capture::TableName name;
  uint64_t rows = 0;  // in the database
  uint64_t identical = 0, differing = 0, missing = 0, extra = 0;
  bool absent = false;                       // no such table, or none with its key
  std::vector<std::string> columns_missing;  // the log has them
  std::vector<std::string> columns_extra;    // the log does not know them
  bool Equal() const {
    return differing == 0 && missing == 0 && extra == 0 && !absent && columns_missing.empty() &&
           columns_extra.empty();
  }
};

struct CompareReport {
  Boundary boundary;
  uint64_t identical = 0;                 // packages, "-" not counted
  std::vector<PackageFinding> differing;  // some rows differ or are missing
  std::vector<PackageFinding> missing;    // no row is left
  std::vector<PackageFinding> extra;      // rows that the log does not know, by package
  std::vector<TableFinding> tables;
  std::vector<capture::TableName> tables_not_in_log;  // of the same schemas; no difference
  std::vector<SequenceFinding> sequences_behind;
  bool Identical() const;
};

// `packages` empty: all. Inside the caller's transaction, which must be a snapshot.
Result<CompareReport> CompareDatabase(postgres::Connection* connection, LogReader* log,
                                      const Boundary& boundary, const Captured& captured,
                                      const std::vector<std::string>& packages,
                                      const OnProgress& progress);

struct CompareOptions {
  std::string dsn;
  v1::AsOf as_of;
  std::string source;
  std::vector<std::string> packages;
};
// Connects, and compares one snapshot.
Result<CompareReport> Compare(LogReader* log, const CompareOptions& options,
                              const OnProgress& progress);

}  // namespace kembar::restore
