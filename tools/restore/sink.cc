// sink.cc — see sink.h.
#include "tools/restore/sink.h"

#include <charconv>
#include <chrono>
#include <condition_variable>
#include <optional>
#include <set>
#include <utility>

#include "tools/postgres/connection.h"
#include "tools/restore/captured.h"
#include "tools/restore/restore.h"
#include "tools/restore/sequences.h"
#include "tools/restore/sink_apply.h"
#include "tools/restore/sql.h"
#include "tools/restore/transaction.h"

namespace kembar::restore {
namespace {

// How long one watch lasts when nothing comes: then the newest boundary is asked for.
constexpr client::Millis kWatch{1'000};
// "kembar" as a number: one sink at a time works on a database.
constexpr char kLock[] = "SELECT pg_try_advisory_lock(118016253682034)";

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Position {
  uint64_t index = 0;
  std::string lsn;
};

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

bool Incurable(Code code) { return code == Code::kExists || code == Code::kInvalid; }

}  // namespace

double SinkStatus::LagSeconds(int64_t now_us) const {
  if (asked_us != 0 && applied_index >= newest_index) {
    // Level when last asked; what was since is unknown.
    return static_cast<double>(now_us - asked_us) / 1e6;
  }
  return static_cast<double>(now_us - applied_time_us) / 1e6;
}

// One connection to the database and one to the log, until something fails.
class Sink::Session {
 public:
  Session(Sink* sink, std::stop_token stop) : sink_(sink), stop_(std::move(stop)) {}

  Status Run() {
    ASSIGN_OR_RETURN(log_, sink_->open_log_());
    RETURN_IF_ERROR(Connect());
    ASSIGN_OR_RETURN(const Boundary newest, AskNewest());
    source_ = newest.source;
    ASSIGN_OR_RETURN(const std::optional<Position> position, ReadPosition());
    if (!position) {
      ASSIGN_OR_RETURN(Captured captured, ReadCaptured(log_.get(), newest));
      RETURN_IF_ERROR(CheckEmpty(connection_.get(), captured));
      RETURN_IF_ERROR(Fill(newest, std::move(captured), nullptr));
    } else {
      RETURN_IF_ERROR(Resume(*position, newest));
    }
    while (!stop_.stop_requested()) RETURN_IF_ERROR(Follow());
    return {};
  }

 private:
  Status Connect() {
    ASSIGN_OR_RETURN(connection_, postgres::Connection::Open({.dsn = sink_->options_.dsn,
                                                              .application_name = "kembar-sink"}));
    ASSIGN_OR_RETURN(const postgres::Rows lock, connection_->Query(kLock));
    if (lock.empty() || lock[0][0] != "t") {
      return Status(Code::kUnavailable, connection_->where() + ": another sink works on it");
    }
    const Status role = connection_->Execute("SET session_replication_role = replica");
    if (!role.ok()) {
      return Status(Code::kUnavailable, role.message(),
                    "the sink's user must be superuser, or since PostgreSQL 15: GRANT SET ON "
                    "PARAMETER session_replication_role TO it");
    }
    // What a crash of the server takes is applied again: the position goes with it.
    return connection_->Execute("SET synchronous_commit = off");
  }

  Result<Boundary> AskNewest() {
    ASSIGN_OR_RETURN(const Boundary newest,
                     FindBoundary(log_.get(), v1::AsOf(), sink_->options_.source));
    sink_->Tell([&](SinkStatus* status) {
      status->newest_index = newest.index;
      status->newest_time_us = newest.time_us;
      status->asked_us = NowUs();
    });
    return newest;
  }

  Result<std::optional<Position>> ReadPosition() {
    ASSIGN_OR_RETURN(
        const postgres::Rows there,
        connection_->Query("SELECT 1 WHERE to_regclass('kembar.sink_position') IS NOT NULL"));
    if (there.empty()) return std::optional<Position>();
    const capture::ValueView parameters[] = {source_};
    ASSIGN_OR_RETURN(
        const postgres::Rows rows,
        connection_->Query("SELECT log_index, lsn FROM kembar.sink_position WHERE source = $1",
                           parameters));
    if (rows.empty()) return std::optional<Position>();
    Position position{.lsn = rows[0][1].value_or("")};
    const std::string& index = rows[0][0].value_or("");
    std::from_chars(index.data(), index.data() + index.size(), position.index);
    return std::optional<Position>(position);
  }

  Status WritePosition(const Boundary& boundary) {
    const std::string index = std::to_string(boundary.index);
    const std::string lsn = capture::FormatLsn(boundary.marker.lsn);
    const std::string micros = std::to_string(boundary.time_us);
    const capture::ValueView parameters[] = {source_, index, lsn, micros};
    return connection_->Execute(
        "INSERT INTO kembar.sink_position (source, log_index, lsn, committed, applied) VALUES"
        " ($1, $2, $3, to_timestamp($4::numeric / 1000000), clock_timestamp()) ON CONFLICT (source)"
        " DO UPDATE SET log_index = excluded.log_index, lsn = excluded.lsn,"
        " committed = excluded.committed, applied = excluded.applied",
        parameters);
  }

  // The log must still hold the boundary at which the database stands; after a failover that lost
  // records it may be another one.
  Status Resume(const Position& position, const Boundary& newest) {
    Result<Boundary> here =
        FindBoundary(log_.get(), AtIndex(std::min(position.index, newest.index)), source_);
    const bool same = here.ok() && here->index == position.index &&
                      capture::FormatLsn(here->marker.lsn) == position.lsn;
    if (!here.ok() && here.status().code() != Code::kNotFound) return here.status();
    if (same) {
      ASSIGN_OR_RETURN(Captured captured, ReadCaptured(log_.get(), *here));
      return Begin(*here, std::move(captured));
    }
    ASSIGN_OR_RETURN(Captured captured, ReadCaptured(log_.get(), newest));
    const Captured before = captured;
    return Fill(newest, std::move(captured), &before);
  }

  Status Begin(const Boundary& boundary, Captured captured) {
    captured_ = std::move(captured);
    ASSIGN_OR_RETURN(SinkApplier applier,
                     SinkApplier::Load(connection_.get(), log_.get(), captured_));
    applier_.emplace(std::move(applier));
    next_ = boundary.index + 1;
    sink_->Tell([&](SinkStatus* status) {
      status->state = SinkState::kFollowing;
      status->error.clear();
      status->applied_index = boundary.index;
      status->applied_time_us = boundary.time_us;
    });
    return {};
  }

  // All in one transaction. `before`: what is in the database and must go.
  Status Fill(const Boundary& boundary, Captured captured, const Captured* before) {
    sink_->Tell([](SinkStatus* status) { status->state = SinkState::kFilling; });
    Transaction transaction(connection_.get());
    RETURN_IF_ERROR(transaction.Begin());
    if (before != nullptr) RETURN_IF_ERROR(Drop(*before, captured));
    const Result<Restored> filled =
        FillDatabase(connection_.get(), log_.get(), boundary, captured,
                     [&](uint64_t, uint64_t) { /* the status says kFilling */ });
    if (!filled.ok()) return filled.status().Prepend("fill the standby database");
    RETURN_IF_ERROR(connection_->Execute(
        "CREATE SCHEMA IF NOT EXISTS kembar; CREATE TABLE IF NOT EXISTS kembar.sink_position"
        " (source text PRIMARY KEY, log_index bigint NOT NULL, lsn text NOT NULL,"
        " committed timestamptz, applied timestamptz NOT NULL)"));
    RETURN_IF_ERROR(WritePosition(boundary));
    RETURN_IF_ERROR(transaction.Commit());
    (void)connection_->Execute("ANALYZE");  // only makes queries faster
    sink_->Tell([](SinkStatus* status) { ++status->fillings; });
    return Begin(boundary, std::move(captured));
  }

  Status Drop(const Captured& before, const Captured& after) {
    std::set<std::string> schemas = SchemasMade(before.pre_data);
    schemas.merge(SchemasMade(after.pre_data));
    for (const Captured* captured : {&before, &after}) {
      for (const std::string& schema : captured->Schemas()) {
        if (schema != "public") schemas.insert(connection_->QuoteIdent(schema));
      }
    }
    for (const std::string& schema : schemas) {
      RETURN_IF_ERROR(connection_->Execute("DROP SCHEMA IF EXISTS " + schema + " CASCADE"));
    }
    // The dump takes it for granted, and its privileges too.
    if (!schemas.contains("public")) {
      RETURN_IF_ERROR(connection_->Execute(
          "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public"
          " TO PUBLIC"));
    }
    std::set<uint32_t> objects(before.large_objects.begin(), before.large_objects.end());
    objects.insert(after.large_objects.begin(), after.large_objects.end());
    for (const uint32_t oid : objects) {
      RETURN_IF_ERROR(connection_->Execute(
          "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = " + std::to_string(oid)));
    }
    return {};
  }

  // What is there, and what comes within a second.
  Status Follow() {
    Status failed;
    const Status status =
        log_->Watch(next_, client::Deadline::After(kWatch), [&](const v1::Record& record) {
          failed = Take(record);
          return failed.ok() && !stop_.stop_requested() && !refill_;
        });
    RETURN_IF_ERROR(failed);
    if (!status.ok() && status.code() != Code::kTimeout) return status;
    if (std::exchange(refill_, false)) {
      // Where the log stands by now: changes of the schema come in bursts.
      ASSIGN_OR_RETURN(const Boundary boundary, AskNewest());
      ASSIGN_OR_RETURN(Captured captured, ReadCaptured(log_.get(), boundary));
      const Captured before = captured_;
      return Fill(boundary, std::move(captured), &before);
    }
    RETURN_IF_ERROR(AskNewest().status());
    return RaiseWhenLevel();
  }

  // The log knows sequences by reconciliation only; whoever is pointed at this database must not be
  // given numbers that rows have already.
  Status RaiseWhenLevel() {
    if (!std::exchange(rows_came_, false) || transaction_) return {};
    std::vector<capture::TableName> tables;
    for (const auto& [name, table] : captured_.tables) {
      tables.push_back(name);
      if (table.root != name) tables.push_back(table.root);
    }
    return RaiseSequences(connection_.get(), {}, tables).status();
  }

  Status Take(const v1::Record& record) {
    next_ = record.index() + 1;
    const capture::ItemName name = capture::ParseItem(record.item());
    if (name.kind == capture::ItemKind::kTransaction && name.key == source_) {
      return End(record);
    }
    if (changed_) return {};
    rows_came_ = rows_came_ || name.kind == capture::ItemKind::kRow;
    if (!transaction_) {
      transaction_ = std::make_unique<Transaction>(connection_.get());
      RETURN_IF_ERROR(transaction_->Begin());
    }
    Result<bool> changed = applier_->Apply(record);
    // A reconciliation says what is there before what is gone, so that two rows may want the same
    // unique value for a moment. Filling anew is slow, and right.
    if (!changed.ok() && connection_->sqlstate().starts_with("23")) changed = true;
    if (!changed.ok()) {
      return changed.status().Prepend("record " + std::to_string(record.index()) + ", " +
                                      record.item());
    }
    if (*changed) {
      changed_ = true;
      transaction_.reset();
    }
    return {};
  }

  // A boundary: what came before it is committed here, with its index.
  Status End(const v1::Record& record) {
    ASSIGN_OR_RETURN(const capture::Marker marker, capture::DecodeMarker(record.payload()));
    const Boundary boundary{
        .source = source_,
        .index = record.index(),
        .marker = marker,
        .time_us = marker.committed_us != 0 ? marker.committed_us : record.time_us()};
    if (std::exchange(changed_, false)) {
      refill_ = true;
      return {};
    }
    if (!transaction_) {
      transaction_ = std::make_unique<Transaction>(connection_.get());
      RETURN_IF_ERROR(transaction_->Begin());
    }
    RETURN_IF_ERROR(WritePosition(boundary));
    const Status committed = transaction_->Commit();
    transaction_.reset();
    RETURN_IF_ERROR(committed);
    sink_->Tell([&](SinkStatus* status) {
      status->applied_index = boundary.index;
      status->applied_time_us = boundary.time_us;
      ++status->transactions;
    });
    return {};
  }

  Sink* const sink_;
  const std::stop_token stop_;
  std::unique_ptr<LogReader> log_;
  std::unique_ptr<postgres::Connection> connection_;
  std::string source_;
  Captured captured_;
  std::optional<SinkApplier> applier_;
  uint64_t next_ = 0;
  std::unique_ptr<Transaction> transaction_;  // begun by the first record behind a boundary
  bool rows_came_ = false;                    // since sequences were looked at
  bool changed_ = false;                      // the schema: nothing is applied until the boundary
  bool refill_ = false;                       // the boundary is there: the database is filled anew
};

template <class Change>
void Sink::Tell(const Change& change) {
  const std::lock_guard lock(mutex_);
  change(&status_);
}

SinkStatus Sink::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void Sink::Wait(std::stop_token stop, client::Millis wait) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  woken.wait_for(lock, std::move(stop), wait, [] { return false; });
}

Status Sink::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const Status status = Session(this, stop).Run();
    if (status.ok()) break;
    Tell([&](SinkStatus* told) {
      told->state = SinkState::kFailing;
      told->error = status.ToString();
    });
    if (Incurable(status.code())) return status;
    Wait(stop, options_.retry);
  }
  return {};
}

}  // namespace kembar::restore
