// log_writer.h — hands batches to the log on a thread of its own, so that the session's thread
// stays free to answer the PostgreSQL server while a node is away.
//
// Thread-safety: used by one thread; acknowledgements come on others and wake it.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "tools/agent/postgres/capturer.h"
#include "tools/agent/wakeup.h"
#include "tools/client/appender.h"

namespace kembar::agent {

class LogWriter {
 public:
  struct Options {
    std::vector<std::string> nodes;
    std::string log;
    std::string source;
    client::Millis timeout{20'000};  // without progress
  };
  // Begins after `position`, as LogClient::Fence left it; `boundary` is what the log holds until
  // then. `wakeup` is woken by acknowledgements and failures, and outlives the writer.
  LogWriter(Options options, uint64_t position, const Marker& boundary,
            std::shared_ptr<client::ChannelPool> channels, Wakeup* wakeup);
  ~LogWriter();  // drops what is not acknowledged
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Takes a batch; never waits. The caller keeps below kBatchesInFlightMax.
  void Push(Batch batch);
  bool HasRoom() const;
  bool Idle() const;  // everything is acknowledged
  Status status() const;

  struct Acknowledged {
    Marker boundary;           // the last marker with `last`
    int64_t canary_us = 0;     // commit time of the last canary
    int64_t committed_us = 0;  // of the last transaction
    uint64_t index = 0;
    uint64_t batches = 0;
  };
  Acknowledged acknowledged() const;

 private:
  struct Waiting {
    uint64_t position = 0;
    Marker marker;
    bool canary = false;
    size_t bytes = 0;
  };
  void ThreadMain();
  void OnAck(const v1::AppendResponse& response);

  const Options options_;
  Wakeup* const wakeup_;
  client::Cluster cluster_;  // the thread's only
  const uint64_t position_at_start_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<uint64_t, Batch>> queue_;  // not yet given to the appender
  std::deque<Waiting> waiting_;                   // not acknowledged, the queue's included
  size_t waiting_bytes_ = 0;
  uint64_t position_ = 0;
  bool stopping_ = false;
  Status status_;
  Acknowledged acknowledged_;

  std::unique_ptr<client::Appender> appender_;  // the thread's only
  std::thread thread_;
};

}  // namespace kembar::agent
