// live_tables.cc — see live_tables.h.
#include "tools/restore/live_tables.h"

#include <algorithm>

#include "tools/restore/sql.h"

namespace kembar::restore {
namespace {

std::vector<capture::ValueView> Views(const std::vector<std::string>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

std::vector<std::string> DifferingColumns(const capture::Row& a, const capture::Row& b) {
  std::vector<std::string> columns;
  for (size_t i = 0; i < a.columns.size(); ++i) {
    const capture::Value* other = b.Find(a.columns[i]);
    if (other == nullptr || *other != a.values[i]) columns.push_back(a.columns[i]);
  }
  for (const std::string& column : b.columns) {
    if (a.Find(column) == nullptr) columns.push_back(column);
  }
  return columns;
}

Result<std::vector<std::string>> KeyOf(const capture::Row& row,
                                       const std::vector<std::string>& columns) {
  std::vector<std::string> values;
  for (const std::string& column : columns) {
    const capture::Value* value = row.Find(column);
    if (value == nullptr || !*value) {
      return Status(Code::kCorrupt, "the row has no value in its key's column " + column);
    }
    values.push_back(**value);
  }
  return values;
}

Result<LiveTables> LiveTables::Load(postgres::Connection* connection) {
  LiveTables live(connection);
  ASSIGN_OR_RETURN(std::vector<postgres::TableInfo> tables, postgres::ListTables(connection));
  for (postgres::TableInfo& table : tables) {
    capture::TableName name = table.shape.name;
    live.shapes_.emplace(std::move(name), std::move(table.shape));
  }
  ASSIGN_OR_RETURN(live.foreign_keys_, postgres::ListForeignKeys(connection));
  return live;
}

const capture::TableShape* LiveTables::Find(const capture::TableName& table) const {
  const auto at = shapes_.find(table);
  return at == shapes_.end() ? nullptr : &at->second;
}

Result<std::optional<capture::Row>> LiveTables::Read(const capture::TableName& table,
                                                     const std::vector<std::string>& columns,
                                                     const RowKey& key) {
  const capture::TableShape* shape = Find(table);
  if (shape == nullptr) {
    return Status(Code::kNotFound, connection_->where() + " has no table " + table.Display(),
                  "bring its schema to the state of the log first");
  }
  const std::vector<std::string> there = PayloadColumns(*shape);
  for (const std::string& column : columns) {
    if (std::find(there.begin(), there.end(), column) == there.end()) {
      return Status(
          Code::kNotFound,
          connection_->where() + ": table " + table.Display() + " has no column " + column,
          "bring its schema to the state of the log first");
    }
  }
  ASSIGN_OR_RETURN(
      postgres::Rows rows,
      connection_->Query("SELECT " + QuoteColumns(*connection_, columns) + " FROM ONLY " +
                             QuoteTable(*connection_, table) + " WHERE " +
                             WhereKey(*connection_, key.columns) + " FOR UPDATE",
                         Views(key.values)));
  if (rows.empty()) return std::optional<capture::Row>();
  if (rows.size() > 1) {
    return Status(Code::kDiverged, connection_->where() + ": table " + table.Display() +
                                       " has several rows with the key that the log knows");
  }
  return std::optional<capture::Row>(capture::Row{columns, std::move(rows.front())});
}

Result<bool> LiveTables::Exists(const capture::TableName& table, const RowKey& key) {
  ASSIGN_OR_RETURN(
      const postgres::Rows rows,
      connection_->Query("SELECT 1 FROM " + QuoteTable(*connection_, table) + " WHERE " +
                             WhereKey(*connection_, key.columns) + " LIMIT 1",
                         Views(key.values)));
  return !rows.empty();
}

Status LiveTables::WriteOne(const std::string& sql,
                            const std::vector<capture::ValueView>& parameters,
                            const capture::TableName& table) {
  const Result<postgres::Rows> rows = connection_->Query(sql + " RETURNING 1", parameters);
  if (!rows.ok()) return rows.status().Prepend("table " + table.Display());
  if (rows->size() == 1) return {};
  return Status(Code::kDiverged,
                "table " + table.Display() + ": the database changed " +
                    std::to_string(rows->size()) + " rows instead of one",
                "a rule of that table may stand in the way");
}

Status LiveTables::Insert(const capture::TableName& table, const capture::Row& row) {
  std::string numbers;
  for (size_t i = 0; i < row.columns.size(); ++i) {
    numbers += (i > 0 ? ", $" : "$") + std::to_string(i + 1);
  }
  const std::string target = "INSERT INTO " + QuoteTable(*connection_, table);
  if (row.columns.empty()) return WriteOne(target + " DEFAULT VALUES", {}, table);
  return WriteOne(target + " (" + QuoteColumns(*connection_, row.columns) +
                      ") OVERRIDING SYSTEM VALUE VALUES (" + numbers + ")",
                  {row.values.begin(), row.values.end()}, table);
}

Status LiveTables::Update(const capture::TableName& table, const capture::Row& row,
                          const std::vector<std::string>& columns, const RowKey& key) {
  std::string set;
  std::vector<capture::ValueView> parameters;
  for (const std::string& column : columns) {
    const capture::Value* value = row.Find(column);
    if (value == nullptr) continue;
    parameters.emplace_back(*value);
    set += (set.empty() ? "" : ", ") + connection_->QuoteIdent(column) + " = $" +
           std::to_string(parameters.size());
  }
  if (set.empty()) return {};
  const size_t first = parameters.size() + 1;
  parameters.insert(parameters.end(), key.values.begin(), key.values.end());
  return WriteOne("UPDATE ONLY " + QuoteTable(*connection_, table) + " SET " + set + " WHERE " +
                      WhereKey(*connection_, key.columns, first),
                  parameters, table);
}

Status LiveTables::Delete(const capture::TableName& table, const RowKey& key) {
  return WriteOne("DELETE FROM ONLY " + QuoteTable(*connection_, table) + " WHERE " +
                      WhereKey(*connection_, key.columns),
                  Views(key.values), table);
}

Status LiveTables::DisableTriggers(const capture::TableName& table) {
  if (!prepared_.insert(table).second) return {};
  const std::string name = QuoteTable(*connection_, table);
  const capture::ValueView parameters[] = {name};
  ASSIGN_OR_RETURN(const postgres::Rows triggers,
                   connection_->Query("SELECT tgname, tgenabled FROM pg_trigger"
                                      " WHERE tgrelid = $1::regclass AND NOT tgisinternal"
                                      " AND tgenabled IN ('O', 'A') ORDER BY tgname",
                                      parameters));
  for (const auto& trigger : triggers) {
    const std::string alter = "ALTER TABLE " + name;
    const std::string which = "TRIGGER " + connection_->QuoteIdent(trigger[0].value_or(""));
    RETURN_IF_ERROR(connection_->Execute(alter + " DISABLE " + which));
    enable_.push_back(alter + (trigger[1] == "A" ? " ENABLE ALWAYS " : " ENABLE ") + which);
  }
  return {};
}

Status LiveTables::EnableTriggers() {
  if (enable_.empty()) return {};
  // Deferred foreign keys would still have events waiting, and ALTER TABLE refuses then.
  RETURN_IF_ERROR(connection_->Execute("SET CONSTRAINTS ALL IMMEDIATE"));
  for (const std::string& sql : enable_) RETURN_IF_ERROR(connection_->Execute(sql));
  enable_.clear();
  return {};
}

}  // namespace kembar::restore
