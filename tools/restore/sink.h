// sink.h — keeps a warm standby database up to date from a log, transaction by transaction.
//
// An empty database is filled first. Then every transaction of the source becomes one transaction
// here, which also writes its index into kembar.sink_position: after any crash the sink goes on
// exactly where the database stands. When the schema changes, the captured schemas are dropped and
// filled anew, in one transaction; whoever reads waits meanwhile.
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
};

enum class SinkState : uint8_t { kStarting, kFilling, kFollowing, kFailing };

struct SinkStatus {
  SinkState state = SinkState::kStarting;
  std::string error;            // kFailing: what is wrong
  uint64_t applied_index = 0;   // of the boundary at which the database stands; 0: none
  int64_t applied_time_us = 0;  // when that transaction was committed at the source
  uint64_t newest_index = 0;    // of the log's newest boundary, as last asked
  int64_t newest_time_us = 0;
  int64_t asked_us = 0;       // when that was; 0: never. Silence is no lag of zero
  uint64_t transactions = 0;  // applied by this process
  uint64_t fillings = 0;      // likewise

  // Seconds that the database is behind the log: 0 when it stands at the newest boundary.
  double LagSeconds(int64_t now_us) const;
};

class Sink {
 public:
  // Asked at the start and after every failure, so that it may give another node.
  using OpenLog = std::function<Result<std::unique_ptr<LogReader>>()>;

  Sink(SinkOptions options, OpenLog open_log)
      : options_(std::move(options)), open_log_(std::move(open_log)) {}

  // Until `stop`, or an error that waiting does not cure (kExists: the database holds something
  // else; kInvalid).
  Status Run(std::stop_token stop);
  SinkStatus status() const;

 private:
  class Session;
  template <class Change>
  void Tell(const Change& change);
  void Wait(std::stop_token stop, client::Millis wait);

  const SinkOptions options_;
  const OpenLog open_log_;
  mutable std::mutex mutex_;
  SinkStatus status_;
};

}  // namespace kembar::restore
