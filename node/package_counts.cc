// package_counts.cc — see package_counts.h.
#include "node/package_counts.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace kembar {
namespace {

constexpr std::chrono::milliseconds kTurn{250};

int64_t MonoMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Whether both give the same counts.
bool SameScope(const InventoryScope& a, const InventoryScope& b) {
  return a.as_of == b.as_of && a.mirrored_index == b.mirrored_index &&
         a.documents.checked_to == b.documents.checked_to &&
         a.documents.missing == b.documents.missing;
}

}  // namespace

PackageCounter::PackageCounter(Engine* engine, PackageCounterOptions options)
    : engine_(engine), options_(std::move(options)) {}

PackageCounter::~PackageCounter() { Stop(); }

void PackageCounter::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "kembar-packages");
    Run();
  });
}

void PackageCounter::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool PackageCounter::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void PackageCounter::Run() {
  while (true) {
    for (const std::string& name : engine_->Logs()) {
      Log& log = logs_[name];
      const Status status = Turn(name, &log);
      const std::string trouble = status.ok() ? std::string() : status.ToString();
      if (!trouble.empty() && trouble != log.told) {
        spdlog::error("packages_uncounted log={} error=\"{}\"", name, trouble);
      }
      log.told = trouble;
    }
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, kTurn, [this] { return stopping_; })) return;
  }
}

Status PackageCounter::Turn(const std::string& name, Log* log) {
  const int64_t begin_ms = MonoMs();
  if (begin_ms < log->next_ms) return {};
  log->next_ms = begin_ms + options_.pause_ms;
  ASSIGN_OR_RETURN(auto statuses, engine_->ReadStatus(name));
  const ReplicaStatus& status = statuses[name];
  InventoryScope scope{
      .log = name, .as_of = status.commit_index, .mirrored_index = MirroredIndex(status)};
  if (options_.documents) scope.documents = options_.documents(name);
  if (!log->counted.log.empty() && SameScope(scope, log->counted)) return {};
  PackageCounts counts{.as_of = scope.as_of};
  bool stopped = false;
  const auto each = [&](const PackageInfo& package) {
    switch (package.state) {
      case PackageState::kComplete: ++counts.complete; break;
      case PackageState::kIncomplete: ++counts.incomplete; break;
      case PackageState::kAtRisk: ++counts.at_risk; break;
    }
    stopped = stopping();
    return !stopped;
  };
  const Status visited = ForEachPackage(*engine_->store(), scope, each);
  const int64_t took_ms = MonoMs() - begin_ms;
  log->next_ms = begin_ms + std::max(options_.pause_ms, options_.pause_factor * took_ms);
  std::lock_guard lock(mutex_);
  if (!visited.ok()) counts_.erase(name);  // what can't be counted is not known
  RETURN_IF_ERROR(visited);
  if (stopped) return {};
  counts_[name] = counts;
  log->counted = std::move(scope);
  return {};
}

std::map<std::string, PackageCounts> PackageCounter::Counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace kembar
