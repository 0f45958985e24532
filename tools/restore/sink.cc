// sink.cc — see sink.h.
#include "tools/restore/sink.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <optional>
#include <utility>

#include "tools/postgres/connection.h"
#include "tools/restore/captured.h"
#include "tools/restore/restore.h"
#include "tools/restore/sequences.h"
#include "tools/restore/sink_apply.h"
#include "tools/restore/sink_database.h"
#include "tools/restore/transaction.h"

namespace kembar::restore {
namespace {

using SteadyClock = std::chrono::steady_clock;

// How long one watch lasts: then the newest boundary is asked for.
constexpr client::Millis kWatch{1'000};
// And when something is known to be on its way, over whatever link.
constexpr client::Millis kWatchLongest{30'000};
constexpr double kSecondUs = 1e6;

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void WaitFor(const std::stop_token& stop, client::Millis wait) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  woken.wait_for(lock, stop, wait, [] { return false; });
}

// Filling may take hours: `stop` ends it at the next item.
class StoppableLog : public LogReader {
 public:
  StoppableLog(std::unique_ptr<LogReader> log, std::stop_token stop)
      : log_(std::move(log)), stop_(std::move(stop)) {}

  Status List(const ItemQuery& query, const EachVersion& each) override {
    return log_->List(query, [&](Version version) -> Status {
      if (stop_.stop_requested()) return Status(Code::kCancelled, "the sink is told to stop");
      return each(std::move(version));
    });
  }
  Result<std::optional<Version>> Get(const std::string& package, const std::string& item,
                                     const v1::AsOf& as_of) override {
    return log_->Get(package, item, as_of);
  }
  Status Packages(const v1::AsOf& as_of, const EachPackage& each) override {
    return log_->Packages(as_of, each);
  }
  Status Watch(uint64_t from, const client::Deadline& deadline, const EachRecord& each) override {
    return log_->Watch(from, deadline, each);
  }

 private:
  const std::unique_ptr<LogReader> log_;
  const std::stop_token stop_;
};

bool ChangesDatabase(capture::ItemKind kind) {
  return kind == capture::ItemKind::kRow || kind == capture::ItemKind::kSequence ||
         kind == capture::ItemKind::kLargeObject;
}

std::string Which(const v1::Record& record) {
  return "record " + std::to_string(record.index()) + ", " + record.item();
}

// What the database says when rows do not fit it: integrity, as when a reconciliation tells what is
// there before what is gone, so that two rows want the same unique value for a moment; or data and
// names that it does not know, since the SQL that changed the schema comes a little later.
bool DoesNotFit(const std::string& sqlstate) {
  return sqlstate.starts_with("22") || sqlstate.starts_with("23") || sqlstate.starts_with("42");
}

}  // namespace

const char* SinkStateName(SinkState state) {
  switch (state) {
    case SinkState::kStarting: return "starting";
    case SinkState::kFilling: return "filling";
    case SinkState::kFollowing: return "following";
    case SinkState::kFailing: return "failing";
    case SinkState::kStopped: return "stopped";
  }
  return "unknown";
}

double SinkStatus::LagSeconds(int64_t now_us) const {
  const int64_t since_us = std::max(applied_time_us, level_us);
  if (since_us == 0) return std::numeric_limits<double>::infinity();
  return static_cast<double>(std::max<int64_t>(now_us - since_us, 0)) / kSecondUs;
}

// One connection to the database and one to the log, until something fails.
class Sink::Session {
 public:
  Session(Sink* sink, std::stop_token stop) : sink_(sink), stop_(std::move(stop)) {}

  Status Run() {
    ASSIGN_OR_RETURN(auto log, MustBeValid(sink_->open_log_()));
    log_ = std::make_unique<StoppableLog>(std::move(log), stop_);
    ASSIGN_OR_RETURN(connection_, MustBeValid(ConnectStandby(sink_->options_.dsn)));
    ASSIGN_OR_RETURN(const Boundary newest, AskNewest());
    ASSIGN_OR_RETURN(const std::optional<SinkPosition> position,
                     ReadPosition(connection_.get(), source_));
    if (position) {
      position_ = *position;
      RETURN_IF_ERROR(Resume(newest));
    } else {
      RETURN_IF_ERROR(Begin(newest));
    }
    while (!stop_.stop_requested()) RETURN_IF_ERROR(Follow());
    return {};
  }

  // Whether waiting does not cure what Run returned.
  bool incurable() const { return incurable_; }

 private:
  // The schema, or what it forbids: nothing is applied until the database is filled anew.
  struct Change {
    uint64_t index = 0;  // of the record that told
    bool sql_to_come = false;
    std::string why;
  };

  Status Incurable(Status status) {
    incurable_ = true;
    return status;
  }
  template <class T>
  Result<T> MustBeValid(Result<T> result) {
    if (result.status().code() == Code::kInvalid) incurable_ = true;
    return result;
  }

  Result<Boundary> AskNewest() {
    const int64_t asked_us = NowUs();
    ASSIGN_OR_RETURN(const Boundary newest,
                     MustBeValid(FindBoundary(log_.get(), v1::AsOf(), sink_->options_.source)));
    source_ = newest.source;
    newest_index_ = newest.index;
    sink_->Tell([&](SinkStatus* status) {
      status->source = source_;
      status->newest_index = newest.index;
      status->newest_time_us = newest.time_us;
      if (position_.index >= newest.index) status->level_us = asked_us;
    });
    return newest;
  }

  // A database without a position: it must be empty, and is filled.
  Status Begin(const Boundary& newest) {
    ASSIGN_OR_RETURN(Captured captured, ReadCaptured(log_.get(), newest));
    const Status empty = CheckEmpty(connection_.get(), captured);
    if (empty.code() == Code::kExists) {
      return Incurable(Status(Code::kExists, empty.message(),
                              "the sink needs a database of its own that is empty: createdb"));
    }
    RETURN_IF_ERROR(empty);
    return Fill(newest, std::move(captured), nullptr);
  }

  // Whether the log has the boundary at which the database stands.
  Result<std::optional<Boundary>> FindPosition() {
    const Result<Boundary> here = FindBoundary(log_.get(), AtIndex(position_.index), source_);
    if (!here.ok() && here.status().code() != Code::kNotFound) return here.status();
    if (!here.ok() || SinkPosition::Of(*here) != position_) return std::optional<Boundary>();
    return std::optional<Boundary>(*here);
  }

  // After a failover that lost records the log may hold others where the database stands.
  Status Resume(const Boundary& newest) {
    if (newest.index < position_.index) {
      return Status(Code::kUnavailable,
                    "the database stands at index " + std::to_string(position_.index) +
                        ", but this node holds the log only up to " + std::to_string(newest.index),
                    "it may have to catch up; after a failover with accepted loss the database "
                    "holds more than the log");
    }
    ASSIGN_OR_RETURN(const std::optional<Boundary> here, FindPosition());
    if (here) {
      ASSIGN_OR_RETURN(Captured captured, ReadCaptured(log_.get(), *here));
      return Stand(*here, std::move(captured));
    }
    sink_->Note(false, "the log does not hold index " + std::to_string(position_.index) + ", " +
                           position_.lsn + ", any more: the database is filled anew");
    ASSIGN_OR_RETURN(Captured captured, ReadCaptured(log_.get(), newest));
    const Captured before = captured;
    return Fill(newest, std::move(captured), &before);
  }

  // The database stands at `boundary`; what is behind it is applied from now on.
  Status Stand(const Boundary& boundary, Captured captured) {
    transaction_.reset();
    change_.reset();
    captured_ = std::move(captured);
    ASSIGN_OR_RETURN(SinkApplier applier,
                     SinkApplier::Load(connection_.get(), log_.get(), captured_));
    applier_.emplace(std::move(applier));
    next_ = boundary.index + 1;
    epoch_ = 0;
    numbers_came_ = true;
    position_ = SinkPosition::Of(boundary);
    bool news = false;
    sink_->Tell([&](SinkStatus* status) {
      news = status->state != SinkState::kFollowing;
      status->state = SinkState::kFollowing;
      status->error.clear();
      status->applied_index = boundary.index;
      status->applied_time_us = boundary.time_us;
    });
    if (news) {
      sink_->Note(true, connection_->where() + " follows " + source_ + " from index " +
                            std::to_string(boundary.index));
    }
    return {};
  }

  // All in one transaction. `before`: what is in the database and must go.
  Status Fill(const Boundary& boundary, Captured captured, const Captured* before) {
    sink_->Tell([](SinkStatus* status) { status->state = SinkState::kFilling; });
    sink_->Note(true, connection_->where() + " is filled from " + source_ + " as of index " +
                          std::to_string(boundary.index));
    transaction_.reset();
    Transaction transaction(connection_.get());
    RETURN_IF_ERROR(transaction.Begin());
    if (before != nullptr) {
      RETURN_IF_ERROR(Move(boundary));
      RETURN_IF_ERROR(DropCaptured(connection_.get(), *before, captured));
    }
    const Result<Restored> filled =
        FillDatabase(connection_.get(), log_.get(), boundary, captured,
                     [](uint64_t, uint64_t) { /* the status says kFilling */ });
    if (!filled.ok()) return filled.status().Prepend("fill the standby database");
    RETURN_IF_ERROR(MakePosition(connection_.get(), boundary));
    RETURN_IF_ERROR(transaction.Commit());
    (void)connection_->Execute("ANALYZE");  // only makes queries faster
    sink_->Tell([](SinkStatus* status) { ++status->fillings; });
    return Stand(boundary, std::move(captured));
  }

  Status Move(const Boundary& boundary) {
    Status moved = MovePosition(connection_.get(), position_, boundary);
    return moved.code() == Code::kPrecondition ? Incurable(std::move(moved)) : moved;
  }

  // What is there, and what comes within a second.
  Status Follow() {
    const bool on_its_way = newest_index_ >= next_;
    const auto end = SteadyClock::now() + kWatch;
    bool again = false;
    Status failed;
    const Status status =
        log_->Watch(next_, client::Deadline::After(on_its_way ? kWatchLongest : kWatch),
                    [&](const v1::Record& record) {
                      const Result<bool> resume = Take(record);
                      failed = resume.status();
                      again = resume.ok() && *resume;
                      return failed.ok() && !again && !change_ && !stop_.stop_requested() &&
                             SteadyClock::now() < end;
                    });
    RETURN_IF_ERROR(failed);
    if (!status.ok() && status.code() != Code::kTimeout) return status;
    ASSIGN_OR_RETURN(const Boundary newest, AskNewest());
    if (again) return Resume(newest);
    if (change_) return FillAnew();
    return position_.index >= newest.index ? RaiseNumbers() : Status::Ok();
  }

  // The log knows sequences by reconciliation only; whoever is pointed at this database must not be
  // given numbers that rows have already.
  Status RaiseNumbers() {
    if (!std::exchange(numbers_came_, false) || transaction_) return {};
    std::vector<capture::TableName> tables;
    for (const auto& [name, table] : captured_.tables) {
      tables.push_back(name);
      if (table.root != name) tables.push_back(table.root);
    }
    return RaiseSequences(connection_.get(), {}, tables).status();
  }

  // True: go on from the position, since the log may have changed before this record.
  Result<bool> Take(const v1::Record& record) {
    if (record.epoch() != epoch_) {
      const bool open = transaction_ != nullptr;
      ASSIGN_OR_RETURN(const std::optional<Boundary> here, FindPosition());
      if (open || !here) return true;
      epoch_ = record.epoch();
    }
    next_ = record.index() + 1;
    const capture::ItemName name = capture::ParseItem(record.item());
    if (name.kind == capture::ItemKind::kTransaction && name.key == source_) {
      RETURN_IF_ERROR(End(record));
      return false;
    }
    if (ChangesDatabase(name.kind)) {
      numbers_came_ = true;
      RETURN_IF_ERROR(EnsureTransaction());
    }
    const Result<bool> changed = applier_->Apply(record);
    if (changed.ok() && *changed) {
      SetChange({.index = record.index(), .sql_to_come = true, .why = Which(record)});
      return false;
    }
    RETURN_IF_ERROR(Judge(changed.status(), record));
    return false;
  }

  // A change of the schema when the database says that rows do not fit; otherwise `status`.
  Status Judge(const Status& status, const v1::Record& record) {
    if (status.ok()) return {};
    if (!DoesNotFit(connection_->sqlstate())) return status.Prepend(Which(record));
    SetChange({.index = record.index(),
               .sql_to_come = !connection_->sqlstate().starts_with("23"),
               .why = "at " + Which(record) + ": " + status.message()});
    return {};
  }

  void SetChange(Change change) {
    change_ = std::move(change);
    transaction_.reset();
  }

  Status EnsureTransaction() {
    if (transaction_) return {};
    transaction_ = std::make_unique<Transaction>(connection_.get());
    return transaction_->Begin();
  }

  // A boundary: what came before it is committed here, with its index.
  Status End(const v1::Record& record) {
    ASSIGN_OR_RETURN(const capture::Marker marker, capture::DecodeMarker(record.payload()));
    const Boundary boundary{
        .source = source_,
        .index = record.index(),
        .marker = marker,
        .time_us = marker.committed_us != 0 ? marker.committed_us : record.time_us()};
    RETURN_IF_ERROR(Judge(applier_->Flush(), record));
    if (change_) return {};
    RETURN_IF_ERROR(EnsureTransaction());
    RETURN_IF_ERROR(Move(boundary));
    const Status committed = transaction_->Commit();
    transaction_.reset();
    RETURN_IF_ERROR(committed);
    position_ = SinkPosition::Of(boundary);
    sink_->Tell([&](SinkStatus* status) {
      status->applied_index = boundary.index;
      status->applied_time_us = boundary.time_us;
      ++status->transactions;
    });
    return {};
  }

  // At the newest boundary, since changes of the schema come in bursts. A table's new columns are
  // in the log at once, the SQL that made them only when the agent looked for it: filled before,
  // they would be left out, and it would all be done again.
  Status FillAnew() {
    const auto end = SteadyClock::now() + sink_->options_.schema_wait;
    sink_->Note(true, "the schema has changed: " + change_->why);
    while (!stop_.stop_requested()) {
      ASSIGN_OR_RETURN(const Boundary newest, AskNewest());
      if (newest.index >= change_->index) {
        ASSIGN_OR_RETURN(Captured captured, ReadCaptured(log_.get(), newest));
        const bool sql_came =
            captured.pre_data != captured_.pre_data || captured.post_data != captured_.post_data;
        if (sql_came || !change_->sql_to_come || SteadyClock::now() >= end) {
          const Captured before = captured_;
          return Fill(newest, std::move(captured), &before);
        }
      }
      WaitFor(stop_, kWatch);
    }
    return {};
  }

  Sink* const sink_;
  const std::stop_token stop_;
  bool incurable_ = false;
  std::unique_ptr<LogReader> log_;
  std::unique_ptr<postgres::Connection> connection_;
  std::string source_;
  uint64_t newest_index_ = 0;
  SinkPosition position_;  // as committed in the database
  Captured captured_;      // what it was filled from
  std::optional<SinkApplier> applier_;
  uint64_t next_ = 0;
  uint64_t epoch_ = 0;                        // of the last record; 0: none came since the position
  std::unique_ptr<Transaction> transaction_;  // begun by the first record behind a boundary
  bool numbers_came_ = false;                 // since sequences were looked at
  std::optional<Change> change_;
};

template <class Change>
void Sink::Tell(const Change& change) {
  const std::lock_guard lock(mutex_);
  change(&status_);
}

void Sink::Note(bool good, const std::string& text) const {
  if (on_note) on_note(good, text);
}

SinkStatus Sink::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void Sink::Fails(SinkState state, const Status& why) {
  const std::string text = why.ToString();
  bool news = false;
  Tell([&](SinkStatus* told) {
    news = told->error != text;
    told->state = state;
    told->error = text;
  });
  // Once, not at every attempt; what Run returns is its caller's to tell.
  if (news && state == SinkState::kFailing) Note(false, text);
}

Status Sink::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Session session(this, stop);
    Status status = session.Run();
    if (status.ok() || stop.stop_requested()) break;
    Fails(session.incurable() ? SinkState::kStopped : SinkState::kFailing, status);
    if (session.incurable()) return status;
    WaitFor(stop, options_.retry);
  }
  return {};
}

}  // namespace kembar::restore
