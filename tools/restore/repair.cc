// repair.cc — see repair.h.
#include "tools/restore/repair.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "tools/postgres/catalog.h"
#include "tools/restore/captured.h"
#include "tools/restore/live_tables.h"
#include "tools/restore/package_rows.h"
#include "tools/restore/repair_plan.h"
#include "tools/restore/sequences.h"
#include "tools/restore/transaction.h"

namespace kembar::restore {
namespace {

class Repairer {
 public:
  Repairer(RepairPlan* plan, LiveTables* live) : plan_(plan), live_(live) {}

  Status Run() {
    for (const auto& [item, row] : plan_->rows()) {
      RETURN_IF_ERROR(live_->DisableTriggers(row.logged.name.table));
    }
    for (const auto& [item, row] : plan_->rows()) {
      if (row.action != RowAction::kDelete) RETURN_IF_ERROR(Write(item));
    }
    RETURN_IF_ERROR(DeleteRows());
    RETURN_IF_ERROR(live_->EnableTriggers());
    for (const auto& [item, row] : plan_->rows()) RETURN_IF_ERROR(Check(row));
    return {};
  }

  std::vector<capture::TableName> Tables() const {
    std::set<capture::TableName> tables;
    for (const auto& [item, row] : plan_->rows()) tables.insert(row.logged.name.table);
    return {tables.begin(), tables.end()};
  }

 private:
  struct Visit {
    std::string item;
    size_t next_parent = 0;
  };

  // The row after its parents, and theirs. Rows that refer to each other in a circle come in any
  // order: only deferred foreign keys allow them anyway.
  Status Write(const std::string& first) {
    std::vector<Visit> stack;
    if (begun_.insert(first).second) stack.push_back({first});
    while (!stack.empty()) {
      Visit& visit = stack.back();
      const PlannedRow& row = plan_->rows().at(visit.item);
      if (visit.next_parent < row.parents.size()) {
        const std::string& parent = row.parents[visit.next_parent++];
        if (begun_.insert(parent).second) stack.push_back({parent});
        continue;
      }
      RETURN_IF_ERROR(WriteOne(row).Prepend(visit.item));
      stack.pop_back();
    }
    return {};
  }

  Status WriteOne(const PlannedRow& row) {
    TableRepair& count = (*plan_->counts())[row.logged.name.table];
    switch (row.action) {
      case RowAction::kInsert:
        ++count.inserted;
        return live_->Insert(row.logged.name.table, row.logged.row);
      case RowAction::kUpdate:
        ++count.updated;
        return live_->Update(row.logged.name.table, row.logged.row, row.columns, row.logged.key);
      case RowAction::kDelete:
        ++count.deleted;
        return live_->Delete(row.logged.name.table, row.logged.key);
    }
    return {};
  }

  // Children before parents.
  Status DeleteRows() {
    std::vector<capture::TableName> order = postgres::ParentsFirst(Tables(), live_->foreign_keys());
    std::reverse(order.begin(), order.end());
    for (const capture::TableName& table : order) {
      for (const auto& [item, row] : plan_->rows()) {
        if (row.action != RowAction::kDelete || row.logged.name.table != table) continue;
        RETURN_IF_ERROR(WriteOne(row).Prepend(item));
      }
    }
    return {};
  }

  // What stands there now, as the database itself says.
  Status Check(const PlannedRow& row) {
    if (row.logged.keyless()) return {};
    ASSIGN_OR_RETURN(const std::optional<capture::Row> found,
                     live_->Read(row.logged.name.table, row.logged.row.columns, row.logged.key));
    const bool deleted = row.action == RowAction::kDelete;
    if (deleted ? !found : found && Sha256({capture::EncodeRow(*found)}) == row.logged.sha256) {
      return {};
    }
    return Status(Code::kDiverged, row.logged.item + " is not as the log has it after writing it",
                  "a rule or a generated value of that table changes what is written");
  }

  RepairPlan* const plan_;
  LiveTables* const live_;
  std::set<std::string> begun_;
};

// Inside the transaction. True: to be committed.
Result<bool> Repair(postgres::Connection* connection, LogReader* log, const RepairOptions& options,
                    const Captured& captured, std::vector<LoggedRow> rows,
                    const OnProgress& progress, RepairReport* report) {
  ASSIGN_OR_RETURN(LiveTables live, LiveTables::Load(connection));
  RepairPlan plan(log, &report->boundary, &captured, connection, &live, options.overwrite);
  RETURN_IF_ERROR(plan.Make(std::move(rows), progress));
  report->refused = plan.refused();
  report->deleted_in_log = plan.deleted_in_log();
  if (report->refused.empty()) {
    Repairer repairer(&plan, &live);
    RETURN_IF_ERROR(repairer.Run());
    ASSIGN_OR_RETURN(report->sequences_raised,
                     RaiseSequences(connection, captured.sequences, repairer.Tables()));
  }
  for (auto& [name, count] : *plan.counts()) {
    count.name = name;
    report->tables.push_back(count);
  }
  return report->refused.empty();
}

}  // namespace

Result<RepairReport> RepairPackages(LogReader* log, const RepairOptions& options,
                                    const OnProgress& progress) {
  RepairReport report;
  ASSIGN_OR_RETURN(report.boundary, FindBoundary(log, options.as_of, options.source));
  ASSIGN_OR_RETURN(const Captured captured, ReadCaptured(log, report.boundary));
  std::vector<LoggedRow> rows;
  const std::set<std::string> packages(options.packages.begin(), options.packages.end());
  for (const std::string& package : packages) {
    ASSIGN_OR_RETURN(std::vector<LoggedRow> of_package,
                     ReadPackageRows(log, report.boundary, captured, package));
    std::move(of_package.begin(), of_package.end(), std::back_inserter(rows));
  }
  ASSIGN_OR_RETURN(const auto connection, postgres::Connection::Open({.dsn = options.dsn}));
  Transaction transaction(connection.get());
  RETURN_IF_ERROR(transaction.Begin());
  const Result<bool> good =
      Repair(connection.get(), log, options, captured, std::move(rows), progress, &report);
  if (!good.ok()) return RolledBack(good.status());
  if (*good) RETURN_IF_ERROR(transaction.Commit());
  return report;
}

}  // namespace kembar::restore
