// audit.cc — see audit.h.
#include "tools/restore/audit.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "tools/postgres/catalog.h"
#include "tools/postgres/replication.h"
#include "tools/restore/sql.h"
#include "tools/restore/transaction.h"

namespace kembar::restore {
namespace {

using Json = nlohmann::json;

constexpr int kPollMs = 200;
constexpr int kSnapshotsMax = 10;

// The slot goes with the connection.
Result<postgres::CreatedSlot> MakeSlot(postgres::ReplicationStream* stream,
                                       const client::Deadline& deadline) {
  RETURN_IF_ERROR(stream->BeginCreateSlot({.name = "kembar_audit_" + std::to_string(getpid()),
                                           .temporary = true,
                                           .export_snapshot = true}));
  while (!deadline.expired()) {
    ASSIGN_OR_RETURN(std::optional<postgres::CreatedSlot> slot, stream->PollCreatedSlot(kPollMs));
    if (slot) return *std::move(slot);
  }
  return Status(Code::kTimeout, "the server did not come to a consistent point",
                "a transaction there has been open for long: see pg_stat_activity");
}

// One committed change, so that the capture has something to pass on that ends after the snapshot.
// Does not wait for a synchronous standby: that may be the capture itself.
Status Nudge(const std::string& dsn) {
  ASSIGN_OR_RETURN(const auto connection, postgres::Connection::Open({.dsn = dsn}));
  RETURN_IF_ERROR(connection->Execute("SET synchronous_commit = local"));
  ASSIGN_OR_RETURN(const postgres::Rows canary,
                   connection->Query("SELECT 1 WHERE to_regclass('kembar.canary') IS NOT NULL"));
  if (!canary.empty()) {
    return connection
        ->Execute(
            "INSERT INTO kembar.canary (source, at) VALUES ('audit', clock_timestamp())"
            " ON CONFLICT (source) DO UPDATE SET at = excluded.at")
        .Prepend("write the canary");
  }
  // Not seen by every version's pgoutput; then the source's own work must move the log on.
  return connection->Execute("SELECT pg_logical_emit_message(true, 'kembar', 'audit')");
}

// The transaction takes the snapshot of a temporary slot; gives its LSN. The slot then only keeps
// WAL, and goes.
Result<capture::Lsn> TakeSnapshot(postgres::Connection* connection, Transaction* transaction,
                                  const std::string& dsn, const client::Deadline& deadline) {
  postgres::ConnectOptions connect{.dsn = dsn};
  connect.application_name = "kembarctl audit";
  ASSIGN_OR_RETURN(const auto stream, postgres::ReplicationStream::Open(connect));
  ASSIGN_OR_RETURN(const postgres::CreatedSlot slot, MakeSlot(stream.get(), deadline));
  RETURN_IF_ERROR(transaction->Begin("ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  RETURN_IF_ERROR(
      connection->Execute("SET TRANSACTION SNAPSHOT " + connection->QuoteLiteral(slot.snapshot)));
  return slot.consistent_point;
}

// Whether the snapshot shows the rows of all tables. From then on they are locked against what
// would take them from it.
Result<bool> LockWhole(postgres::Connection* connection) {
  ASSIGN_OR_RETURN(const std::vector<postgres::TableInfo> tables, postgres::ListTables(connection));
  std::string list;
  for (const postgres::TableInfo& table : tables) {
    if (!table.has_rows) continue;
    list += (list.empty() ? "ONLY " : ", ONLY ") + QuoteTable(*connection, table.shape.name);
  }
  constexpr std::string_view kUndefinedTable = "42P01";
  if (!list.empty()) {
    const Status locked = connection->Execute("LOCK TABLE " + list + " IN ACCESS SHARE MODE");
    if (!locked.ok() && connection->sqlstate() == kUndefinedTable) return false;  // dropped since
    RETURN_IF_ERROR(locked.Prepend("lock the tables"));
  }
  ASSIGN_OR_RETURN(const std::set<uint32_t> rewritten, postgres::ListRewritten(connection));
  return std::none_of(tables.begin(), tables.end(), [&rewritten](const postgres::TableInfo& table) {
    return rewritten.contains(table.oid);
  });
}

Status WaitForLog(LogReader* log, const std::string& source, capture::Lsn lsn,
                  const client::Deadline& deadline) {
  client::Backoff backoff{client::Millis(50), client::Millis(500)};
  for (;;) {
    ASSIGN_OR_RETURN(const Boundary newest, FindBoundary(log, v1::AsOf(), source));
    if (newest.marker.lsn >= lsn) return {};
    if (!backoff.Wait(deadline)) {
      return Status(Code::kTimeout,
                    "the log of source " + source + " stands at " +
                        capture::FormatLsn(newest.marker.lsn) +
                        " and did not get past the snapshot at " + capture::FormatLsn(lsn),
                    "is kembar-agent running? a busy source needs a longer --timeout");
    }
  }
}

bool SaysEqual(const Json& checked) {
  const auto equal = checked.find("equal");
  return equal != checked.end() && equal->is_boolean() && equal->get<bool>();
}

std::string NameOf(const Json& table) {
  const auto name = table.find("name");
  return name != table.end() && name->is_string() ? name->get<std::string>() : "?";
}

}  // namespace

Result<std::vector<RecordedAudit>> ReadAudits(LogReader* log, const std::string& source) {
  std::vector<RecordedAudit> audits;
  const ItemQuery query{.package = "-", .item_prefix = "audit/", .with_payload = true};
  RETURN_IF_ERROR(log->List(query, [&](Version version) {
    const capture::ItemName name = capture::ParseItem(version.item);
    if (version.deleted || name.kind != capture::ItemKind::kAudit) return Status::Ok();
    if (!source.empty() && name.key != source) return Status::Ok();
    audits.push_back({name.key, version.index, version.time_us, std::move(version.payload)});
    return Status::Ok();
  }));
  return audits;
}

Result<std::set<std::string>> CapturedDatabases(LogReader* log) {
  std::set<std::string> sources;
  const ItemQuery query{.package = "-", .item_prefix = "transaction/"};
  RETURN_IF_ERROR(log->List(query, [&sources](const Version& version) {
    capture::ItemName name = capture::ParseItem(version.item);
    if (!version.deleted && name.kind == capture::ItemKind::kTransaction) {
      sources.insert(std::move(name.key));
    }
    return Status::Ok();
  }));
  return sources;
}

std::vector<std::string> TroublesOf(const RecordedAudit& audit) {
  const Json payload = Json::parse(audit.payload, nullptr, false);
  const auto tables = payload.find("tables");
  const auto files = payload.find("files");
  const bool has_tables = tables != payload.end();
  const bool has_files = files != payload.end();
  const bool odd = (has_tables && !tables->is_array()) || (has_files && !files->is_object());
  // A database's audit is of tables, a directory's of files.
  const bool lacks = (audit.source.starts_with("postgres/") && !has_tables) ||
                     (audit.source.starts_with("documents/") && !has_files);
  if (odd || lacks || (!has_tables && !has_files)) {
    return {"the audit of " + audit.source + " cannot be read"};
  }
  std::vector<std::string> troubles;
  if (has_tables) {
    for (const Json& table : *tables) {
      if (!SaysEqual(table)) troubles.push_back("table " + NameOf(table) + " is not equal");
    }
  }
  if (has_files && !SaysEqual(*files)) {
    troubles.push_back("the files of " + audit.source + " are not equal");
  }
  return troubles;
}

Result<Audit> AuditSource(LogReader* log, const AuditOptions& options, const OnProgress& progress) {
  ASSIGN_OR_RETURN(const Boundary newest, FindBoundary(log, v1::AsOf(), options.source));
  const client::Deadline deadline = client::Deadline::After(options.timeout);
  Audit audit;
  ASSIGN_OR_RETURN(const auto connection, postgres::Connection::Open({.dsn = options.dsn}));
  std::optional<Transaction> transaction;
  bool whole = false;
  for (int tries = 0; !whole; ++tries) {
    if (tries == kSnapshotsMax) {
      return Status(Code::kUnavailable, "tables are truncated or rewritten all the time",
                    "run it again when the source is quieter");
    }
    transaction.emplace(connection.get());
    ASSIGN_OR_RETURN(audit.lsn,
                     TakeSnapshot(connection.get(), &*transaction, options.dsn, deadline));
    RETURN_IF_ERROR(Nudge(options.dsn));
    // Before anything is locked: the agent may have to lock tables itself to get there, behind a
    // TRUNCATE that waits for us.
    RETURN_IF_ERROR(WaitForLog(log, newest.source, audit.lsn, deadline));
    ASSIGN_OR_RETURN(whole, LockWhole(connection.get()));
  }
  ASSIGN_OR_RETURN(const Boundary boundary, FindBoundaryAtLsn(log, newest.source, audit.lsn));
  ASSIGN_OR_RETURN(const Captured captured, ReadCaptured(log, boundary));
  ASSIGN_OR_RETURN(audit.report,
                   CompareDatabase(connection.get(), log, boundary, captured, {}, progress));
  return audit;
}

}  // namespace kembar::restore
