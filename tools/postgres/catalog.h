// catalog.h — what a database holds: tables, keys, sequences, and the SQL that recreates them.
//
// Thread-safety: functions use the connection they are given, on its thread. Inside a transaction
// with a snapshot they answer for that snapshot (but for the DDL: pg_dump opens its own connection
// and is given the snapshot's name).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "replicator/base/status.h"
#include "tools/capture/facts.h"
#include "tools/postgres/connection.h"

namespace kembar::postgres {

struct TableInfo {
  capture::TableShape shape;
  uint32_t oid = 0;
  char replica_identity = 'd';  // pg_class.relreplident: d(efault), f(ull), i(ndex), n(othing)
  bool replica_identity_full = false;
  bool has_rows = true;   // false: partitioned itself (its partitions hold the rows)
  bool unlogged = false;  // can't be captured
  // Where and how its rows are stored: another text after DDL that may have changed rows without
  // changing any column's name or type (ALTER … TYPE … USING, a column dropped and added again, a
  // renamed label of an enum), and after what leaves the rows alone too (TRUNCATE, VACUUM FULL).
  std::string storage;
};

// Ordinary tables and partitions, and partitioned parents (has_rows false), of all schemas but the
// system's; in order of name. Tables of extensions are left out.
Result<std::vector<TableInfo>> ListTables(Connection* connection);

struct SequenceInfo {
  capture::TableName name;
  capture::SequenceState state;
  // The column it feeds (owned by, or identity); empty: none.
  capture::TableName table;
  std::string column;
};
Result<std::vector<SequenceInfo>> ListSequences(Connection* connection);

// Tables that were truncated, rewritten or dropped since the transaction's snapshot was taken: they
// look empty in it, so it says nothing of their rows. Final for tables that are locked meanwhile.
Result<std::set<uint32_t>> ListRewritten(Connection* connection);

struct ForeignKey {
  capture::TableName child;
  capture::TableName parent;
  std::vector<std::string> child_columns;
  std::vector<std::string> parent_columns;
};
Result<std::vector<ForeignKey>> ListForeignKeys(Connection* connection);

// Tables in an order in which every foreign key's parent comes before its child, as far as there is
// one (tables in a cycle come in order of name).
std::vector<capture::TableName> ParentsFirst(std::vector<capture::TableName> tables,
                                             const std::vector<ForeignKey>& keys);

// The SQL that recreates everything but rows, by the program pg_dump (which must be at least as new
// as the server): "pre-data" or "post-data", without owners, privileges, publications and
// subscriptions, and without psql's own commands. Same database, same text. `snapshot` may be
// empty.
Result<std::string> DumpSchema(const std::string& dsn, const std::string& section,
                               const std::string& snapshot);

}  // namespace kembar::postgres
