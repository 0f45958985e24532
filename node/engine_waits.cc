// engine_waits.cc — see engine_waits.h.
#include "node/engine_waits.h"

#include <utility>

namespace kembar {

void CommitWatch::Publish(const std::string& log, uint64_t commit_index) {
  std::vector<Wake> wakes;
  {
    std::lock_guard lock(mutex_);
    commits_[log] = commit_index;
    auto found = waiters_.find(log);
    if (found == waiters_.end()) return;
    Waiters& waiters = found->second;
    while (!waiters.empty() && waiters.begin()->first < commit_index) {
      by_id_.erase(waiters.begin()->second.id);
      wakes.push_back(std::move(waiters.begin()->second.wake));
      waiters.erase(waiters.begin());
    }
    if (waiters.empty()) waiters_.erase(found);
  }
  for (const Wake& wake : wakes) wake();
}

void CommitWatch::Forget(const std::string& log) {
  std::lock_guard lock(mutex_);
  commits_.erase(log);
}

uint64_t CommitWatch::CommitIndex(const std::string& log) const {
  std::lock_guard lock(mutex_);
  auto it = commits_.find(log);
  return it == commits_.end() ? 0 : it->second;
}

bool CommitWatch::Has(const std::string& log) const {
  std::lock_guard lock(mutex_);
  return commits_.contains(log);
}

std::vector<std::string> CommitWatch::Logs() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> logs;
  logs.reserve(commits_.size());
  for (const auto& [log, commit] : commits_) logs.push_back(log);
  return logs;
}

uint64_t CommitWatch::Wait(const std::string& log, uint64_t index, Wake wake) {
  {
    std::lock_guard lock(mutex_);
    auto it = commits_.find(log);
    const bool there = it != commits_.end() && it->second > index;
    if (!there && !closed_) {
      const uint64_t id = next_id_++;
      auto place = waiters_[log].emplace(index, Waiter{id, std::move(wake)});
      by_id_.emplace(id, std::pair(log, place));
      return id;
    }
  }
  wake();
  return 0;
}

void CommitWatch::Cancel(uint64_t id) {
  std::lock_guard lock(mutex_);
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return;
  auto& [log, place] = it->second;
  auto found = waiters_.find(log);
  found->second.erase(place);
  if (found->second.empty()) waiters_.erase(found);
  by_id_.erase(it);
}

void CommitWatch::Close() {
  std::map<std::string, Waiters> waiters;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    by_id_.clear();
    waiters.swap(waiters_);
  }
  for (const auto& [log, list] : waiters) {
    for (const auto& [index, waiter] : list) waiter.wake();
  }
}

}  // namespace kembar
