// appender.h — appends many batches of one source through one pipelined stream, each exactly once.
//
// Batches wait here, in order, until they are acknowledged. When the stream breaks, or the primary
// changes, everything that is not acknowledged is sent again with the same positions; the log drops
// what it holds already, and refuses what would skip something (after_position). Gives up when
// nothing is acknowledged for `timeout`.
//
// A stream that breaks is noticed when Append or Finish is called.
//
// Thread-safety: used by one thread. `on_ack` is called on gRPC's threads, one call at a time and
// in order, and must neither block for long nor call back into the appender.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "tools/client/follower.h"

namespace kembar::client {

struct AppenderOptions {
  std::string log;
  std::string source;
  size_t window = 1'024;                  // batches not yet acknowledged
  size_t window_bytes = size_t{8} << 20;  // and their bytes
  Millis timeout = Millis(30'000);        // without any progress
};

class Appender {
 public:
  using AckFn = std::function<void(const v1::AppendResponse&)>;

  // `cluster` outlives the appender.
  Appender(Cluster* cluster, AppenderOptions options, AckFn on_ack);
  ~Appender();  // drops what is not acknowledged; see Finish
  Appender(const Appender&) = delete;
  Appender& operator=(const Appender&) = delete;

  // Learns the source's last position, from which the caller goes on.
  Status Start();
  uint64_t last_position() const { return last_position_; }

  // Takes one atomic batch; waits while the window is full. `position` is above all before it.
  // After a failure every call returns that failure.
  Status Append(uint64_t position, std::vector<v1::Draft> drafts);
  // Waits until everything is acknowledged.
  Status Finish();

 private:
  class Call;
  struct Pending {
    std::shared_ptr<const v1::AppendRequest> request;
    size_t bytes = 0;
  };

  template <class Predicate>
  Status DriveUntil(const Predicate& reached);
  Status OpenCall();
  Status HandleEnd();
  void GiveUp();
  void Pump();
  void OnResponse(const v1::AppendResponse& response);

  // Constant after construction.
  const AppenderOptions options_;
  const AckFn on_ack_;
  // The caller's thread only.
  PrimaryFollower follower_;
  Backoff backoff_;
  uint64_t last_position_ = 0;
  Status failed_;
  // While a call is up its own, else the caller's thread's.
  Status last_trouble_;
  // Guarded by mutex_, which is never held while gRPC is called.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pending> pending_;
  size_t pending_bytes_ = 0;
  size_t sent_ = 0;  // of pending_, on the present call
  Deadline give_up_ = Deadline::Never();
  bool progressed_ = false;  // since the last failure
  Status protocol_error_;
  std::unique_ptr<Call> call_;
};

}  // namespace kembar::client
