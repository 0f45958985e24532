// sink.h — keeps a warm standby database up to date from a log, transaction by transaction.
//
// An empty database is filled first. Then every transaction of the source becomes one transaction
// here, which also moves its index in kembar.sink_position: after any crash the sink goes on
// exactly where the database stands. When the schema changes, the captured schemas are dropped and
// filled anew, in one transaction; whoever reads waits meanwhile.
//
// Who deletes the row in kembar.sink_position takes the database away from the sink for good: it
// ends, and no sink begins on a database that holds something.
//
// Thread-safety: Run is called by one thread, once at a time; status() by any.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "tools/restore/boundary.h"
#include "tools/restore/log_reader.h"

namespace kembar::restore {

struct SinkOptions {
  std::string dsn;
  std::string source;  // empty: the only one
  client::Millis retry{2'000};
  // How long a changed table waits for the SQL that changed it, before it is filled without.
  client::Millis schema_wait{120'000};
};

enum class SinkState : uint8_t { kStarting, kFilling, kFollowing, kFailing, kStopped };
const char* SinkStateName(SinkState state);

struct SinkStatus {
  SinkState state = SinkState::kStarting;
  std::string source;  // "postgres/NAME"; empty: not known yet
  std::string error;   // kFailing, kStopped: what is wrong; kStopped: it does not go on by itself
  uint64_t applied_index = 0;   // of the boundary at which the database stands; 0: none
  int64_t applied_time_us = 0;  // when that transaction was committed at the source
  uint64_t newest_index = 0;    // of the log's newest boundary, as last asked
  int64_t newest_time_us = 0;
  int64_t level_us = 0;       // when the database was last seen to stand there; 0: never
  uint64_t transactions = 0;  // applied by this process
  uint64_t fillings = 0;      // likewise

  // Everything that was in the log so many seconds ago is in the database; infinite: nothing is.
  double LagSeconds(int64_t now_us) const;
};

class Sink {
 public:
  // Asked at the start and after every failure, so that it may give another node.
  using OpenLog = std::function<Result<std::unique_ptr<LogReader>>()>;

  Sink(SinkOptions options, OpenLog open_log)
      : options_(std::move(options)), open_log_(std::move(open_log)) {}

  // Until `stop`, or an error that waiting does not cure: the database holds something else, or was
  // taken away from the sink; the DSN is wrong; it is not clear which log or source is meant.
  Status Run(const std::stop_token& stop);
  SinkStatus status() const;

  // Told on Run's thread when something goes wrong (`good` is false) or goes on again. Set before
  // Run.
  std::function<void(bool good, const std::string& text)> on_note;

 private:
  class Session;
  template <class Change>
  void Tell(const Change& change);
  void Note(bool good, const std::string& text) const;
  void Fails(SinkState state, const Status& why);

  const SinkOptions options_;
  const OpenLog open_log_;
  mutable std::mutex mutex_;
  SinkStatus status_;
};

}  // namespace kembar::restore
