// sink_apply.h — single records of a log into a standby database, inside the caller's transaction.
//
// Statements gather and go to the server together: a round trip for each would make a standby
// slower than its source.
//
// Rows are written with session_replication_role = replica: triggers and foreign keys have done
// their work at the source, and what they did stands in the log as rows of its own.
//
// Thread-safety: none; used by one thread, like its connection.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/postgres/connection.h"
#include "tools/restore/captured.h"
#include "tools/restore/live_tables.h"
#include "tools/restore/log_reader.h"

namespace kembar::restore {

class SinkApplier {
 public:
  // What the database was filled from: a record that says something else of the schema is a change.
  static Result<SinkApplier> Load(postgres::Connection* connection, LogReader* log,
                                  const Captured& captured);

  // True: the schema has changed, and the database must be filled anew at the next boundary. What
  // the server says of a record may come with a later one, or with Flush.
  Result<bool> Apply(const v1::Record& record);
  // To be called before the transaction is committed.
  Status Flush();

 private:
  struct Target {
    std::vector<std::string> columns;  // of the database, generated ones left out
    std::vector<std::string> key;      // of the log; empty: none
    std::vector<std::string> always;   // GENERATED ALWAYS AS IDENTITY
  };

  SinkApplier(postgres::Connection* connection, LogReader* log, Captured captured)
      : connection_(connection), log_(log), captured_(std::move(captured)) {}

  Result<bool> ApplyRow(const v1::Record& record, const capture::ItemName& name);
  Result<bool> PutRow(const std::string& payload, const capture::TableName& table);
  Status DeleteRow(const v1::Record& record, const capture::ItemName& name);
  Status DeleteEqual(const capture::TableName& table, const capture::Row& row);
  Status PutSequence(const std::string& payload, const capture::TableName& sequence);
  Status ApplyLargeObject(const v1::Record& record, const std::string& key);
  bool ChangesSchema(const v1::Record& record, const capture::ItemName& name) const;
  // `parameters` are $1, $2 …; nullopt is NULL.
  Status Queue(const std::string& sql, const std::vector<capture::ValueView>& parameters);
  // The payload that a DELETE ends.
  Result<std::optional<Version>> Before(const v1::Record& record);

  postgres::Connection* connection_;
  LogReader* log_;
  Captured captured_;
  std::map<capture::TableName, Target> targets_;
  std::string queued_;  // statements
};

// `sql` with $1, $2 … replaced by literals; nothing that stands in quotes is touched. Exposed for
// tests.
std::string WithLiterals(const std::string& sql, const std::vector<std::string>& literals);

// The values of a key as it stands in an item's name; nullopt: it stands there as a digest only.
std::optional<std::vector<std::string>> DecodeKey(std::string_view key);

}  // namespace kembar::restore
