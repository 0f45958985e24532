// repair_plan.h — what has to be done to rows of a living database so that packages are as the log
// has them: looked up row by row, nothing written yet.
//
// Thread-safety: none; used by one thread, like its connection.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tools/postgres/connection.h"
#include "tools/restore/captured.h"
#include "tools/restore/live_tables.h"
#include "tools/restore/package_rows.h"
#include "tools/restore/repair.h"

namespace kembar::restore {

enum class RowAction : uint8_t { kInsert, kUpdate, kDelete };

struct PlannedRow {
  RowAction action = RowAction::kInsert;
  LoggedRow logged;
  std::vector<std::string> columns;  // updates: those that differ
  std::vector<std::string> parents;  // items that must be written before
};

class RepairPlan {
 public:
  RepairPlan(LogReader* log, const Boundary* boundary, const Captured* captured,
             postgres::Connection* connection, LiveTables* live, bool overwrite)
      : log_(log),
        boundary_(boundary),
        captured_(captured),
        connection_(connection),
        live_(live),
        overwrite_(overwrite) {}

  // Looks at all rows of the packages, and at the parents that they need.
  Status Make(std::vector<LoggedRow> rows, const OnProgress& progress);

  // By item. Rows of tables without key have items that may stand for one of several equal rows.
  const std::map<std::string, PlannedRow>& rows() const { return rows_; }
  const std::vector<RowNote>& refused() const { return refused_; }
  const std::vector<RowNote>& deleted_in_log() const { return deleted_in_log_; }
  std::map<capture::TableName, TableRepair>* counts() { return &counts_; }

 private:
  // A row whose state only the other packages' versions can judge.
  struct Doubt {
    LoggedRow logged;
    Digest found{};
    std::vector<std::string> columns;
  };
  Status Look(LoggedRow logged);
  Status LookKeyless(std::vector<LoggedRow> rows);
  Status Judge();
  Status AddParents();
  Status AddParentsOf(const std::string& item, std::vector<std::string>* added);
  Result<std::string> FindParent(const postgres::ForeignKey& key,
                                 const std::vector<std::string>& values);
  void Plan(RowAction action, LoggedRow logged, std::vector<std::string> columns = {});

  LogReader* const log_;
  const Boundary* const boundary_;
  const Captured* const captured_;
  postgres::Connection* const connection_;
  LiveTables* const live_;
  const bool overwrite_;

  std::map<std::string, PlannedRow> rows_;
  std::vector<Doubt> doubts_;
  std::vector<RowNote> refused_;
  std::vector<RowNote> deleted_in_log_;
  std::map<capture::TableName, TableRepair> counts_;
  std::map<std::string, bool> exists_;  // parents asked for: table and values
};

}  // namespace kembar::restore
