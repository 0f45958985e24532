// repair_plan.cc — see repair_plan.h.
#include "tools/restore/repair_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tools/restore/sql.h"

namespace kembar::restore {
namespace {

RowNote Note(const LoggedRow& row, std::vector<std::string> columns) {
  return {row.package, row.name.table, row.name.key, std::move(columns)};
}

}  // namespace

Status RepairPlan::Make(std::vector<LoggedRow> rows, const OnProgress& progress) {
  std::map<capture::TableName, std::vector<LoggedRow>> keyless;
  uint64_t done = 0;
  const uint64_t total = rows.size();
  for (LoggedRow& row : rows) {
    if (row.keyless()) {
      std::vector<LoggedRow>& of_table = keyless[row.name.table];
      of_table.push_back(std::move(row));
    } else {
      const std::string item = row.item;
      RETURN_IF_ERROR(Look(std::move(row)).Prepend(item));
    }
    if (progress) progress(++done, total);
  }
  for (auto& [table, of_table] : keyless) RETURN_IF_ERROR(LookKeyless(std::move(of_table)));
  RETURN_IF_ERROR(Judge());
  return AddParents();
}

void RepairPlan::Plan(RowAction action, LoggedRow logged, std::vector<std::string> columns) {
  std::string item = logged.item;
  rows_.insert_or_assign(
      std::move(item),
      PlannedRow{.action = action, .logged = std::move(logged), .columns = std::move(columns)});
}

Status RepairPlan::Look(LoggedRow logged) {
  if (logged.deleted && live_->Find(logged.name.table) == nullptr) return {};
  ASSIGN_OR_RETURN(const std::optional<capture::Row> found,
                   live_->Read(logged.name.table, logged.row.columns, logged.key));
  if (!found) {
    if (!logged.deleted) Plan(RowAction::kInsert, std::move(logged));
    return {};
  }
  const Digest digest = Sha256({capture::EncodeRow(*found)});
  if (logged.deleted) {
    doubts_.push_back({std::move(logged), digest, {}});
  } else if (digest == logged.sha256) {
    ++counts_[logged.name.table].unchanged;
  } else {
    std::vector<std::string> columns = DifferingColumns(logged.row, *found);
    if (overwrite_ || logged.older.contains(digest)) {
      Plan(RowAction::kUpdate, std::move(logged), std::move(columns));
    } else {
      doubts_.push_back({std::move(logged), digest, std::move(columns)});
    }
  }
  return {};
}

// Equal rows are one as good as the other: what counts is how many there are.
Status RepairPlan::LookKeyless(std::vector<LoggedRow> rows) {
  const capture::TableName table = rows.front().name.table;
  const capture::TableShape* shape = live_->Find(table);
  if (shape == nullptr) {
    return Status(Code::kNotFound, connection_->where() + " has no table " + table.Display(),
                  "bring its schema to the state of the log first");
  }
  const std::string name = QuoteTable(*connection_, table);
  RETURN_IF_ERROR(connection_->Execute("LOCK TABLE ONLY " + name + " IN SHARE ROW EXCLUSIVE MODE"));
  const std::vector<std::string> columns = rows.front().row.columns;
  std::map<Digest, uint64_t> found;
  RETURN_IF_ERROR(connection_->CopyOut(
      "COPY " + name + " (" + QuoteColumns(*connection_, columns) + ") TO STDOUT",
      [&](std::span<const capture::ValueView> values) {
        ++found[Sha256({capture::EncodeRow(columns, values)})];
        return Status::Ok();
      }));
  for (const bool deleted : {false, true}) {
    for (LoggedRow& row : rows) {
      if (row.deleted != deleted) continue;
      uint64_t& count = found[row.sha256];
      if (!deleted && count == 0) {
        Plan(RowAction::kInsert, std::move(row));
      } else if (!deleted) {
        --count;
        ++counts_[table].unchanged;
      } else if (count > 0) {
        --count;
        deleted_in_log_.push_back(Note(row, {}));
      }
    }
  }
  return {};
}

Status RepairPlan::Judge() {
  std::set<std::string> items;
  for (const Doubt& doubt : doubts_) items.insert(doubt.logged.item);
  ASSIGN_OR_RETURN(const auto known, ReadElsewhere(log_, *boundary_, items));
  for (Doubt& doubt : doubts_) {
    const auto at = known.find(doubt.logged.item);
    const bool ours = at != known.end() && at->second.versions.contains(doubt.found);
    if (!doubt.logged.deleted) {
      if (ours) {
        Plan(RowAction::kUpdate, std::move(doubt.logged), std::move(doubt.columns));
      } else {
        refused_.push_back(Note(doubt.logged, std::move(doubt.columns)));
      }
      continue;
    }
    // It only moved to another package.
    if (at != known.end() && at->second.alive) continue;
    if (overwrite_ && ours) {
      Plan(RowAction::kDelete, std::move(doubt.logged));
    } else {
      deleted_in_log_.push_back(Note(doubt.logged, {}));
    }
  }
  doubts_.clear();
  return {};
}

Status RepairPlan::AddParents() {
  std::vector<std::string> open;
  for (const auto& [item, row] : rows_) {
    if (row.action != RowAction::kDelete) open.push_back(item);
  }
  while (!open.empty()) {
    const std::string item = std::move(open.back());
    open.pop_back();
    RETURN_IF_ERROR(AddParentsOf(item, &open));
  }
  return {};
}

// Items of rows that `item` refers to: planned ones are written before it; missing ones are
// planned.
Status RepairPlan::AddParentsOf(const std::string& item, std::vector<std::string>* added) {
  for (const postgres::ForeignKey& key : live_->foreign_keys()) {
    const PlannedRow& child = rows_.at(item);
    if (key.child != child.logged.name.table) continue;
    // A column that is NULL refers to nothing.
    const Result<std::vector<std::string>> values = KeyOf(child.logged.row, key.child_columns);
    if (!values.ok()) continue;
    ASSIGN_OR_RETURN(std::string parent, FindParent(key, *values));
    if (parent.empty() || parent == item) continue;
    if (!rows_.contains(parent)) {
      ASSIGN_OR_RETURN(std::optional<LoggedRow> row, ReadRow(log_, *boundary_, *captured_, parent));
      if (!row) continue;
      Plan(RowAction::kInsert, *std::move(row));
      added->push_back(parent);
    }
    rows_.at(item).parents.push_back(std::move(parent));
  }
  return {};
}

// The parent's item if it is planned or must be; empty: the database has it, or it can't be named
// (then the foreign key itself will judge).
Result<std::string> RepairPlan::FindParent(const postgres::ForeignKey& key,
                                           const std::vector<std::string>& values) {
  std::vector<std::string> candidates;
  for (const auto& [name, table] : captured_->tables) {
    if ((name != key.parent && table.root != key.parent) || table.key.empty()) continue;
    std::vector<std::string_view> in_key_order;
    for (const std::string& column : table.key) {
      const auto at = std::find(key.parent_columns.begin(), key.parent_columns.end(), column);
      if (at == key.parent_columns.end()) break;
      in_key_order.emplace_back(values[static_cast<size_t>(at - key.parent_columns.begin())]);
    }
    if (in_key_order.size() != table.key.size()) continue;
    candidates.push_back(capture::RowItem(name, in_key_order));
  }
  for (std::string& item : candidates) {
    if (rows_.contains(item)) return std::move(item);
  }
  std::string asked = key.parent.Encoded();
  for (size_t i = 0; i < values.size(); ++i)
    asked += "\n" + key.parent_columns[i] + "=" + values[i];
  auto known = exists_.find(asked);
  if (known == exists_.end()) {
    ASSIGN_OR_RETURN(const bool exists, live_->Exists(key.parent, {key.parent_columns, values}));
    known = exists_.emplace(asked, exists).first;
  }
  if (known->second) return std::string();
  for (std::string& item : candidates) {
    ASSIGN_OR_RETURN(const std::optional<LoggedRow> row,
                     ReadRow(log_, *boundary_, *captured_, item));
    if (row) return std::move(item);
  }
  return std::string();
}

}  // namespace kembar::restore
