// session_periodic.cc — see session.h: what is done every so often between transactions.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "tools/agent/postgres/session.h"

namespace kembar::agent {
namespace {

constexpr uint64_t kLargeObjectPartBytes = uint64_t{1} << 20;

const std::string& Text(const postgres::Value& value) {
  static const std::string empty;
  return value ? *value : empty;
}

// "\x00ff" as bytes.
Result<std::string> FromHex(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (!text.starts_with("\\x") || text.size() % 2 != 0) {
    return Status(Code::kCorrupt, "bytea is not in hex form");
  }
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 2; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return Status(Code::kCorrupt, "bytea is not in hex form");
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return bytes;
}

}  // namespace

Status Session::Periodic() {
  if (poll_.Due()) {
    RETURN_IF_ERROR(PollServer());
    poll_.Done();
  }
  if (!complete_) return Status::Ok();
  if (canary_on_ && canary_.Due()) {
    RETURN_IF_ERROR(Canary());
    canary_.Done();
  }
  // Only when there is nothing better to do would starve them; the writer's room is the limit.
  if (!writer_->HasRoom()) return Status::Ok();
  if (sequences_due_.Due()) {
    RETURN_IF_ERROR(Sequences());
    sequences_due_.Done();
  }
  if (schema_dump_ && schema_dump_->done()) RETURN_IF_ERROR(TakeSchema());
  if (schema_due_.Due() && !schema_dump_) {
    schema_due_.Done();
    RETURN_IF_ERROR(CheckSchema());
    if (!snapshot_) schema_dump_ = std::make_unique<SchemaDump>(postgres_.dsn, "", wakeup_);
  }
  if (large_objects_due_.Due()) {
    RETURN_IF_ERROR(LargeObjects());
    large_objects_due_.Done();
  }
  if (audit_due_.Due() || wakeup_->TakeAudit()) audit_asked_ = true;
  const bool free = !snapshot_ && !reconcile_all_ && state_.pending.empty();
  if (!audit_asked_ || !free || Clock::now() < snapshot_after_) return Status::Ok();
  audit_asked_ = false;
  audit_due_.Done();
  return BeginSnapshot(Purpose::kAudit);
}

Status Session::PollServer() {
  ASSIGN_OR_RETURN(const ServerState server, database_->ReadServer());
  synchronous_ = server.synchronous;
  if (!server.slot || !server.slot->usable) {
    return Status(Code::kUnavailable, "slot " + postgres_.slot + " is lost: " +
                                          (server.slot ? server.slot->why_not : "it is gone"));
  }
  // Everything before `covered_` is in the log once nothing is on its way.
  const bool idle = writer_->Idle() && complete_ && !capturer_->in_transaction();
  const Lsn safe = idle ? std::max(covered_, confirmed_) : confirmed_;
  const int64_t now = WallUs();
  // Under load the server is always ahead: what counts is when we passed where it was.
  const bool level = complete_ && safe >= server.wal;
  const bool passed = complete_ && target_us_ != 0 && safe >= target_wal_;
  const int64_t caught_up_us = level ? now : target_us_;
  if (level || passed || target_us_ == 0) {
    target_wal_ = server.wal;
    target_us_ = now;
  }
  // The server tells how far it has decoded when it is asked.
  if (!level) RETURN_IF_ERROR(Feedback(true));
  board_->Update([&](SourceStats* stats) {
    stats->server_seen_us = now;
    stats->retained_wal_bytes = server.slot->retained_bytes;
    stats->lag_bytes = server.wal > safe ? server.wal - safe : 0;
    stats->synchronous = server.synchronous;
    if (level || passed) stats->caught_up_us = caught_up_us;
  });
  ReportProgress();
  return Status::Ok();
}

void Session::ReportProgress() {
  const LogWriter::Acknowledged acknowledged = writer_->acknowledged();
  const Capturer::Counts& counts = capturer_->counts();
  board_->Update([&](SourceStats* stats) {
    stats->rows += counts.rows - reported_.rows;
    stats->transactions += counts.transactions - reported_.transactions;
    stats->incomplete += counts.incomplete - reported_.incomplete;
    stats->batches += acknowledged.batches - reported_batches_;
    for (const auto& [table, rows] : counts.unmapped) {
      stats->unmapped[table.Display()] += rows - reported_.unmapped[table];
    }
    if (acknowledged.committed_us != 0) stats->committed_us = acknowledged.committed_us;
    if (acknowledged.canary_us != 0) stats->canary_us = acknowledged.canary_us;
  });
  reported_ = counts;
  reported_batches_ = acknowledged.batches;
}

Status Session::Canary() {
  Status status = database_->WriteCanary();
  const std::string& sqlstate = database_->connection()->sqlstate();
  // The table is locked, or somebody dropped it: that must not stop the capture.
  if (status.ok() || sqlstate == "55P03") return Status::Ok();
  if (sqlstate != "42P01" && sqlstate != "3F000" && sqlstate != "42501") return status;
  spdlog::warn("source={} no canary any more: {}", source_, status.ToString());
  canary_on_ = false;
  board_->Update([&](SourceStats* stats) {
    stats->canary_on = false;
    stats->canary_why_off = status.message();
  });
  return Status::Ok();
}

Status Session::Sequences() {
  const auto listed = postgres::ListSequences(database_->connection());
  if (!listed.ok() && database_->connection()->sqlstate() == "55P03") return Status::Ok();
  if (!listed.ok() && database_->connection()->sqlstate() == "42501") {
    spdlog::error("source={} sequences are not captured: {}", source_, listed.status().ToString());
    sequences_due_.every_s = 0;
    return Status::Ok();
  }
  RETURN_IF_ERROR(listed.status());
  std::map<std::string, std::string> now;
  for (const postgres::SequenceInfo& sequence : *listed) {
    if (!Captures(postgres_, sequence.name)) continue;
    now[capture::SequenceItem(sequence.name)] = capture::EncodeSequence(sequence.state);
  }
  std::vector<v1::Draft> drafts;
  for (const auto& [item, payload] : now) {
    const auto known = sequences_.find(item);
    if (known != sequences_.end() && known->second == payload) continue;
    drafts.push_back(MakeDraft(v1::RECORD_KIND_PUT, "-", item, payload));
  }
  for (const auto& [item, payload] : sequences_) {
    if (!now.contains(item)) drafts.push_back(MakeDraft(v1::RECORD_KIND_DELETE, "-", item, {}));
  }
  if (drafts.empty()) return Status::Ok();
  sequences_ = std::move(now);
  return EmitAside(std::move(drafts));
}

// Tables that are new, changed or gone: into the publication or out of it, and reconciled.
Status Session::CheckSchema() {
  const std::set<TableName> before = state_.pending;
  const size_t refused = inventory_.without_identity.size();
  ASSIGN_OR_RETURN(inventory_, ReadInventory(database_->connection(), postgres_));
  if (!inventory_.without_identity.empty() && postgres_.set_replica_identity) {
    RETURN_IF_ERROR(database_->SetReplicaIdentityFull(inventory_.without_identity));
    ASSIGN_OR_RETURN(inventory_, ReadInventory(database_->connection(), postgres_));
  }
  if (inventory_.without_identity.size() > refused) {
    spdlog::error("source={} tables that can't be captured: {}", source_,
                  NamesText(inventory_.without_identity));
  }
  board_->Update([this](SourceStats* stats) {
    stats->not_captured.clear();
    for (const TableName& table : inventory_.without_identity) {
      stats->not_captured.push_back(table.Display());
    }
  });
  ASSIGN_OR_RETURN(const std::vector<TableName> added,
                   database_->PreparePublication(inventory_.captured));
  if (!complete_) return Status::Ok();  // the copy comes to all of them
  state_.pending.insert(added.begin(), added.end());
  for (const postgres::TableInfo& table : inventory_.captured) {
    const auto recorded = state_.tables.find(table.shape.name);
    const auto storage = state_.storage.find(table.shape.name);
    if (recorded == state_.tables.end() || !(recorded->second == table.shape) ||
        storage == state_.storage.end() || storage->second != table.storage) {
      state_.pending.insert(table.shape.name);
    }
  }
  for (const auto& [name, shape] : state_.tables) {
    if (!inventory_.Has(name)) state_.pending.insert(name);
  }
  const bool written = state_.pending == before && !pending_unwritten_;
  if (written || state_.pending.empty()) return Status::Ok();
  pending_unwritten_ = false;
  spdlog::info("source={} the schema changed: {} tables are reconciled", source_,
               state_.pending.size());
  return EmitAside(
      {MakeDraft(v1::RECORD_KIND_PUT, "-", PendingItem(source_), EncodePending(state_.pending))});
}

// What pg_dump says now: indexes, views, functions and the like change without any table's shape.
Status Session::TakeSchema() {
  const std::unique_ptr<SchemaDump> dump = std::move(schema_dump_);
  if (!dump->result().ok()) {
    spdlog::warn("source={} the schema could not be read: {}", source_,
                 dump->result().status().ToString());
    return Status::Ok();
  }
  std::vector<v1::Draft> drafts;
  const SchemaTexts& now = *dump->result();
  if (now.pre_data != schema_.pre_data) {
    drafts.push_back(MakeDraft(v1::RECORD_KIND_PUT, "-", capture::kPreDataItem, now.pre_data));
  }
  if (now.post_data != schema_.post_data) {
    drafts.push_back(MakeDraft(v1::RECORD_KIND_PUT, "-", capture::kPostDataItem, now.post_data));
  }
  if (drafts.empty()) return Status::Ok();
  schema_ = now;
  return EmitAside(std::move(drafts));
}

// Large objects are not in the stream: all are read and what changed is written.
Status Session::LargeObjects() {
  std::map<std::string, Digest> known;
  RETURN_IF_ERROR(log_.List("large-object/", false, [&](const v1::ItemVersion& item) -> Status {
    if (item.payload_sha256().size() == sizeof(Digest)) {
      known[item.item()] = DigestFromBytes(item.payload_sha256());
    }
    return Tick();
  }));
  ASSIGN_OR_RETURN(const postgres::Rows objects,
                   database_->connection()->Query(
                       "SELECT oid FROM pg_catalog.pg_largeobject_metadata ORDER BY oid"));
  if (objects.empty() && known.empty()) return Status::Ok();
  // Each batch repeats the boundary: these records belong to no transaction.
  PartWriter writer({.source = source_,
                     .records_max = postgres_.transaction_records_max,
                     .bytes_max = postgres_.transaction_bytes_max},
                    [&](Batch batch) {
                      batch.drafts.pop_back();
                      return batch.drafts.empty() ? Status::Ok()
                                                  : EmitAside(std::move(batch.drafts));
                    });
  for (const std::vector<postgres::Value>& row : objects) {
    RETURN_IF_ERROR(OneLargeObject(Text(row[0]), &known, &writer));
  }
  for (const auto& [item, digest] : known) RETURN_IF_ERROR(writer.Delete("-", item));
  return writer.Finish().status();
}

// Takes the object's parts out of `known`: what is left in the end is gone from the database.
Status Session::OneLargeObject(const std::string& oid, std::map<std::string, Digest>* known,
                               PartWriter* writer) {
  uint32_t number = 0;
  std::from_chars(oid.data(), oid.data() + oid.size(), number);
  for (uint64_t part = 0;; ++part) {
    RETURN_IF_ERROR(Tick());
    const std::string offset = std::to_string(part * kLargeObjectPartBytes);
    const std::string size = std::to_string(kLargeObjectPartBytes);
    const std::array<postgres::ValueView, 3> parameters = {oid, offset, size};
    const auto rows = database_->connection()->Query(
        "SELECT pg_catalog.lo_get($1::oid, $2::bigint, $3::int)", parameters);
    if (!rows.ok() && database_->connection()->sqlstate() == "42704") break;  // gone meanwhile
    if (!rows.ok() && database_->connection()->sqlstate() == "42501") {
      spdlog::warn("source={} large object {} is not captured: {}", source_, oid,
                   rows.status().ToString());
      break;
    }
    RETURN_IF_ERROR(rows.status());
    if (rows->empty()) break;
    ASSIGN_OR_RETURN(std::string bytes, FromHex(Text((*rows)[0][0])));
    if (bytes.empty() && part > 0) break;
    const bool end = bytes.size() < kLargeObjectPartBytes;
    const std::string item = capture::LargeObjectItem(number, part);
    const auto at = known->find(item);
    const bool equal = at != known->end() && at->second == Sha256({bytes});
    if (at != known->end()) known->erase(at);
    if (!equal) RETURN_IF_ERROR(writer->Put("-", item, std::move(bytes)));
    if (end) break;
  }
  return Status::Ok();
}

}  // namespace kembar::agent
