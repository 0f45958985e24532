// package_counts.h — how many packages of each log are complete, incomplete and at risk here, for
// metrics.
//
// Counting passes all items of a log, so it is done in the background: again only after something
// changed, and with so much rest after each count that it takes a small share of the time, however
// large the logs are and however many.
//
// Thread-safety: every method from any thread; Start and Stop by one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "node/engine.h"
#include "node/inventory.h"

namespace kembar {

struct PackageCounts {
  uint64_t as_of = 0;  // records up to here were counted
  uint64_t complete = 0;
  uint64_t incomplete = 0;
  uint64_t at_risk = 0;
};

struct PackageCounterOptions {
  // As TenderServiceOptions::documents and ::told; may be empty.
  std::function<DocumentsHere(const std::string& log)> documents;
  std::function<Told(const std::string& log)> told;
  int64_t pause_ms = 2'000;   // at least, between two counts of a log
  int64_t pause_factor = 20;  // after a count, of whichever log: so many times as long as it took
};

class PackageCounter {
 public:
  // The engine outlives it.
  PackageCounter(Engine* engine, PackageCounterOptions options);
  ~PackageCounter();  // stops

  void Start();
  void Stop();

  // Logs that have not been counted yet are left out.
  std::map<std::string, PackageCounts> Counts() const;

 private:
  struct Log {
    InventoryScope counted;
    int64_t next_us = 0;  // monotonic
    std::string told;     // the trouble that was logged last
  };

  void Run();
  // Looks at one log when it is its time; true: it was counted.
  Result<bool> Turn(const std::string& name, Log* log);
  Status Count(const std::string& name, const InventoryScope& scope);
  bool Rest(int64_t us);  // false: stopping
  bool stopping() const;

  Engine* const engine_;
  const PackageCounterOptions options_;
  std::map<std::string, Log> logs_;  // the thread's own

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::map<std::string, PackageCounts> counts_;
  std::thread thread_;
};

}  // namespace kembar
