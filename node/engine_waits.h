// engine_waits.h — the commit index of every log as the rest of the node sees it, and those who
// wait for it to grow.
//
// Owned by Engine. Written by its thread, read and waited on by any. A wake runs on the thread that
// publishes (or on the waiter's own, when there is nothing to wait for), never under the lock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace kembar {

class CommitWatch {
 public:
  using Wake = std::function<void()>;

  // Makes a log known, or moves its commit index on.
  void Publish(const std::string& log, uint64_t commit_index);
  void Forget(const std::string& log);
  uint64_t CommitIndex(const std::string& log) const;
  bool Has(const std::string& log) const;
  std::vector<std::string> Logs() const;

  // See Engine::WaitCommit.
  uint64_t Wait(const std::string& log, uint64_t index, Wake wake);
  void Cancel(uint64_t id);
  // Wakes everyone; later waits wake at once.
  void Close();

 private:
  struct Waiter {
    uint64_t id = 0;
    Wake wake;
  };
  using Waiters = std::multimap<uint64_t, Waiter>;  // by the index that must be exceeded

  mutable std::mutex mutex_;
  std::map<std::string, uint64_t> commits_;
  std::map<std::string, Waiters> waiters_;
  std::map<uint64_t, std::pair<std::string, Waiters::iterator>> by_id_;
  uint64_t next_id_ = 1;
  bool closed_ = false;
};

}  // namespace kembar
