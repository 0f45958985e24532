// workers.cc — see workers.h.
#include "node/rpc/workers.h"

#include <pthread.h>

#include <utility>

namespace kembar {

Workers::Workers(const char* name, size_t threads) {
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this, label = std::string(name)] {
      pthread_setname_np(pthread_self(), label.c_str());
      Loop();
    });
  }
}

Workers::~Workers() { Stop(); }

void Workers::Run(Job job) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Workers::Stop() {
  std::deque<Job> dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(jobs_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Workers::Loop() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

Timers::Timers(const char* name)
    : thread_([this, label = std::string(name)] {
        pthread_setname_np(pthread_self(), label.c_str());
        Loop();
      }) {}

Timers::~Timers() { Stop(); }

uint64_t Timers::At(Clock::time_point when, Fire fire) {
  uint64_t id = 0;
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return 0;
    id = next_id_++;
    auto place = queue_.emplace(when, Timer{id, std::move(fire)});
    by_id_.emplace(id, place);
    first = place == queue_.begin();
  }
  if (first) wake_.notify_one();
  return id;
}

uint64_t Timers::After(std::chrono::milliseconds delay, Fire fire) {
  return At(Clock::now() + delay, std::move(fire));
}

void Timers::Cancel(uint64_t id) {
  Fire dropped;  // destroyed outside the lock: it may hold the last owner of something
  std::lock_guard lock(mutex_);
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return;
  dropped = std::move(it->second->second.fire);
  queue_.erase(it->second);
  by_id_.erase(it);
}

void Timers::Stop() {
  Queue dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    by_id_.clear();
    dropped.swap(queue_);
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Timers::Loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (queue_.empty()) {
      wake_.wait(lock);
      continue;
    }
    const auto first = queue_.begin();
    const Clock::time_point due = first->first;
    if (due > Clock::now()) {
      wake_.wait_until(lock, due);
      continue;
    }
    Fire fire = std::move(first->second.fire);
    by_id_.erase(first->second.id);
    queue_.erase(first);
    lock.unlock();
    fire();
    fire = nullptr;
    lock.lock();
  }
}

}  // namespace kembar
