// sink_database.cc — see sink_database.h.
#include "tools/restore/sink_database.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

namespace kembar::restore {
namespace {

// "kembar" as a number: one sink at a time works on a database.
constexpr char kLock[] = "SELECT pg_try_advisory_lock(118016253682034)";

// The names after CREATE SCHEMA, as the dump writes them.
std::set<std::string> SchemasMade(const std::string& sql) {
  constexpr std::string_view kMake = "CREATE SCHEMA ";
  std::set<std::string> names;
  for (size_t at = 0; at < sql.size();) {
    const size_t end = std::min(sql.find('\n', at), sql.size());
    std::string_view line = std::string_view(sql).substr(at, end - at);
    if (line.starts_with(kMake) && line.ends_with(";")) {
      line.remove_prefix(kMake.size());
      names.emplace(line.substr(0, line.size() - 1));
    }
    at = end + 1;
  }
  return names;
}

// The table or its schema is not there.
bool IsMissing(std::string_view sqlstate) { return sqlstate == "42P01" || sqlstate == "3F000"; }

}  // namespace

SinkPosition SinkPosition::Of(const Boundary& boundary) {
  return {.index = boundary.index, .lsn = capture::FormatLsn(boundary.marker.lsn)};
}

Result<std::unique_ptr<postgres::Connection>> ConnectStandby(const std::string& dsn) {
  ASSIGN_OR_RETURN(auto connection,
                   postgres::Connection::Open({.dsn = dsn, .application_name = "kembar-sink"}));
  ASSIGN_OR_RETURN(const postgres::Rows lock, connection->Query(kLock));
  if (lock.empty() || lock[0][0] != "t") {
    return Status(Code::kUnavailable, connection->where() + ": another sink works on it");
  }
  const Status role = connection->Execute("SET session_replication_role = replica");
  if (!role.ok()) {
    return Status(Code::kUnavailable, role.message(),
                  "the sink's user must be superuser, or since PostgreSQL 15: GRANT SET ON "
                  "PARAMETER session_replication_role TO it");
  }
  // What a crash of the server takes is applied again: the position goes with it.
  RETURN_IF_ERROR(connection->Execute("SET synchronous_commit = off"));
  return connection;
}

Result<std::optional<SinkPosition>> ReadPosition(postgres::Connection* connection,
                                                 const std::string& source) {
  ASSIGN_OR_RETURN(
      const postgres::Rows there,
      connection->Query("SELECT 1 WHERE to_regclass('kembar.sink_position') IS NOT NULL"));
  if (there.empty()) return std::optional<SinkPosition>();
  const capture::ValueView parameters[] = {source};
  ASSIGN_OR_RETURN(
      const postgres::Rows rows,
      connection->Query("SELECT log_index, lsn FROM kembar.sink_position WHERE source = $1",
                        parameters));
  if (rows.empty()) return std::optional<SinkPosition>();
  SinkPosition position{.lsn = rows[0][1].value_or("")};
  const std::string index = rows[0][0].value_or("");
  std::from_chars(index.data(), index.data() + index.size(), position.index);
  return std::optional<SinkPosition>(position);
}

Status MakePosition(postgres::Connection* connection, const Boundary& boundary) {
  RETURN_IF_ERROR(connection->Execute(
      "CREATE SCHEMA IF NOT EXISTS kembar; CREATE TABLE IF NOT EXISTS kembar.sink_position"
      " (source text PRIMARY KEY, log_index bigint NOT NULL, lsn text NOT NULL,"
      " committed timestamptz, applied timestamptz NOT NULL)"));
  const std::string index = std::to_string(boundary.index);
  const std::string lsn = capture::FormatLsn(boundary.marker.lsn);
  const std::string micros = std::to_string(boundary.time_us);
  const capture::ValueView parameters[] = {boundary.source, index, lsn, micros};
  return connection->Execute(
      "INSERT INTO kembar.sink_position (source, log_index, lsn, committed, applied) VALUES"
      " ($1, $2, $3, to_timestamp($4::numeric / 1000000), clock_timestamp()) ON CONFLICT (source)"
      " DO UPDATE SET log_index = excluded.log_index, lsn = excluded.lsn,"
      " committed = excluded.committed, applied = excluded.applied",
      parameters);
}

Status MovePosition(postgres::Connection* connection, const SinkPosition& from,
                    const Boundary& boundary) {
  const std::string index = std::to_string(boundary.index);
  const std::string lsn = capture::FormatLsn(boundary.marker.lsn);
  const std::string micros = std::to_string(boundary.time_us);
  const std::string before = std::to_string(from.index);
  const capture::ValueView parameters[] = {boundary.source, index, lsn, micros, before};
  const Result<postgres::Rows> moved = connection->Query(
      "UPDATE kembar.sink_position SET log_index = $2, lsn = $3,"
      " committed = to_timestamp($4::numeric / 1000000), applied = clock_timestamp()"
      " WHERE source = $1 AND log_index = $5 RETURNING 1",
      parameters);
  if (!moved.ok() && !IsMissing(connection->sqlstate())) return moved.status();
  if (moved.ok() && moved->size() == 1) return {};
  return Status(Code::kPrecondition,
                connection->where() +
                    ": kembar.sink_position no longer says that the database "
                    "stands at index " +
                    before + ": it was taken away from the sink",
                "end this sink; a new standby begins with an empty database");
}

Status DropCaptured(postgres::Connection* connection, const Captured& before,
                    const Captured& after) {
  std::set<std::string> schemas = SchemasMade(before.pre_data);
  schemas.merge(SchemasMade(after.pre_data));
  for (const Captured* captured : {&before, &after}) {
    for (const std::string& schema : captured->Schemas()) {
      if (schema != "public") schemas.insert(connection->QuoteIdent(schema));
    }
  }
  for (const std::string& schema : schemas) {
    RETURN_IF_ERROR(connection->Execute("DROP SCHEMA IF EXISTS " + schema + " CASCADE"));
  }
  // The dump takes it for granted, and its privileges too.
  if (!schemas.contains("public")) {
    RETURN_IF_ERROR(
        connection->Execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; "
                            "GRANT USAGE ON SCHEMA public TO PUBLIC"));
  }
  // They belong to no schema, and nobody else may write here.
  return connection->Execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata");
}

}  // namespace kembar::restore
