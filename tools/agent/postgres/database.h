// database.h — what the agent asks of the captured server, and what it sets up there: publication,
// replica identities, canary, slot.
//
// One ordinary connection. Nothing it commits waits for a synchronous standby, which may be this
// very agent, and no lock is waited for longer than five seconds.
//
// Thread-safety: none; belongs to the thread of its session.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/agent/config.h"
#include "tools/capture/facts.h"
#include "tools/postgres/catalog.h"
#include "tools/postgres/connection.h"
#include "tools/postgres/pgoutput.h"

namespace kembar::agent {

using capture::Lsn;
using capture::TableName;

inline const TableName kCanaryTable{"kembar", "canary"};

// The tables to capture, and those that can't be.
struct Inventory {
  std::vector<postgres::TableInfo> captured;
  std::vector<TableName> without_identity;  // no key and no REPLICA IDENTITY FULL
  std::vector<TableName> unlogged;

  bool Has(const TableName& table) const;
};

struct SlotState {
  bool usable = true;  // of pgoutput, in this database, and its WAL is still there
  std::string why_not;
  bool active = false;
  Lsn confirmed = 0;
  uint64_t retained_bytes = 0;
};

struct ServerState {
  Lsn wal = 0;  // written
  std::optional<SlotState> slot;
  bool synchronous = false;  // commits wait for the slot's standby
};

class Database {
 public:
  static Result<std::unique_ptr<Database>> Open(const PostgresConfig& config);

  // Version, wal_level, privileges. kInvalid names what to set.
  Status Check();
  Status SetReplicaIdentityFull(const std::vector<TableName>& tables);
  // Makes the publication, or takes tables in and out, so that it has just these. Returns those
  // that were taken in: what happened to them before was not sent.
  Result<std::vector<TableName>> PreparePublication(const std::vector<postgres::TableInfo>& tables);
  // Schema and table of the canary. Not OK: it may not.
  Status PrepareCanary();
  Status WriteCanary();
  // Whether the canary that the server has is older than `at`, or gone while its table is there.
  Result<bool> CanaryIsOlder(const std::string& at);

  Result<std::optional<SlotState>> ReadSlot();
  Status DropSlot();
  Result<ServerState> ReadServer();

  Result<std::vector<std::string>> TypeNames(const postgres::RelationMessage& relation);
  Result<std::optional<capture::TableShape>> VisibleShape(uint32_t oid);
  postgres::Connection* connection() { return connection_.get(); }

  static postgres::ConnectOptions Options(const PostgresConfig& config, const std::string& role);

 private:
  Database(const PostgresConfig& config, std::unique_ptr<postgres::Connection> connection)
      : config_(config), connection_(std::move(connection)) {}
  std::string Qualified(const TableName& table) const;

  const PostgresConfig& config_;
  std::unique_ptr<postgres::Connection> connection_;
};

// What `connection` sees: now, or in its snapshot.
Result<Inventory> ReadInventory(postgres::Connection* connection, const PostgresConfig& config);

// "public.a, public.b and 3 more": for messages.
std::string NamesText(const std::vector<TableName>& tables);

}  // namespace kembar::agent
