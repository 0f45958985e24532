// live_tables.h — single rows of a living database: read and locked, inserted, updated, deleted by
// their key, exactly as the log has them.
//
// Triggers of users are switched off for the tables that are written (foreign keys stay on): a row
// comes back as it was, and what its trigger once did stands in the log as rows of its own.
//
// Thread-safety: none; used by one thread, like its connection.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tools/capture/row.h"
#include "tools/postgres/catalog.h"
#include "tools/postgres/connection.h"

namespace kembar::restore {

// Columns in which two rows differ, in the order of `a`; one that only one of them has differs.
std::vector<std::string> DifferingColumns(const capture::Row& a, const capture::Row& b);

// Values of these columns. kCorrupt when the row lacks one, or (a key) it is NULL.
Result<std::vector<std::string>> KeyOf(const capture::Row& row,
                                       const std::vector<std::string>& columns);

// How a row is found: the columns of its key, with their values.
struct RowKey {
  std::vector<std::string> columns;
  std::vector<std::string> values;
};

class LiveTables {
 public:
  static Result<LiveTables> Load(postgres::Connection* connection);

  // Null when the database has no such table.
  const capture::TableShape* Find(const capture::TableName& table) const;
  const std::vector<postgres::ForeignKey>& foreign_keys() const { return foreign_keys_; }

  // The row with these columns, locked FOR UPDATE; nullopt: not there. kNotFound: the table, or one
  // of the columns, is not there.
  Result<std::optional<capture::Row>> Read(const capture::TableName& table,
                                           const std::vector<std::string>& columns,
                                           const RowKey& key);
  // Also of partitions; no lock.
  Result<bool> Exists(const capture::TableName& table, const RowKey& key);

  Status Insert(const capture::TableName& table, const capture::Row& row);
  // Only the columns named.
  Status Update(const capture::TableName& table, const capture::Row& row,
                const std::vector<std::string>& columns, const RowKey& key);
  Status Delete(const capture::TableName& table, const RowKey& key);

  // Before the first write to a table, and at the end. Locks the table against other writers if it
  // has triggers.
  Status DisableTriggers(const capture::TableName& table);
  Status EnableTriggers();

 private:
  explicit LiveTables(postgres::Connection* connection) : connection_(connection) {}
  // Runs a statement that must touch exactly one row.
  Status WriteOne(const std::string& sql, const std::vector<capture::ValueView>& parameters,
                  const capture::TableName& table);

  postgres::Connection* connection_;
  std::map<capture::TableName, capture::TableShape> shapes_;
  std::vector<postgres::ForeignKey> foreign_keys_;
  std::set<capture::TableName> prepared_;
  std::vector<std::string> enable_;  // statements
};

}  // namespace kembar::restore
