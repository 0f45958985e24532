// engine_writer.h — the thread that makes things durable: it takes every write that is waiting,
// over all logs, into one Store::Write, while the next group gathers.
//
// Owned by Engine. Submit is called by the engine's thread; results come back in the order of
// submission, on the writer's thread. After a truncation the log is recovered before its result is
// reported (see Persist in replica.h); a truncation is alone of its log in a group.
//
// The first failure is final: the store is closed for writing, and every later result carries its
// error (see Store).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "replicator/log/store.h"

namespace kembar {

struct LogSlot;  // engine_impl.h; opaque here

struct WriteJob {
  LogSlot* slot = nullptr;
  LogWrite write;
};
struct WriteResult {
  LogSlot* slot = nullptr;
  Status status;
  std::optional<Recovered> recovered;  // after a truncation
};

class GroupWriter {
 public:
  using DoneFn = std::function<void(std::vector<WriteResult>)>;
  static constexpr size_t kGroupBytesMax = size_t{8} << 20;

  GroupWriter(Store* store, DoneFn done);
  ~GroupWriter();
  void Start();
  // Finishes the group that is being written, drops the rest, joins.
  void Stop();
  void Submit(std::vector<WriteJob> jobs);

  uint64_t groups() const { return groups_.load(std::memory_order_relaxed); }
  uint64_t group_logs() const { return group_logs_.load(std::memory_order_relaxed); }
  uint64_t micros() const { return micros_.load(std::memory_order_relaxed); }
  std::string error() const;

 private:
  void Run();
  std::vector<WriteJob> TakeGroup();  // mutex_ is held
  std::vector<WriteResult> WriteGroup(std::vector<WriteJob> jobs);
  void Fail(const Status& status);

  Store* const store_;
  const DoneFn done_;
  std::thread thread_;
  std::atomic<uint64_t> groups_{0}, group_logs_{0}, micros_{0};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<WriteJob> jobs_;
  std::string error_;
  bool stopping_ = false;
};

}  // namespace kembar
