// capturer.h — what the server says it committed, as batches of drafts for the log
// (docs/capture.md).
//
// Pure but for what it asks its host, and the host is asked rarely: for a value that the server did
// not send again, for the rows of a truncated table, for the types of a relation. Memory is bounded
// by one batch and the CapturedState.
//
// A relation that is not as recorded gives a new table item in the same transaction, and the table
// is marked as pending: what cannot be known from the stream (rows rewritten by ALTER TABLE, DDL)
// is put right by the reconciliation that the host makes of it soon.
//
// Thread-safety: none; used by the thread of its source.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "kembar/v1/log.pb.h"
#include "replicator/base/status.h"
#include "tools/agent/postgres/captured_state.h"
#include "tools/agent/postgres/touches.h"
#include "tools/postgres/pgoutput.h"

namespace kembar::agent {

// One atomic append: drafts and, last, the marker.
struct Batch {
  std::vector<v1::Draft> drafts;
  Marker marker;
  uint64_t rows = 0;    // drafts that are rows
  bool canary = false;  // the canary's row came back
};

struct LiveItem {
  std::string package;
  std::string item;
  std::string payload;  // when asked for
};

class CaptureHost {
 public:
  virtual ~CaptureHost() = default;
  // Hands a batch over; waits while too many are under way.
  virtual Status Emit(Batch batch) = 0;
  // The item's payload as of everything emitted so far. nullopt: it is not in the log.
  virtual Result<std::optional<std::string>> CurrentPayload(const std::string& package,
                                                            const std::string& item) = 0;
  // The items of all rows of a table, as of everything emitted so far, in a fixed order.
  virtual Result<std::vector<LiveItem>> LiveItems(const TableName& table) = 0;
  // The rows of a package with their payloads, likewise.
  virtual Result<std::vector<LiveItem>> PackageRows(const std::string& package) = 0;
  // The types of a relation's columns by name, as format_type() gives them.
  virtual Result<std::vector<std::string>> TypeNames(const postgres::RelationMessage& relation) = 0;
  // The table as the catalog shows it now; nullopt: it is not visible there.
  virtual Result<std::optional<TableShape>> VisibleShape(uint32_t oid) = 0;
};

struct CapturerOptions {
  std::string source;
  size_t records_max = 4'096;          // of a batch
  size_t bytes_max = size_t{1} << 20;  // of its payloads, exceeded by one change at most
  std::function<bool(const TableName&)> captures;
  // Say with each row which documents it refers to, so that no package looks complete in between.
  // Only beside a documents source with this mapping: it takes back what no row refers to any more.
  bool references = false;
  TableName canary{"kembar", "canary"};
};

class Capturer {
 public:
  struct Counts {
    uint64_t transactions = 0;
    uint64_t rows = 0;
    std::map<TableName, uint64_t> unmapped;  // rows put into "-"; empty without a mapping
    uint64_t incomplete = 0;  // changes that the log lacked something for; repaired later
  };

  // All outlive the capturer.
  Capturer(CapturerOptions options, const capture::Mapping* mapping, CapturedState* state,
           CaptureHost* host);

  // Where the log stands: transactions before are skipped, one that is partly there is resumed.
  void StartAfter(const Marker& marker) {
    marker_ = marker;
    verify_ = false;
  }
  // As StartAfter, when the server sends again what the log holds: the last transaction there must
  // be among it, or this server has another history (an old copy of it was put back). kDiverged.
  void ResumeAfter(const Marker& marker) {
    marker_ = marker;
    verify_ = marker.xid != 0;
  }
  Status VerifyResent();
  // Relations are compared anew with what is recorded: a reconciliation has changed that.
  void Recheck() {
    for (auto& [id, relation] : relations_) relation.checked = false;
  }
  // The last marker that was emitted, or where the log stood.
  const Marker& marker() const { return marker_; }

  // What is changed from now on is noted there; null: no more.
  void NoteTouches(Touches* touches) { touches_ = touches; }

  Status Handle(const postgres::PgMessage& message);
  bool in_transaction() const { return in_transaction_; }
  // Everything up to here was handled, empty and foreign transactions too.
  Lsn handled() const { return handled_; }
  const Counts& counts() const { return counts_; }

  // Where a row belongs now, counted when that is nowhere.
  capture::Placement Place(const TableShape& table, const std::string& item,
                           const capture::Row& row);

 private:
  struct Relation {
    postgres::RelationMessage message;
    TableShape shape;
    std::vector<std::string> columns;
    std::vector<size_t> key;  // places of the key's columns; empty: a multiset
    bool checked = false;     // against what is recorded
    bool captured = false;
    bool mapped = false;
    bool refers = false;  // its rows say which documents they refer to
    bool parent = false;  // rows of other tables find their package through its rows
  };

  Status OnBegin(const postgres::BeginMessage& begin);
  Status OnCommit(const postgres::CommitMessage& commit);
  Status OnRelation(const postgres::RelationMessage& message);
  Status OnInsert(const postgres::InsertMessage& insert);
  Status OnUpdate(const postgres::UpdateMessage& update);
  Status OnDelete(const postgres::DeleteMessage& gone);
  Status OnTruncate(const postgres::TruncateMessage& truncate);

  // The relation of a change that is to be captured; null: the change is to be passed over.
  Result<Relation*> BeginChange(uint32_t id);
  Status Check(Relation* relation);
  void Record(const TableShape& shape);
  void MarkPending(const TableName& table);
  Status MissingBefore(const Relation& relation);

  Result<std::string> ItemOf(const Relation& relation, const postgres::Tuple& row) const;
  std::string PayloadOf(const Relation& relation, const postgres::Tuple& row) const;
  Status PutRow(const Relation& relation, const std::string& item, const std::string& was,
                const postgres::Tuple& row, std::string payload);
  void WriteRow(const TableShape& table, const std::string& item, const capture::Row& row,
                const capture::Placement& placement, std::string payload);
  Result<bool> FillUnchanged(const Relation& relation, const std::string& item,
                             postgres::Tuple* row);
  Result<std::optional<std::string>> PayloadBefore(const std::string& item);
  std::string RemoveKeyless(const Relation& relation, const postgres::Tuple& row);
  Status TruncateTable(const Relation& relation);
  bool IsParent(const TableShape& table) const;
  Status MoveDescendants(const std::string& from);

  void AddDraft(v1::RecordKind kind, const std::string& package, const std::string& item,
                std::string payload);
  void DeleteItem(const std::string& package, const std::string& item);
  bool Full() const;
  Status Flush(bool last);

  const CapturerOptions options_;
  const capture::Mapping* const mapping_;
  CapturedState* const state_;
  CaptureHost* const host_;
  std::map<uint32_t, Relation> relations_;

  Marker marker_;  // the last that was emitted, or where the log stood
  Lsn handled_ = 0;
  Touches* touches_ = nullptr;
  bool verify_ = false;
  uint32_t resent_xid_ = 0;  // of the last transaction that was skipped
  Lsn resent_end_ = 0;
  Counts counts_;

  // The transaction under way.
  bool in_transaction_ = false;
  bool skipping_ = false;
  Marker current_;
  uint64_t change_ = 0;  // its number, from 1
  uint64_t skip_changes_ = 0;
  std::vector<v1::Draft> drafts_;
  std::unordered_map<std::string, size_t> newest_;  // item -> its newest draft in drafts_
  size_t bytes_ = 0;
  uint64_t rows_ = 0;
  bool canary_ = false;
};

}  // namespace kembar::agent
