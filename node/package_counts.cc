// package_counts.cc — see package_counts.h.
#include "node/package_counts.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "node/clock.h"

namespace kembar {
namespace {

using std::chrono::microseconds;

constexpr int64_t kTurnUs = 250'000;

// Whether both give the same counts.
bool SameScope(const InventoryScope& a, const InventoryScope& b) {
  return a.as_of == b.as_of && a.others == b.others &&
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

bool PackageCounter::Rest(int64_t us) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, microseconds(us), [this] { return stopping_; });
}

void PackageCounter::Run() {
  do {
    for (const std::string& name : engine_->Logs()) {
      Log& log = logs_[name];
      const int64_t begin_us = MonoUs();
      const Result<bool> counted = Turn(name, &log);
      const std::string trouble = counted.ok() ? std::string() : counted.status().ToString();
      if (!trouble.empty() && trouble != log.told) {
        spdlog::error("packages_uncounted log={} error=\"{}\"", name, trouble);
      }
      log.told = trouble;
      // A count that failed has taken its time too.
      const bool rests = !counted.ok() || *counted;
      if (rests && !Rest(options_.pause_factor * (MonoUs() - begin_us))) return;
    }
  } while (Rest(kTurnUs));
}

Result<bool> PackageCounter::Turn(const std::string& name, Log* log) {
  const int64_t now_us = MonoUs();
  if (now_us < log->next_us) return false;
  log->next_us = now_us + options_.pause_ms * 1'000;
  ASSIGN_OR_RETURN(auto statuses, engine_->ReadStatus(name));
  const ReplicaStatus& status = statuses[name];
  InventoryScope scope{.log = name, .as_of = status.commit_index};
  scope.others = OtherSitesOf(status, options_.told ? options_.told(name) : Told());
  if (options_.documents) scope.documents = options_.documents(name);
  if (!log->counted.log.empty() && SameScope(scope, log->counted)) return false;
  RETURN_IF_ERROR(Count(name, scope));
  log->counted = std::move(scope);
  return true;
}

Status PackageCounter::Count(const std::string& name, const InventoryScope& scope) {
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
  std::lock_guard lock(mutex_);
  if (!visited.ok()) counts_.erase(name);  // what can't be counted is not known
  RETURN_IF_ERROR(visited);
  if (!stopped) counts_[name] = counts;
  return {};
}

std::map<std::string, PackageCounts> PackageCounter::Counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace kembar
