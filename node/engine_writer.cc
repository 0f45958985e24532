// engine_writer.cc — see engine_writer.h.
#include "node/engine_writer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <set>
#include <utility>

#include "node/engine_impl.h"

namespace kembar {

GroupWriter::GroupWriter(Store* store, DoneFn done) : store_(store), done_(std::move(done)) {}

GroupWriter::~GroupWriter() { Stop(); }

void GroupWriter::Start() {
  thread_ = std::thread([this] {
    NameThisThread("kembar-writer");
    Run();
  });
}

void GroupWriter::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void GroupWriter::Submit(std::vector<WriteJob> jobs) {
  {
    std::lock_guard lock(mutex_);
    std::move(jobs.begin(), jobs.end(), std::back_inserter(jobs_));
  }
  wake_.notify_one();
}

std::string GroupWriter::error() const {
  std::lock_guard lock(mutex_);
  return error_;
}

void GroupWriter::Run() {
  for (;;) {
    std::vector<WriteJob> group;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      group = TakeGroup();
    }
    done_(WriteGroup(std::move(group)));
  }
}

std::vector<WriteJob> GroupWriter::TakeGroup() {
  std::vector<WriteJob> group;
  size_t bytes = 0;
  while (!jobs_.empty() && bytes < kGroupBytesMax) {
    WriteJob& next = jobs_.front();
    const bool truncates = next.write.truncate.has_value();
    if (truncates && std::any_of(group.begin(), group.end(),
                                 [&](const WriteJob& job) { return job.slot == next.slot; })) {
      break;
    }
    if (next.write.batch) bytes += next.write.batch->bytes;
    group.push_back(std::move(next));
    jobs_.pop_front();
    if (truncates) break;  // what follows must not be in its recovery
  }
  return group;
}

std::vector<WriteResult> GroupWriter::WriteGroup(std::vector<WriteJob> jobs) {
  std::vector<LogWrite> writes;
  std::set<const LogSlot*> logs;
  writes.reserve(jobs.size());
  for (WriteJob& job : jobs) {
    logs.insert(job.slot);
    writes.push_back(std::move(job.write));
  }
  const auto start = std::chrono::steady_clock::now();
  const Status status = store_->Write(writes);
  const auto took = std::chrono::steady_clock::now() - start;
  micros_ +=
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  groups_ += 1;
  group_logs_ += logs.size();
  if (!status.ok()) Fail(status);

  std::vector<WriteResult> results;
  results.reserve(jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    WriteResult result{.slot = jobs[i].slot, .status = status};
    if (status.ok() && writes[i].truncate) {
      Result<Recovered> recovered = store_->Recover(writes[i].log);
      if (recovered.ok()) {
        result.recovered = *std::move(recovered);
      } else {
        result.status = recovered.status().Prepend("recover log " + writes[i].log);
        Fail(result.status);
      }
    }
    results.push_back(std::move(result));
  }
  return results;
}

void GroupWriter::Fail(const Status& status) {
  std::lock_guard lock(mutex_);
  if (!error_.empty()) return;
  error_ = status.ToString();
  spdlog::critical("store_closed code={} error=\"{}\"", CodeName(status.code()), error_);
}

}  // namespace kembar
