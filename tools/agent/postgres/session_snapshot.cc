// session_snapshot.cc — see session.h: reconciliations and audits against a snapshot.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "tools/agent/postgres/session.h"

namespace kembar::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kAskEvery{100};
constexpr seconds kAfterFailure{5};

// Another session holds a lock, or the table is not what the snapshot's catalog says any more.
bool PassesBy(const std::string& sqlstate) {
  return sqlstate == "55P03" || sqlstate == "42P01" || sqlstate == "42703";
}

}  // namespace

Status Session::BeginSnapshot(Purpose purpose) {
  auto snapshot = std::make_unique<Snapshot>();
  snapshot->purpose = purpose;
  snapshot->all = purpose == Purpose::kAudit || reconcile_all_ || !complete_;
  ASSIGN_OR_RETURN(snapshot->connection,
                   postgres::ReplicationStream::Open(Database::Options(postgres_, "snapshot")));
  const std::string name =
      postgres_.slot.substr(0, 40) + "_" + std::to_string(::getpid()) + "_snapshot";
  RETURN_IF_ERROR(snapshot->connection->BeginCreateSlot(
      {.name = name, .temporary = true, .export_snapshot = true}));
  snapshot_ = std::move(snapshot);
  capturer_->NoteTouches(&snapshot_->touches);
  return Status::Ok();
}

void Session::EndSnapshot() {
  capturer_->NoteTouches(nullptr);
  snapshot_.reset();
}

// A copy of everything covers what came before it: the stream waits for it from the beginning.
// While the log is whole, the stream goes on until the snapshot is known, and a little beyond.
bool Session::HoldsStream() const {
  if (!complete_) return true;
  return snapshot_ && snapshot_->slot && Reached(snapshot_->slot->consistent_point);
}

// Before anything was appended; the stream goes on.
void Session::AbandonSnapshot(const Status& why) {
  spdlog::warn("source={} a snapshot is given up for now: {}", source_, why.ToString());
  audit_asked_ = audit_asked_ || snapshot_->purpose == Purpose::kAudit;
  EndSnapshot();
  snapshot_after_ = Clock::now() + kAfterFailure;
}

Status Session::AdvanceSnapshot() {
  Snapshot& snapshot = *snapshot_;
  if (!snapshot.slot) {
    ASSIGN_OR_RETURN(snapshot.slot, snapshot.connection->PollCreatedSlot(0));
    if (!snapshot.slot) return Status::Ok();
    spdlog::debug("source={} snapshot at {}", source_,
                  capture::FormatLsn(snapshot.slot->consistent_point));
    if (snapshot.purpose == Purpose::kReconcile) {
      snapshot.dump = std::make_unique<SchemaDump>(postgres_.dsn, snapshot.slot->snapshot, wakeup_);
    }
  }
  if (complete_ && !Reached(snapshot.slot->consistent_point)) {
    // An idle server tells how far it is only when it is asked.
    return Clock::now() - feedback_at_ >= kAskEvery ? Feedback(true) : Status::Ok();
  }
  if (snapshot.dump && !snapshot.dump->done()) return Status::Ok();
  if (snapshot.dump && !snapshot.dump->result().ok()) {
    AbandonSnapshot(snapshot.dump->result().status());
    return Status::Ok();
  }
  return UseSnapshot();
}

// All at once and before anything is appended: whoever waits for a lock in the middle may wait for
// a transaction that waits for us.
Result<bool> Session::LockTables(postgres::Connection* connection,
                                 const std::vector<postgres::TableInfo>& tables) {
  std::string list;
  for (const postgres::TableInfo& table : tables) {
    list += (list.empty() ? "ONLY " : ", ONLY ") + connection->QuoteIdent(table.shape.name.schema) +
            "." + connection->QuoteIdent(table.shape.name.table);
  }
  if (list.empty()) return true;
  const Status status = connection->Execute("LOCK TABLE " + list + " IN ACCESS SHARE MODE");
  if (status.ok()) return true;
  if (!PassesBy(connection->sqlstate())) return status;
  AbandonSnapshot(status);
  return false;
}

// A table that was truncated or rewritten after the snapshot looks empty in it: that is not for
// comparing. The next snapshot sees it.
Status Session::LeaveOutRewritten(postgres::Connection* connection,
                                  std::vector<postgres::TableInfo>* tables) {
  ASSIGN_OR_RETURN(const std::set<uint32_t> rewritten, postgres::ListRewritten(connection));
  std::erase_if(*tables, [&](const postgres::TableInfo& table) {
    if (!rewritten.contains(table.oid)) return false;
    snapshot_->touches.Pending(table.shape.name, UINT64_MAX);
    if (snapshot_->purpose == Purpose::kReconcile) state_.pending.insert(table.shape.name);
    return true;
  });
  return Status::Ok();
}

Status Session::UseSnapshot() {
  RETURN_IF_ERROR(capturer_->VerifyResent());
  RETURN_IF_ERROR(WaitIdle());
  ASSIGN_OR_RETURN(const auto connection,
                   postgres::Connection::Open(Database::Options(postgres_, "copy")));
  RETURN_IF_ERROR(connection->Execute("SET lock_timeout = '5s'"));
  RETURN_IF_ERROR(connection->Execute(
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT " +
      connection->QuoteLiteral(snapshot_->slot->snapshot)));
  ASSIGN_OR_RETURN(Inventory inventory, ReadInventory(connection.get(), postgres_));
  inventory_ = inventory;
  // All that became pending up to the snapshot, where the stream stands.
  snapshot_->tables = state_.pending;
  if (!snapshot_->all) {
    std::erase_if(inventory.captured, [this](const postgres::TableInfo& table) {
      return !snapshot_->tables.contains(table.shape.name);
    });
  }
  ASSIGN_OR_RETURN(const bool locked, LockTables(connection.get(), inventory.captured));
  if (!locked) return Status::Ok();
  RETURN_IF_ERROR(LeaveOutRewritten(connection.get(), &inventory.captured));
  // The transaction has the snapshot now; the temporary slot, which keeps WAL, may go.
  snapshot_->connection.reset();
  const Status status = snapshot_->purpose == Purpose::kAudit
                            ? Audit(connection.get(), std::move(inventory.captured))
                            : Reconcile(connection.get(), std::move(inventory.captured));
  EndSnapshot();
  return status;
}

Reconciler::Parts Session::ReconcilerParts(postgres::Connection* connection) {
  return {.snapshot = connection,
          .log = &log_,
          .mapping = &postgres_.mapping,
          .state = &state_,
          .touches = &snapshot_->touches,
          .lsn = snapshot_->slot->consistent_point,
          .tick = [this] { return Tick(); }};
}

PartWriter Session::NewPartWriter(Lsn lsn) {
  return PartWriter({.source = source_,
                     .records_max = postgres_.transaction_records_max,
                     .bytes_max = postgres_.transaction_bytes_max,
                     .lsn = lsn,
                     .time_us = WallUs()},
                    [this](Batch batch) { return Emit(std::move(batch)); });
}

Status Session::PutSchema(PartWriter* writer) {
  const SchemaTexts& now = *snapshot_->dump->result();
  if (now.pre_data != schema_.pre_data) {
    RETURN_IF_ERROR(writer->Put("-", capture::kPreDataItem, now.pre_data));
  }
  if (now.post_data != schema_.post_data) {
    RETURN_IF_ERROR(writer->Put("-", capture::kPostDataItem, now.post_data));
  }
  schema_ = now;
  return Status::Ok();
}

Status Session::Reconcile(postgres::Connection* connection,
                          std::vector<postgres::TableInfo> tables) {
  const auto begun = Clock::now();
  const Lsn snapshot_lsn = snapshot_->slot->consistent_point;
  // The log may be past the snapshot; its boundary never goes back.
  const Lsn lsn = complete_ ? std::max(snapshot_lsn, capturer_->marker().lsn) : snapshot_lsn;
  PartWriter writer = NewPartWriter(lsn);
  RETURN_IF_ERROR(PutSchema(&writer));
  std::vector<TableName> ended;
  for (const auto& [name, shape] : state_.tables) {
    const bool concerned = snapshot_->all || snapshot_->tables.contains(name);
    const bool newer = snapshot_->touches.IsPending(name, snapshot_lsn);
    if (concerned && !newer && !inventory_.Has(name)) ended.push_back(name);
  }
  for (const TableName& table : ended) state_.storage.erase(table);
  for (const postgres::TableInfo& table : tables) {
    if (snapshot_->touches.IsPending(table.shape.name, snapshot_lsn)) continue;
    state_.storage[table.shape.name] = table.storage;
  }
  Reconciler reconciler(ReconcilerParts(connection), &writer);
  if (rewrite_packages_) reconciler.RewritePackages();
  ASSIGN_OR_RETURN(const std::vector<TableDifference> differences,
                   reconciler.Run(std::move(tables)));
  for (const TableName& table : ended) RETURN_IF_ERROR(reconciler.EndTable(table));
  // In the last part: interrupted before, all of it is done again.
  RETURN_IF_ERROR(writer.Put("-", StorageItem(source_), EncodeStorage(state_.storage)));
  if (!state_.pending.empty()) {
    std::erase_if(state_.pending, [&](const TableName& table) {
      return !snapshot_->touches.IsPending(table, snapshot_lsn);
    });
    RETURN_IF_ERROR(state_.pending.empty()
                        ? writer.Delete("-", PendingItem(source_))
                        : writer.Put("-", PendingItem(source_), EncodePending(state_.pending)));
  }
  pending_unwritten_ = false;
  if (mapping_recorded_ != postgres_.mapping.text()) {
    RETURN_IF_ERROR(writer.Put("-", capture::MappingItem(source_), postgres_.mapping.text()));
    mapping_recorded_ = postgres_.mapping.text();
  }
  const uint64_t written = writer.written();
  ASSIGN_OR_RETURN(const Marker marker, writer.Finish());
  capturer_->StartAfter(marker);
  capturer_->Recheck();
  complete_ = true;
  reconcile_all_ = rewrite_packages_ = false;
  uint64_t rows = 0;
  uint64_t changed = 0;
  for (const TableDifference& difference : differences) {
    rows += difference.rows;
    changed += difference.differences();
  }
  spdlog::info(
      "source={} reconciled tables={} ended={} rows={} differing={} records={} lsn={} ms={}",
      source_, differences.size(), ended.size(), rows, changed, written, capture::FormatLsn(lsn),
      std::chrono::duration_cast<milliseconds>(Clock::now() - begun).count());
  board_->Update([&](SourceStats* stats) {
    ++stats->reconciliations;
    stats->reconciled_rows += changed;
    stats->state = SourceState::kStreaming;
    stats->audit_repaired += repaired_pending_;
    if (repaired_pending_ > 0) stats->audit_differences = 0;
  });
  // The record of the log's state is to be of after the repair.
  if (repaired_pending_ > 0 && !audit_follows_up_) audit_asked_ = audit_follows_up_ = true;
  repaired_pending_ = 0;
  return Status::Ok();
}

// Recorded first; what differs is then repaired by a reconciliation.
Status Session::Audit(postgres::Connection* connection, std::vector<postgres::TableInfo> tables) {
  // What is to be reconciled anyway is known to differ.
  std::erase_if(tables, [this](const postgres::TableInfo& table) {
    return state_.pending.contains(table.shape.name);
  });
  const int64_t time_us = WallUs();
  const Lsn lsn = snapshot_->slot->consistent_point;
  Reconciler reconciler(ReconcilerParts(connection), nullptr);
  ASSIGN_OR_RETURN(const std::vector<TableDifference> differences,
                   reconciler.Run(std::move(tables)));
  uint64_t found = 0;
  std::vector<v1::Draft> drafts;
  for (const TableDifference& difference : differences) {
    found += difference.differences();
    if (difference.equal()) continue;
    spdlog::error("source={} audit: {} missing={} extra={} differing={} of {}", source_,
                  difference.table.Display(), difference.missing, difference.extra,
                  difference.differing, difference.rows);
    if (postgres_.audit_repair) state_.pending.insert(difference.table);
  }
  drafts.push_back(MakeDraft(v1::RECORD_KIND_PUT, "-", capture::AuditItem(source_),
                             EncodeAudit(lsn, time_us, differences)));
  if (found == 0) audit_follows_up_ = false;
  if (found > 0 && postgres_.audit_repair) {
    repaired_pending_ = found;
    drafts.push_back(
        MakeDraft(v1::RECORD_KIND_PUT, "-", PendingItem(source_), EncodePending(state_.pending)));
  }
  spdlog::info("source={} audit lsn={} tables={} differing={}", source_, capture::FormatLsn(lsn),
               differences.size(), found);
  board_->Update([&](SourceStats* stats) {
    stats->audit_us = time_us;
    stats->audit_differences = found;
  });
  return EmitAside(std::move(drafts));
}

}  // namespace kembar::agent
