// log_writer.cc — see log_writer.h.
#include "tools/agent/postgres/log_writer.h"

#include "replicator/base/check.h"
#include "tools/agent/postgres/log_client.h"

namespace kembar::agent {
namespace {

constexpr size_t kBytesInFlightMax = size_t{32} << 20;
// When nothing new comes for so long while something is not acknowledged, the stream is looked
// after: that it broke is noticed only when it is used.
constexpr std::chrono::milliseconds kLookAfter{500};

}  // namespace

LogWriter::LogWriter(Options options, uint64_t position, const Marker& boundary,
                     std::shared_ptr<client::ChannelPool> channels, Wakeup* wakeup)
    : options_(std::move(options)),
      wakeup_(wakeup),
      cluster_(options_.nodes, std::move(channels)),
      position_at_start_(position),
      position_(position) {
  if (boundary.last) acknowledged_.boundary = boundary;
  thread_ = std::thread([this] { ThreadMain(); });
}

LogWriter::~LogWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LogWriter::Push(Batch batch) {
  {
    const std::lock_guard lock(mutex_);
    Waiting waiting{.position = ++position_, .marker = batch.marker, .canary = batch.canary};
    for (const v1::Draft& draft : batch.drafts) {
      waiting.bytes += draft.payload().size() + draft.item().size();
    }
    waiting_bytes_ += waiting.bytes;
    waiting_.push_back(waiting);
    queue_.emplace_back(position_, std::move(batch));
  }
  changed_.notify_all();
}

bool LogWriter::HasRoom() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size() < kBatchesInFlightMax && waiting_bytes_ < kBytesInFlightMax;
}

bool LogWriter::Idle() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty();
}

Status LogWriter::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

LogWriter::Acknowledged LogWriter::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

void LogWriter::ThreadMain() {
  client::AppenderOptions options{.log = options_.log, .source = options_.source};
  // More than is ever under way: the appender itself never waits for room.
  options.window = 2 * kBatchesInFlightMax;
  options.window_bytes = 8 * kBytesInFlightMax;
  options.timeout = options_.timeout;
  appender_ = std::make_unique<client::Appender>(
      &cluster_, options, [this](const v1::AppendResponse& response) { OnAck(response); });
  Status status = appender_->Start();
  if (status.ok() && appender_->last_position() != position_at_start_) {
    status = Status(Code::kGap,
                    "source " + options_.source + " is at position " +
                        std::to_string(appender_->last_position()) + ", not at " +
                        std::to_string(position_at_start_),
                    "does another agent run under the same name?");
  }
  while (status.ok()) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLookAfter, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) break;
    if (queue_.empty()) {
      if (waiting_.empty()) continue;
      lock.unlock();
      status = appender_->Finish();
      continue;
    }
    auto [position, batch] = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    status = appender_->Append(position, std::move(batch.drafts));
  }
  appender_.reset();
  const std::lock_guard lock(mutex_);
  status_ = status.Prepend("write to the log");
  wakeup_->Wake();
}

void LogWriter::OnAck(const v1::AppendResponse& response) {
  {
    const std::lock_guard lock(mutex_);
    CHECK(!waiting_.empty() && waiting_.front().position == response.position());
    const Waiting& done = waiting_.front();
    if (done.marker.last) acknowledged_.boundary = done.marker;
    if (done.canary) acknowledged_.canary_us = done.marker.committed_us;
    if (done.marker.committed_us != 0) acknowledged_.committed_us = done.marker.committed_us;
    acknowledged_.index = response.index();
    ++acknowledged_.batches;
    waiting_bytes_ -= done.bytes;
    waiting_.pop_front();
  }
  wakeup_->Wake();
}

}  // namespace kembar::agent
