// catalog.cc — see catalog.h. The queries run on PostgreSQL 10 and later.
#include "tools/postgres/catalog.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "replicator/base/digest.h"

namespace kembar::postgres {
namespace {

using capture::TableName;

// Relations `c` in namespaces `n` that belong to the database's users: neither the system's nor an
// extension's, which CREATE EXTENSION brings back.
constexpr char kOurs[] =
    "c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
    "AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e "
    "WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid "
    "AND e.deptype = 'e') ";

constexpr size_t kSequencesPerQuery = 100;

// A NULL counts as empty: the columns asked for here have none.
const std::string& Text(const Value& value) {
  static const std::string empty;
  return value ? *value : empty;
}

uint32_t Oid(const Value& value) {
  const std::string& text = Text(value);
  uint32_t oid = 0;
  std::from_chars(text.data(), text.data() + text.size(), oid);
  return oid;
}

bool IsTrue(const Value& value) { return Text(value) == "t"; }

// What a table inherits from, as partition; its topmost parent is the root.
struct Found {
  TableInfo info;
  uint32_t parent = 0;
  bool own_types = false;  // some column's type is not the system's
};
using Tables = std::unordered_map<uint32_t, Found>;

Status ReadTables(Connection* connection, Tables* tables) {
  const std::string sql =
      std::string(
          "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, "
          "(SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid "
          "AND c.relispartition), c.relfilenode "
          "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
          "WHERE c.relkind IN ('r', 'p') AND ") +
      kOurs;
  ASSIGN_OR_RETURN(const Rows rows, connection->Query(sql));
  for (const std::vector<Value>& row : rows) {
    Found found;
    found.info.oid = Oid(row[0]);
    found.info.shape.name = {Text(row[1]), Text(row[2])};
    found.info.has_rows = Text(row[3]) == "r";
    found.info.unlogged = Text(row[4]) == "u";
    found.info.replica_identity = Text(row[5]).empty() ? 'd' : Text(row[5]).front();
    found.info.replica_identity_full = found.info.replica_identity == 'f';
    found.parent = Oid(row[6]);
    found.info.storage = Text(row[0]) + "/" + Text(row[7]) + "/";
    tables->emplace(found.info.oid, std::move(found));
  }
  return Status::Ok();
}

Status ReadColumns(Connection* connection, Tables* tables) {
  const bool generated = connection->server_version() >= 120000;
  const std::string sql =
      std::string(
          "SELECT a.attrelid, a.attname, "
          "pg_catalog.format_type(a.atttypid, a.atttypmod), ") +
      (generated ? "a.attgenerated <> ''" : "false") +
      ", a.attnum, (SELECT t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace "
      "FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid) FROM pg_catalog.pg_attribute a "
      "JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "
      "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
      "WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND " +
      kOurs + "ORDER BY a.attrelid, a.attnum";
  ASSIGN_OR_RETURN(const Rows rows, connection->Query(sql));
  for (const std::vector<Value>& row : rows) {
    const auto table = tables->find(Oid(row[0]));
    if (table == tables->end()) continue;
    table->second.info.shape.columns.push_back({Text(row[1]), Text(row[2]), IsTrue(row[3])});
    table->second.info.storage += Text(row[4]) + ",";
    table->second.own_types = table->second.own_types || IsTrue(row[5]);
  }
  return Status::Ok();
}

// The text of a row follows the labels of enums, which can be renamed. Which columns have them,
// perhaps inside of domains, arrays, ranges or composites, is not looked into.
Status ReadEnums(Connection* connection, Tables* tables) {
  ASSIGN_OR_RETURN(const Rows rows, connection->Query("SELECT oid, enumlabel FROM "
                                                      "pg_catalog.pg_enum ORDER BY oid"));
  std::string labels;
  for (const std::vector<Value>& row : rows) labels += Text(row[0]) + "=" + Text(row[1]) + "\n";
  const std::string digest = ToHex(Sha256({labels}));
  for (auto& [oid, table] : *tables) {
    if (table.own_types) table.info.storage += "/" + digest;
  }
  return Status::Ok();
}

// The primary key; without one, the index of REPLICA IDENTITY USING INDEX. A deferrable key is none
// here: inside a statement two rows may bear the same one, and the server does not identify by it.
Status ReadKeys(Connection* connection, Tables* tables) {
  const bool includes = connection->server_version() >= 110000;  // INCLUDE columns are no key
  const std::string sql = std::string(
                              "SELECT i.indrelid, i.indisprimary, a.attname "
                              "FROM pg_catalog.pg_index i "
                              "CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) "
                              "WITH ORDINALITY AS k(attnum, place) "
                              "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid "
                              "AND a.attnum = k.attnum "
                              "WHERE (i.indisprimary OR i.indisreplident) AND i.indimmediate "
                              "AND i.indisvalid ") +
                          (includes ? "AND k.place <= i.indnkeyatts " : "") +
                          "ORDER BY i.indrelid, i.indisprimary DESC, k.place";
  ASSIGN_OR_RETURN(const Rows rows, connection->Query(sql));
  std::set<uint32_t> with_primary;
  for (const std::vector<Value>& row : rows) {
    const auto table = tables->find(Oid(row[0]));
    if (table == tables->end()) continue;
    const bool primary = IsTrue(row[1]);
    if (primary) with_primary.insert(table->first);
    if (primary || !with_primary.contains(table->first)) {
      table->second.info.shape.key.push_back(Text(row[2]));
    }
  }
  return Status::Ok();
}

TableName RootOf(const Tables& tables, const Found& found) {
  const Found* at = &found;
  for (auto up = tables.find(at->parent); up != tables.end(); up = tables.find(at->parent)) {
    at = &up->second;
  }
  return at->info.shape.name;
}

std::string Qualified(const Connection& connection, const TableName& name) {
  return connection.QuoteIdent(name.schema) + "." + connection.QuoteIdent(name.table);
}

// last_value and is_called stand in the sequence itself only.
Status ReadSequenceStates(Connection* connection, std::vector<SequenceInfo>* sequences) {
  for (size_t from = 0; from < sequences->size(); from += kSequencesPerQuery) {
    const size_t to = std::min(from + kSequencesPerQuery, sequences->size());
    std::string sql;
    for (size_t i = from; i < to; ++i) {
      if (i > from) sql += " UNION ALL ";
      sql += "SELECT " + std::to_string(i) + ", last_value, is_called FROM " +
             Qualified(*connection, (*sequences)[i].name);
    }
    ASSIGN_OR_RETURN(const Rows rows, connection->Query(sql));
    for (const std::vector<Value>& row : rows) {
      const size_t i = Oid(row[0]);
      if (i < from || i >= to) continue;
      (*sequences)[i].state = {Text(row[1]), IsTrue(row[2])};
    }
  }
  return Status::Ok();
}

// Tarjan's strongly connected components over child -> parent; a component comes out after those
// of its parents, so parents come first, and a cycle comes out together.
class Components {
 public:
  explicit Components(std::map<TableName, std::set<TableName>> parents)
      : parents_(std::move(parents)) {}

  std::vector<TableName> Order() {
    for (const auto& [table, parents] : parents_) {
      if (!visited_.contains(table)) Visit(table);
    }
    return std::move(order_);
  }

 private:
  struct State {
    size_t number = 0;
    size_t lowest = 0;
    bool open = true;
  };

  State& Visit(const TableName& table) {
    State& state = visited_[table];  // a map's entries stay where they are
    state.number = state.lowest = visited_.size();
    stack_.push_back(table);
    for (const TableName& parent : parents_.at(table)) {
      const auto seen = visited_.find(parent);
      if (seen == visited_.end()) {
        state.lowest = std::min(state.lowest, Visit(parent).lowest);
      } else if (seen->second.open) {
        state.lowest = std::min(state.lowest, seen->second.number);
      }
    }
    if (state.lowest == state.number) Close(table);
    return state;
  }

  void Close(const TableName& table) {
    std::set<TableName> component;
    do {
      component.insert(stack_.back());
      visited_[stack_.back()].open = false;
      stack_.pop_back();
    } while (!component.contains(table));
    order_.insert(order_.end(), component.begin(), component.end());
  }

  const std::map<TableName, std::set<TableName>> parents_;
  std::map<TableName, State> visited_;
  std::vector<TableName> stack_;
  std::vector<TableName> order_;
};

}  // namespace

Result<std::vector<TableInfo>> ListTables(Connection* connection) {
  Tables found;
  RETURN_IF_ERROR(ReadTables(connection, &found).Prepend("list tables"));
  RETURN_IF_ERROR(ReadColumns(connection, &found).Prepend("list columns"));
  RETURN_IF_ERROR(ReadKeys(connection, &found).Prepend("list keys"));
  RETURN_IF_ERROR(ReadEnums(connection, &found).Prepend("list enums"));
  std::vector<TableInfo> tables;
  tables.reserve(found.size());
  for (auto& [oid, table] : found) table.info.shape.root = RootOf(found, table);
  for (auto& [oid, table] : found) tables.push_back(std::move(table.info));
  std::sort(tables.begin(), tables.end(),
            [](const TableInfo& a, const TableInfo& b) { return a.shape.name < b.shape.name; });
  return tables;
}

Result<std::vector<SequenceInfo>> ListSequences(Connection* connection) {
  const std::string sql =
      std::string(
          "SELECT n.nspname, c.relname, tn.nspname, t.relname, a.attname "
          "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
          "LEFT JOIN pg_catalog.pg_depend d "
          "ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid "
          "AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
          "AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 "
          "LEFT JOIN pg_catalog.pg_class t ON t.oid = d.refobjid "
          "LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace "
          "LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid "
          "WHERE c.relkind = 'S' AND ") +
      kOurs;
  ASSIGN_OR_RETURN(const Rows rows, connection->Query(sql));
  std::vector<SequenceInfo> sequences;
  sequences.reserve(rows.size());
  for (const std::vector<Value>& row : rows) {
    SequenceInfo& sequence = sequences.emplace_back();
    sequence.name = {Text(row[0]), Text(row[1])};
    sequence.table = {Text(row[2]), Text(row[3])};
    sequence.column = Text(row[4]);
  }
  std::sort(sequences.begin(), sequences.end(),
            [](const SequenceInfo& a, const SequenceInfo& b) { return a.name < b.name; });
  RETURN_IF_ERROR(ReadSequenceStates(connection, &sequences).Prepend("read sequences"));
  return sequences;
}

Result<std::set<uint32_t>> ListRewritten(Connection* connection) {
  // The function answers for now, the catalog's rows for the snapshot.
  ASSIGN_OR_RETURN(const Rows rows,
                   connection->Query("SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'r' AND "
                                     "relfilenode <> 0 AND relfilenode IS DISTINCT FROM "
                                     "pg_catalog.pg_relation_filenode(oid)"));
  std::set<uint32_t> rewritten;
  for (const std::vector<Value>& row : rows) rewritten.insert(Oid(row[0]));
  return rewritten;
}

Result<std::vector<ForeignKey>> ListForeignKeys(Connection* connection) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      connection->Query(
          "SELECT f.oid, cn.nspname, c.relname, pn.nspname, p.relname, ca.attname, pa.attname "
          "FROM pg_catalog.pg_constraint f "
          "JOIN pg_catalog.pg_class c ON c.oid = f.conrelid "
          "JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace "
          "JOIN pg_catalog.pg_class p ON p.oid = f.confrelid "
          "JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace "
          // Not qualified: with two arrays it is syntax, not a function.
          "CROSS JOIN LATERAL unnest(f.conkey, f.confkey) "
          "WITH ORDINALITY AS k(child, parent, place) "
          "JOIN pg_catalog.pg_attribute ca ON ca.attrelid = c.oid AND ca.attnum = k.child "
          "JOIN pg_catalog.pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = k.parent "
          "WHERE f.contype = 'f' "
          "ORDER BY cn.nspname, c.relname, f.conname, f.oid, k.place"));
  std::vector<ForeignKey> keys;
  uint32_t last = 0;
  for (const std::vector<Value>& row : rows) {
    if (keys.empty() || Oid(row[0]) != last) {
      keys.push_back({{Text(row[1]), Text(row[2])}, {Text(row[3]), Text(row[4])}, {}, {}});
    }
    last = Oid(row[0]);
    keys.back().child_columns.push_back(Text(row[5]));
    keys.back().parent_columns.push_back(Text(row[6]));
  }
  return keys;
}

std::vector<TableName> ParentsFirst(std::vector<TableName> tables,
                                    const std::vector<ForeignKey>& keys) {
  std::map<TableName, std::set<TableName>> parents;
  for (TableName& table : tables) parents[std::move(table)];
  for (const ForeignKey& key : keys) {
    if (key.child == key.parent || !parents.contains(key.parent)) continue;
    if (const auto child = parents.find(key.child); child != parents.end()) {
      child->second.insert(key.parent);
    }
  }
  return Components(std::move(parents)).Order();
}

}  // namespace kembar::postgres
