// session_start.cc — see session.h: both sides are asked where they stand, and set up.
#include <spdlog/spdlog.h>

#include <array>

#include <nlohmann/json.hpp>

#include "tools/agent/postgres/session.h"

namespace kembar::agent {
namespace {

// "source/SOURCE": which database this is, so that another one under the same name is noticed.
std::string SourceItem(const std::string& source) { return "source/" + source; }

std::string EncodeIdentity(const postgres::SystemIdentity& identity) {
  const nlohmann::ordered_json json = {{"system_identifier", identity.system_identifier},
                                       {"timeline", identity.timeline},
                                       {"database", identity.database}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::optional<postgres::SystemIdentity> DecodeIdentity(const std::string& payload) {
  const nlohmann::json json = nlohmann::json::parse(payload, nullptr, false);
  if (!json.is_object()) return {};
  postgres::SystemIdentity identity;
  const auto text = [&](const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  identity.system_identifier = text("system_identifier");
  identity.database = text("database");
  const auto timeline = json.find("timeline");
  if (timeline != json.end() && timeline->is_number_unsigned()) {
    identity.timeline = timeline->get<uint32_t>();
  }
  return identity;
}

}  // namespace

Session::Session(const AgentConfig& config, SessionOptions options, StatsBoard* board,
                 Wakeup* wakeup)
    : config_(config),
      postgres_(*config.postgres),
      options_(options),
      source_(postgres_.Source()),
      board_(board),
      wakeup_(wakeup),
      log_({.nodes = config.nodes, .log = config.log, .source = source_}),
      state_(&postgres_.mapping) {
  canary_.every_s = postgres_.canary_every_s;
  sequences_due_.every_s = postgres_.sequences_every_s;
  schema_due_.every_s = postgres_.schema_check_every_s;
  large_objects_due_.every_s = postgres_.large_objects_every_s;
  audit_due_.every_s = postgres_.audit_every_s;
  // The first audit is a whole period after the start: the copy has just compared everything.
  audit_due_.Done();
  schema_due_.Done();
}

Session::~Session() = default;

Status Session::Run() {
  board_->Update([](SourceStats* stats) { stats->state = SourceState::kStarting; });
  RETURN_IF_ERROR(Connect());
  RETURN_IF_ERROR(CheckBoth());
  RETURN_IF_ERROR(LoadLog());
  RETURN_IF_ERROR(PrepareServer());
  RETURN_IF_ERROR(LoadRows());
  RETURN_IF_ERROR(StartStream());
  return Loop();
}

Status Session::Fatal(Status status) {
  fatal_ = true;
  return status;
}

Status Session::Connect() {
  Result<std::unique_ptr<Database>> database = Database::Open(postgres_);
  if (!database.ok()) {
    fatal_ = database.status().code() == Code::kInvalid;
    return database.status();
  }
  database_ = *std::move(database);
  if (Status status = database_->Check(); !status.ok()) {
    fatal_ = status.code() == Code::kInvalid;
    return status;
  }
  ASSIGN_OR_RETURN(stream_, postgres::ReplicationStream::Open(Database::Options(postgres_, "")));
  ASSIGN_OR_RETURN(identity_, stream_->IdentifySystem());
  return log_.Connect();
}

// Another database under the same name must not be mixed into this log.
Status Session::CheckIdentity() {
  ASSIGN_OR_RETURN(const std::optional<std::string> payload, log_.Get("-", SourceItem(source_)));
  if (payload) {
    const std::optional<postgres::SystemIdentity> known = DecodeIdentity(*payload);
    const bool same = known && known->system_identifier == identity_.system_identifier &&
                      known->database == identity_.database;
    if (!same && !options_.accept_new_database) {
      return Fatal(Status(
          Code::kInvalid,
          "the log holds another database under the name " + source_ + ": system " +
              (known ? known->system_identifier + ", database " + known->database : "unknown") +
              "; this is system " + identity_.system_identifier + ", database " +
              identity_.database,
          "give this one another postgres.name, or start once with --accept-new-database: the log "
          "then becomes equal to this one, and its history stays"));
    }
    discontinued_ = !same || known->timeline != identity_.timeline;
    if (discontinued_) {
      spdlog::warn("source={} the server is not as recorded ({}): everything is reconciled",
                   source_, same ? "another timeline" : "another database, accepted");
    }
  }
  const std::string now = EncodeIdentity(identity_);
  if (!payload || *payload != now) {
    identity_record_ = {MakeDraft(v1::RECORD_KIND_PUT, "-", SourceItem(source_), now)};
  }
  return Status::Ok();
}

// Whether the server is the one that wrote what the log holds, or an older copy of it that was put
// back. Its WAL may have grown past the log's marker since; the canary tells then, and where the
// server sends the last transaction again, the capturer.
Status Session::CheckHistory(const Marker& marker) {
  if (options_.discontinued) discontinued_ = true;
  if (marker.last && identity_.flushed < marker.lsn) {
    spdlog::error("source={} the server is at {} and the log at {}: it was set back", source_,
                  capture::FormatLsn(identity_.flushed), capture::FormatLsn(marker.lsn));
    discontinued_ = true;
  }
  const std::array<std::string_view, 1> key = {postgres_.name};
  ASSIGN_OR_RETURN(const std::optional<std::string> canary,
                   log_.Get("-", capture::RowItem(kCanaryTable, key)));
  if (!canary) return Status::Ok();
  ASSIGN_OR_RETURN(const capture::Row row, capture::DecodeRow(*canary));
  const capture::Value* at = row.Find("at");
  if (at == nullptr || !*at) return Status::Ok();
  ASSIGN_OR_RETURN(const bool older, database_->CanaryIsOlder(**at));
  if (older) {
    spdlog::error("source={} the canary of {} is in the log but not in the server: it was set back",
                  source_, **at);
    discontinued_ = true;
  }
  return Status::Ok();
}

// What can be refused is refused here, before anything is written on either side.
Status Session::CheckBoth() {
  RETURN_IF_ERROR(CheckIdentity());
  ASSIGN_OR_RETURN(const LogStanding before, log_.Standing());
  RETURN_IF_ERROR(CheckHistory(before.marker));
  ASSIGN_OR_RETURN(inventory_, ReadInventory(database_->connection(), postgres_));
  return postgres_.set_replica_identity ? Status::Ok() : CheckTables();
}

Status Session::CheckTables() {
  if (inventory_.without_identity.empty()) return Status::Ok();
  const Status refused(
      Code::kInvalid,
      "tables without a primary key can't be captured as they are: " +
          NamesText(inventory_.without_identity),
      "set postgres.set_replica_identity = true (the agent then runs ALTER TABLE … REPLICA "
      "IDENTITY FULL), or name them in postgres.exclude");
  if (options_.first) return Fatal(refused);
  spdlog::error("source={} {}", source_, refused.ToString());
  return Status::Ok();
}

Status Session::LoadLog() {
  ASSIGN_OR_RETURN(standing_, log_.Fence(identity_record_, discontinued_));
  const Marker& marker = standing_.marker;
  // Inside of a reconciliation, or before the first: what the log holds is of no single moment.
  complete_ = marker.lsn != 0 && (marker.last || marker.xid != 0);
  RETURN_IF_ERROR(log_.List("table/", true, [&](const v1::ItemVersion& item) -> Status {
    ASSIGN_OR_RETURN(TableShape shape, capture::DecodeTable(item.payload()));
    state_.tables[shape.name] = std::move(shape);
    return Status::Ok();
  }));
  RETURN_IF_ERROR(log_.List("sequence/", true, [&](const v1::ItemVersion& item) {
    sequences_[item.item()] = item.payload();
    return Status::Ok();
  }));
  ASSIGN_OR_RETURN(const std::optional<std::string> pending, log_.Get("-", PendingItem(source_)));
  if (pending) {
    const std::optional<std::set<TableName>> tables = DecodePending(*pending);
    if (tables) state_.pending = *tables;
    reconcile_all_ = !tables;
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> storage, log_.Get("-", StorageItem(source_)));
  state_.storage = DecodeStorage(storage.value_or(std::string()));
  ASSIGN_OR_RETURN(const std::optional<std::string> mapping,
                   log_.Get("-", capture::MappingItem(source_)));
  mapping_recorded_ = mapping.value_or(std::string());
  if (mapping_recorded_ != postgres_.mapping.text()) {
    reconcile_all_ = true;
    rewrite_packages_ = true;
  }
  ASSIGN_OR_RETURN(std::optional<std::string> pre, log_.Get("-", capture::kPreDataItem));
  ASSIGN_OR_RETURN(std::optional<std::string> post, log_.Get("-", capture::kPostDataItem));
  schema_ = {pre.value_or(std::string()), post.value_or(std::string())};
  return Status::Ok();
}

// Which packages the rows are in, and how often equal ones stand in tables without a key.
Status Session::LoadRows() {
  for (const auto& [name, shape] : state_.tables) state_.packages.Learn(shape);
  std::set<TableName> seen;
  RETURN_IF_ERROR(log_.List("row/", false, [&](const v1::ItemVersion& item) {
    const capture::ItemName name = capture::ParseItem(item.item());
    if (name.kind != capture::ItemKind::kRow) return Status::Ok();
    seen.insert(name.table);
    state_.packages.Set(item.item(), item.package());
    if (const auto key = ParseKeylessKey(name.key)) {
      state_.keyless.AtLeast(name.table, key->digest, key->n);
    }
    return wakeup_->stopping() ? Status(Code::kCancelled, "stopping") : Status::Ok();
  }));
  if (const auto& units = postgres_.mapping.unit_table()) {
    RETURN_IF_ERROR(log_.List(
        capture::RowPrefix(units->table), true, [&](const v1::ItemVersion& item) -> Status {
          ASSIGN_OR_RETURN(const capture::Row row, capture::DecodeRow(item.payload()));
          state_.packages.NoteUnit(item.item(), row);
          return Status::Ok();
        }));
  }
  // Rows without a table item come from a copy that was cut short: they are reconciled with it.
  for (const TableName& table : seen) {
    if (state_.tables.contains(table)) continue;
    state_.tables[table] = TableShape{.name = table, .root = table};
    state_.pending.insert(table);
  }
  return Status::Ok();
}

Status Session::PrepareServer() {
  if (postgres_.canary_every_s > 0) {
    const Status status = database_->PrepareCanary();
    if (status.code() == Code::kUnavailable) return status;
    canary_on_ = status.ok();
    board_->Update([&](SourceStats* stats) {
      stats->canary_on = status.ok();
      stats->canary_why_off = status.ok() ? std::string() : status.message();
    });
    if (!status.ok()) spdlog::warn("source={} no canary: {}", source_, status.ToString());
  }
  RETURN_IF_ERROR(PrepareTables());
  return PrepareSlot();
}

Status Session::PrepareTables() {
  ASSIGN_OR_RETURN(inventory_, ReadInventory(database_->connection(), postgres_));
  if (!inventory_.without_identity.empty() && postgres_.set_replica_identity) {
    spdlog::info("source={} setting REPLICA IDENTITY FULL on {}", source_,
                 NamesText(inventory_.without_identity));
    RETURN_IF_ERROR(database_->SetReplicaIdentityFull(inventory_.without_identity));
    ASSIGN_OR_RETURN(inventory_, ReadInventory(database_->connection(), postgres_));
  }
  RETURN_IF_ERROR(CheckTables());
  board_->Update([this](SourceStats* stats) {
    stats->not_captured.clear();
    for (const TableName& table : inventory_.without_identity) {
      stats->not_captured.push_back(table.Display());
    }
  });
  if (!inventory_.unlogged.empty()) {
    spdlog::warn("source={} unlogged tables are not captured: {}", source_,
                 NamesText(inventory_.unlogged));
  }
  const auto added = database_->PreparePublication(inventory_.captured);
  if (!added.ok()) {
    return added.status().code() == Code::kInvalid ? Fatal(added.status()) : added.status();
  }
  state_.pending.insert(added->begin(), added->end());
  pending_unwritten_ = !added->empty();
  return Status::Ok();
}

Status Session::PrepareSlot() {
  ASSIGN_OR_RETURN(std::optional<SlotState> slot, database_->ReadSlot());
  const Lsn held = standing_.marker.lsn;
  std::string lost = discontinued_ ? "the server is not where the log left it" : "";
  if (slot && !slot->usable) {
    lost = slot->why_not;
    RETURN_IF_ERROR(database_->DropSlot().Prepend("drop slot " + postgres_.slot));
    slot.reset();
  } else if (slot && complete_ && slot->confirmed > held) {
    lost = "it stands at " + capture::FormatLsn(slot->confirmed) + ", beyond the log's " +
           capture::FormatLsn(held);
  } else if (!slot && held != 0) {
    lost = "it is gone";
  }
  if (!lost.empty()) {
    spdlog::error("source={} slot {} lost changes: {}; everything is copied anew, history is kept",
                  source_, postgres_.slot, lost);
    board_->Update([](SourceStats* stats) { ++stats->slots_lost; });
    complete_ = false;
  }
  resent_ = slot && slot->confirmed < held;
  return slot ? Status::Ok() : CreateSlot();
}

Status Session::CreateSlot() {
  spdlog::info("source={} creating slot {}", source_, postgres_.slot);
  RETURN_IF_ERROR(stream_->BeginCreateSlot({.name = postgres_.slot}));
  auto say = Clock::now() + std::chrono::seconds(10);
  while (!wakeup_->stopping()) {
    ASSIGN_OR_RETURN(const std::optional<postgres::CreatedSlot> slot,
                     stream_->PollCreatedSlot(200));
    if (slot) {
      complete_ = false;
      return Status::Ok();
    }
    if (Clock::now() < say) continue;
    say = Clock::now() + std::chrono::seconds(10);
    spdlog::warn("source={} the slot waits for transactions that are open at the server", source_);
  }
  return Status(Code::kCancelled, "stopping");
}

Status Session::StartStream() {
  CapturerOptions options{.source = source_,
                          .records_max = postgres_.transaction_records_max,
                          .bytes_max = postgres_.transaction_bytes_max,
                          // The source beside this one takes back what rows no longer refer to.
                          .references = config_.documents && config_.documents->mapping.text() ==
                                                                 postgres_.mapping.text()};
  options.captures = [this](const TableName& table) {
    return Captures(postgres_, table) || (canary_on_ && table == kCanaryTable);
  };
  capturer_ = std::make_unique<Capturer>(options, &postgres_.mapping, &state_,
                                         static_cast<CaptureHost*>(this));
  if (complete_) {
    if (resent_) {
      capturer_->ResumeAfter(standing_.marker);
    } else {
      capturer_->StartAfter(standing_.marker);
    }
    if (standing_.marker.last) confirmed_ = standing_.marker.lsn;
  } else {
    reconcile_all_ = true;  // it says where to start
  }
  writer_ = std::make_unique<LogWriter>(
      LogWriter::Options{.nodes = config_.nodes, .log = log_.log(), .source = source_},
      standing_.position, standing_.marker, log_.channels(), wakeup_);
  // From where the slot stands: what the log holds beyond that is sent again, skipped, and tells
  // whether this is the same server.
  RETURN_IF_ERROR(stream_->Start(postgres_.slot, postgres_.publication, 0));
  streamed_ = true;
  spdlog::info("source={} streaming from {} log={} position={} packages={}{}", source_,
               capture::FormatLsn(complete_ ? standing_.marker.lsn : 0), log_.log(),
               standing_.position, state_.packages.size(),
               complete_ ? "" : ", after a copy of everything");
  board_->Update([this](SourceStats* stats) {
    stats->state = complete_ ? SourceState::kStreaming : SourceState::kCopying;
    stats->trouble.clear();
  });
  return CheckSchema();
}

}  // namespace kembar::agent
