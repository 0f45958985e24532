// workers.h — threads for what gRPC's few callback threads must not do: disk reads, compression,
// waiting for a moment.
//
// Workers runs jobs in order of arrival on a fixed number of threads. Timers calls functions at
// their time, on one thread; they must not block. Both are joined by Stop; what has not begun by
// then is dropped (and destroyed). After Stop, Run and At drop what they are given.
//
// Thread-safety: every method from any thread; Stop not from their own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace kembar {

class Workers {
 public:
  using Job = std::function<void()>;
  // `name` is seen in top -H; at most 15 characters.
  Workers(const char* name, size_t threads);
  ~Workers();
  void Run(Job job);
  void Stop();

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

class Timers {
 public:
  using Clock = std::chrono::steady_clock;
  using Fire = std::function<void()>;
  explicit Timers(const char* name);
  ~Timers();
  // Returns an id for Cancel, never 0; 0 after Stop.
  uint64_t At(Clock::time_point when, Fire fire);
  uint64_t After(std::chrono::milliseconds delay, Fire fire);
  // The function may just be running, or have run: it must bear being late.
  void Cancel(uint64_t id);
  void Stop();

 private:
  struct Timer {
    uint64_t id = 0;
    Fire fire;
  };
  using Queue = std::multimap<Clock::time_point, Timer>;
  void Loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  Queue queue_;
  std::map<uint64_t, Queue::iterator> by_id_;
  uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace kembar
