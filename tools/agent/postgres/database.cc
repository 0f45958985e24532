// database.cc — see database.h.
#include "tools/agent/postgres/database.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace kembar::agent {
namespace {

using postgres::Rows;
using postgres::Value;

constexpr int kVersionMin = 100'000;
constexpr int kVersionWalStatus = 130'000;
constexpr size_t kNamesMax = 20;

const std::string& Text(const Value& value) {
  static const std::string empty;
  return value ? *value : empty;
}

uint64_t Number(const Value& value) {
  const std::string& text = Text(value);
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Lsn LsnOf(const Value& value) {
  const Result<Lsn> lsn = capture::ParseLsn(Text(value));
  return lsn.ok() ? *lsn : 0;
}

// Whether the server identifies a row of the table in updates and deletes by what we call its key.
bool Identifies(const postgres::TableInfo& table) {
  switch (table.replica_identity) {
    case 'f': return true;
    case 'd':
    case 'i': return !table.shape.key.empty();
    default: return false;
  }
}

}  // namespace

std::string NamesText(const std::vector<TableName>& tables) {
  std::string text;
  for (size_t i = 0; i < tables.size() && i < kNamesMax; ++i) {
    text += (i == 0 ? "" : ", ") + tables[i].Display();
  }
  if (tables.size() > kNamesMax) {
    text += " and " + std::to_string(tables.size() - kNamesMax) + " more";
  }
  return text;
}

bool Inventory::Has(const TableName& table) const {
  return std::any_of(captured.begin(), captured.end(),
                     [&](const postgres::TableInfo& info) { return info.shape.name == table; });
}

postgres::ConnectOptions Database::Options(const PostgresConfig& config, const std::string& role) {
  // Only the stream bears the plain name: nothing else must look like the synchronous standby.
  return {.dsn = config.dsn,
          .application_name =
              role.empty() ? config.application_name : config.application_name + "-" + role};
}

Result<std::unique_ptr<Database>> Database::Open(const PostgresConfig& config) {
  ASSIGN_OR_RETURN(auto connection, postgres::Connection::Open(Options(config, "agent")));
  RETURN_IF_ERROR(connection->Execute("SET synchronous_commit = 'local'; SET lock_timeout = '5s'"));
  return std::unique_ptr<Database>(new Database(config, std::move(connection)));
}

Status Database::Check() {
  const std::string& where = connection_->where();
  if (connection_->server_version() < kVersionMin) {
    return Status(Code::kInvalid, where + ": the server is older than PostgreSQL 10");
  }
  ASSIGN_OR_RETURN(
      const Rows rows,
      connection_->Query("SELECT current_setting('wal_level'), rolreplication OR rolsuper, "
                         "has_database_privilege(current_database(), 'CREATE'), current_user, "
                         "pg_catalog.pg_is_in_recovery() "
                         "FROM pg_catalog.pg_roles WHERE rolname = current_user"));
  if (rows.empty()) return Status(Code::kInvalid, where + ": the role is not in pg_roles");
  const std::vector<Value>& row = rows[0];
  if (Text(row[4]) == "t") {
    return Status(Code::kUnavailable, where + ": the server is a standby",
                  "capture from the primary server");
  }
  if (Text(row[0]) != "logical") {
    return Status(Code::kInvalid, where + ": wal_level is " + Text(row[0]) + ", not logical",
                  "ALTER SYSTEM SET wal_level = 'logical'; then restart the server");
  }
  if (Text(row[1]) != "t") {
    return Status(Code::kInvalid, where + ": role " + Text(row[3]) + " may not replicate",
                  "ALTER ROLE " + connection_->QuoteIdent(Text(row[3])) + " REPLICATION");
  }
  return Status::Ok();
}

Result<Inventory> ReadInventory(postgres::Connection* connection, const PostgresConfig& config) {
  ASSIGN_OR_RETURN(std::vector<postgres::TableInfo> tables, postgres::ListTables(connection));
  // Tables that the server identifies by another index than the primary key.
  ASSIGN_OR_RETURN(
      const Rows odd,
      connection->Query("SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relreplident = 'i' AND "
                        "EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid "
                        "AND i.indisprimary AND i.indimmediate AND NOT i.indisreplident)"));
  std::set<uint64_t> by_other_index;
  for (const std::vector<Value>& row : odd) by_other_index.insert(Number(row[0]));
  Inventory inventory;
  for (postgres::TableInfo& table : tables) {
    const TableName& name = table.shape.name;
    const bool canary = name == kCanaryTable && config.canary_every_s > 0;
    if (!table.has_rows || (!Captures(config, name) && !canary)) continue;
    if (table.unlogged) {
      inventory.unlogged.push_back(name);
    } else if (!Identifies(table) || by_other_index.contains(table.oid)) {
      inventory.without_identity.push_back(name);
    } else {
      inventory.captured.push_back(std::move(table));
    }
  }
  return inventory;
}

std::string Database::Qualified(const TableName& table) const {
  return connection_->QuoteIdent(table.schema) + "." + connection_->QuoteIdent(table.table);
}

Status Database::SetReplicaIdentityFull(const std::vector<TableName>& tables) {
  for (const TableName& table : tables) {
    const Status status =
        connection_->Execute("ALTER TABLE ONLY " + Qualified(table) + " REPLICA IDENTITY FULL");
    RETURN_IF_ERROR(status.Prepend("set the replica identity of " + table.Display()));
  }
  return Status::Ok();
}

Result<std::vector<TableName>> Database::PreparePublication(
    const std::vector<postgres::TableInfo>& tables) {
  const std::string name = connection_->QuoteIdent(config_.publication);
  const std::array<postgres::ValueView, 1> parameters = {config_.publication};
  ASSIGN_OR_RETURN(const Rows found,
                   connection_->Query("SELECT puballtables, pubinsert AND pubupdate AND pubdelete "
                                      "FROM pg_catalog.pg_publication WHERE pubname = $1",
                                      parameters));
  std::vector<TableName> added;
  if (found.empty()) {
    std::string list;
    for (const postgres::TableInfo& table : tables) {
      added.push_back(table.shape.name);
      list += (list.empty() ? " FOR TABLE ONLY " : ", ONLY ") + Qualified(table.shape.name);
    }
    const Status status = connection_->Execute("CREATE PUBLICATION " + name + list);
    RETURN_IF_ERROR(status.Prepend("create publication " + config_.publication));
    return added;
  }
  if (Text(found[0][0]) == "t" || Text(found[0][1]) != "t") {
    return Status(Code::kInvalid,
                  connection_->where() + ": publication " + config_.publication +
                      " is not ours: it is for all tables, or leaves changes out",
                  "drop it, or set postgres.publication to another name");
  }
  ASSIGN_OR_RETURN(const Rows members,
                   connection_->Query("SELECT n.nspname, c.relname FROM pg_publication p "
                                      "JOIN pg_publication_rel r ON r.prpubid = p.oid "
                                      "JOIN pg_class c ON c.oid = r.prrelid "
                                      "JOIN pg_namespace n ON n.oid = c.relnamespace "
                                      "WHERE p.pubname = $1",
                                      parameters));
  std::set<TableName> published;
  for (const std::vector<Value>& row : members) published.insert({Text(row[0]), Text(row[1])});
  std::string add;
  for (const postgres::TableInfo& table : tables) {
    if (published.erase(table.shape.name) > 0) continue;
    added.push_back(table.shape.name);
    add += (add.empty() ? "" : ", ONLY ") + Qualified(table.shape.name);
  }
  std::string drop;
  for (const TableName& table : published) {
    drop += (drop.empty() ? "" : ", ONLY ") + Qualified(table);
  }
  const std::string alter = "ALTER PUBLICATION " + name;
  if (!add.empty()) RETURN_IF_ERROR(connection_->Execute(alter + " ADD TABLE ONLY " + add));
  if (!drop.empty()) RETURN_IF_ERROR(connection_->Execute(alter + " DROP TABLE ONLY " + drop));
  return added;
}

Status Database::PrepareCanary() {
  ASSIGN_OR_RETURN(const Rows found,
                   connection_->Query("SELECT pg_catalog.to_regclass('kembar.canary')"));
  if (!found.empty() && found[0][0]) return Status::Ok();
  return connection_->Execute(
      "CREATE SCHEMA IF NOT EXISTS kembar; "
      "CREATE TABLE IF NOT EXISTS kembar.canary (source text PRIMARY KEY, at timestamptz NOT "
      "NULL); "
      "COMMENT ON TABLE kembar.canary IS 'written by kembar-agent: how fresh is the copy?'");
}

Status Database::WriteCanary() {
  const std::array<postgres::ValueView, 1> parameters = {config_.name};
  return connection_->Execute(
      "INSERT INTO kembar.canary (source, at) VALUES ($1, pg_catalog.clock_timestamp()) "
      "ON CONFLICT (source) DO UPDATE SET at = excluded.at",
      parameters);
}

Result<bool> Database::CanaryIsOlder(const std::string& at) {
  ASSIGN_OR_RETURN(const Rows found,
                   connection_->Query("SELECT pg_catalog.to_regclass('kembar.canary')"));
  // Without its table nothing is known: somebody may have dropped it.
  if (found.empty() || !found[0][0]) return false;
  const std::array<postgres::ValueView, 2> parameters = {config_.name, at};
  ASSIGN_OR_RETURN(const Rows rows,
                   connection_->Query("SELECT 1 FROM kembar.canary "
                                      "WHERE source = $1 AND at >= $2::timestamptz",
                                      parameters));
  return rows.empty();
}

Result<std::optional<SlotState>> Database::ReadSlot() {
  const bool wal_status = connection_->server_version() >= kVersionWalStatus;
  const std::array<postgres::ValueView, 1> parameters = {config_.slot};
  std::string sql =
      "SELECT plugin, database = current_database(), active, confirmed_flush_lsn, "
      "pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)::bigint, ";
  sql += wal_status ? "wal_status" : "'reserved'";
  sql += " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
  ASSIGN_OR_RETURN(const Rows rows, connection_->Query(sql, parameters));
  if (rows.empty()) return std::optional<SlotState>();
  const std::vector<Value>& row = rows[0];
  if (Text(row[0]) != "pgoutput" || Text(row[1]) != "t") {
    return Status(Code::kInvalid,
                  connection_->where() + ": slot " + config_.slot +
                      " is not ours: it is of another plugin or another database",
                  "set postgres.slot to another name");
  }
  SlotState state{
      .active = Text(row[2]) == "t", .confirmed = LsnOf(row[3]), .retained_bytes = Number(row[4])};
  if (Text(row[5]) == "lost" || !row[4]) {
    state.usable = false;
    state.why_not = "the server has removed WAL that it needs (max_slot_wal_keep_size)";
  }
  return std::optional<SlotState>(std::move(state));
}

Status Database::DropSlot() {
  const std::array<postgres::ValueView, 1> parameters = {config_.slot};
  return connection_->Execute("SELECT pg_catalog.pg_drop_replication_slot($1)", parameters);
}

Result<ServerState> Database::ReadServer() {
  ServerState state;
  ASSIGN_OR_RETURN(state.slot, ReadSlot());
  const std::array<postgres::ValueView, 1> parameters = {config_.slot};
  ASSIGN_OR_RETURN(
      const Rows rows,
      connection_->Query("SELECT pg_catalog.pg_current_wal_lsn(), EXISTS (SELECT 1 "
                         "FROM pg_catalog.pg_stat_replication r "
                         "JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid "
                         "WHERE s.slot_name = $1 AND r.sync_state <> 'async')",
                         parameters));
  if (rows.size() == 1) {
    state.wal = LsnOf(rows[0][0]);
    state.synchronous = Text(rows[0][1]) == "t";
  }
  return state;
}

Result<std::vector<std::string>> Database::TypeNames(const postgres::RelationMessage& relation) {
  std::string oids = "{";
  std::string modifiers = "{";
  for (const postgres::RelationColumn& column : relation.columns) {
    if (oids.size() > 1) {
      oids += ',';
      modifiers += ',';
    }
    oids += std::to_string(column.type_oid);
    modifiers += std::to_string(column.type_modifier);
  }
  oids += '}';
  modifiers += '}';
  const std::array<postgres::ValueView, 2> parameters = {oids, modifiers};
  ASSIGN_OR_RETURN(const Rows rows,
                   connection_->Query("SELECT pg_catalog.format_type(t, m) FROM "
                                      "ROWS FROM (pg_catalog.unnest($1::oid[]), "
                                      "pg_catalog.unnest($2::int4[])) WITH ORDINALITY "
                                      "AS u(t, m, n) ORDER BY n",
                                      parameters));
  std::vector<std::string> names;
  for (const std::vector<Value>& row : rows) names.push_back(Text(row[0]));
  names.resize(relation.columns.size(), "???");
  return names;
}

Result<std::optional<capture::TableShape>> Database::VisibleShape(uint32_t oid) {
  ASSIGN_OR_RETURN(const std::vector<postgres::TableInfo> tables,
                   postgres::ListTables(connection_.get()));
  for (const postgres::TableInfo& table : tables) {
    if (table.oid == oid) return std::optional<capture::TableShape>(table.shape);
  }
  return std::optional<capture::TableShape>();
}

}  // namespace kembar::agent
