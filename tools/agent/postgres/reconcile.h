// reconcile.h — makes the log equal to a snapshot of the database, or says how they differ
// (docs/capture.md, "Reconciliation").
//
// The caller has brought the log to the snapshot's LSN or beyond, and keeps the stream still
// meanwhile; what is newer in the log than in the snapshot is left alone (touches.h).
// Memory: some 200 bytes for each row of the largest table.
//
// Thread-safety: none; used by the thread of its session.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tools/agent/postgres/captured_state.h"
#include "tools/agent/postgres/log_client.h"
#include "tools/agent/postgres/part_writer.h"
#include "tools/agent/postgres/touches.h"
#include "tools/postgres/catalog.h"
#include "tools/postgres/connection.h"

namespace kembar::agent {

struct TableDifference {
  TableName table;
  uint64_t rows = 0;               // in the database
  uint64_t missing = 0;            // in the log
  uint64_t extra = 0;              // in the log, not in the database
  uint64_t differing = 0;          // in content or package
  std::set<std::string> packages;  // the first few that are concerned

  bool equal() const { return missing + extra + differing == 0; }
  uint64_t differences() const { return missing + extra + differing; }
};

class Reconciler {
 public:
  struct Parts {
    postgres::Connection* snapshot;  // in a transaction that sees it
    LogClient* log;
    const capture::Mapping* mapping;
    CapturedState* state;
    const Touches* touches;        // by the stream, since before the snapshot
    Lsn lsn;                       // of the snapshot
    std::function<Status()> tick;  // called often: keeps the stream alive
  };
  // `writer` null: compares only, and leaves `state` as it is.
  Reconciler(Parts parts, PartWriter* writer) : parts_(std::move(parts)), writer_(writer) {}

  // Rows that say something of their package are written again even if equal: what they say may
  // differ under another mapping.
  void RewritePackages() { rewrite_packages_ = true; }

  // Tables in the order in which their rows find their packages.
  Result<std::vector<TableDifference>> Run(std::vector<postgres::TableInfo> tables);
  // Ends the rows and the item of a table that is not captured any more.
  Status EndTable(const TableName& table);

 private:
  struct Known {
    std::string package;
    Digest payload{};
  };
  using KnownRows = std::unordered_map<std::string, Known>;

  Result<KnownRows> ReadKnown(const TableName& table);
  Result<TableDifference> RunTable(const TableShape& table);
  Status OneRow(const TableShape& table, std::span<const postgres::ValueView> values);
  Status PutRow(const std::string& item, const Known* known, const capture::Placement& placement,
                std::string payload);
  Status RowsLeft();
  bool IsNewerInLog(const std::string& item) const;
  Status Tick();
  void Concerns(const std::string& package);

  const Parts parts_;
  PartWriter* const writer_;
  bool rewrite_packages_ = false;

  // The table under way.
  KnownRows known_;
  TableDifference difference_;
  std::vector<std::string> columns_;
  std::vector<size_t> key_;
  std::unordered_map<Digest, uint64_t, DigestHash> equal_rows_;
  uint64_t ticks_ = 0;
};

// JSON of an audit: docs/agent.md.
std::string EncodeAudit(Lsn lsn, int64_t time_us, const std::vector<TableDifference>& tables);

}  // namespace kembar::agent
