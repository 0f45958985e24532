// append_stream.cc — AppendStream: requests are taken ahead within bounds, appended as they come,
// and answered in order; the first failure ends the stream.
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "node/rpc/convert.h"
#include "node/rpc/log_calls.h"
#include "node/rpc/resolve.h"
#include "node/rpc/status_map.h"

namespace kembar {
namespace {

class AppendStream final : public grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendResponse>,
                           public std::enable_shared_from_this<AppendStream> {
 public:
  AppendStream(const LogCalls* calls, grpc::CallbackServerContext* context)
      : calls_(calls), context_(context) {}

  void Start() {
    self_ = shared_from_this();
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (ok) TakeRequest();
    std::vector<Abandoned> abandoned;
    {
      std::lock_guard lock(mutex_);
      reading_ = false;
      if (!ok) no_more_ = true;
      Proceed(&abandoned);
    }
    GiveUp(abandoned);
  }

  void OnWriteDone(bool ok) override {
    std::vector<Abandoned> abandoned;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      if (!ok) cancelled_ = true;
      Proceed(&abandoned);
    }
    GiveUp(abandoned);
  }

  void OnCancel() override {
    std::vector<Abandoned> abandoned;
    {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
      Proceed(&abandoned);
    }
    GiveUp(abandoned);
  }

  void OnDone() override { self_.reset(); }

 private:
  // A request whose answer has not left yet.
  struct Pending {
    uint64_t position = 0;
    size_t bytes = 0;
    std::string log;
    Ticket ticket = 0;
    Timers::Clock::time_point give_up;
    std::optional<Reply> reply;
  };
  struct Abandoned {
    std::string log;
    Ticket ticket = 0;
  };

  void TakeRequest() {
    Pending pending{.position = request_.position(),
                    .bytes = request_.ByteSizeLong(),
                    .log = request_.log(),
                    .give_up = calls_->GiveUpTime(*context_)};
    AppendRequest append;
    Status status;
    if (pending.log.empty()) {
      Result<std::string> only = ResolveLog(*calls_->engine, pending.log);
      if (only.ok()) pending.log = *only;
      status = only.status();
    }
    if (status.ok()) status = FromProto(request_, &append);
    if (!status.ok()) pending.reply = Reply{.status = status};
    const std::string log = pending.log;
    const uint64_t position = pending.position;
    const std::string source = append.source;
    uint64_t number = 0;
    {
      std::lock_guard lock(mutex_);
      // Each request of a source continues the one before it: if that one is refused so is this,
      // and what the client sends again finds its place.
      if (log == last_log_ && source == last_source_ && !append.after_position) {
        append.after_position = last_position_;
      }
      last_log_ = log;
      last_source_ = source;
      last_position_ = position;
      number = first_ + pending_.size();
      bytes_ += pending.bytes;
      pending_.push_back(std::move(pending));
    }
    if (!status.ok()) return;
    // Not under the lock: the answer may come at once, on this thread.
    const Ticket ticket = calls_->engine->Append(
        log, std::move(append),
        [self = shared_from_this(), number, log, source, position](const Reply& reply) {
          self->calls_->CompleteDuplicate(
              log, source, position, reply,
              [self, number](const Reply& whole) { self->OnReply(number, whole); });
        });
    std::lock_guard lock(mutex_);
    if (number >= first_) pending_[number - first_].ticket = ticket;
    if (finished_) calls_->engine->GiveUp(log, ticket);  // it ended before it knew the ticket
  }

  void OnReply(uint64_t number, const Reply& reply) {
    std::vector<Abandoned> abandoned;
    {
      std::lock_guard lock(mutex_);
      if (number < first_ || finished_) return;
      pending_[number - first_].reply = reply;
      Proceed(&abandoned);
    }
    GiveUp(abandoned);
  }

  // Does what can be done next; mutex_ is held.
  void Proceed(std::vector<Abandoned>* abandoned) {
    if (finished_ || writing_) return;
    if (cancelled_) return End(Status(Code::kCancelled, "the caller went away"), {}, abandoned);
    if (!pending_.empty() && pending_.front().reply) {
      const Pending front = std::move(pending_.front());
      pending_.pop_front();
      ++first_;
      bytes_ -= front.bytes;
      if (!front.reply->status.ok()) return End(front.reply->status, front.log, abandoned);
      FillResponse(*front.reply, front.position, &response_);
      writing_ = true;
      grpc::WriteOptions options;
      // With the next answer ready gRPC may put both on the wire together.
      if (!pending_.empty() && pending_.front().reply) options.set_buffer_hint();
      StartWrite(&response_, options);
    } else if (pending_.empty() && no_more_) {
      return End({}, {}, abandoned);
    }
    const bool refused =
        !pending_.empty() && pending_.back().reply && !pending_.back().reply->status.ok();
    if (!reading_ && !no_more_ && !refused &&
        pending_.size() < calls_->options.stream_requests_max &&
        bytes_ < calls_->options.stream_bytes_max) {
      reading_ = true;
      StartRead(&request_);
    }
    Watch();
  }

  // Keeps one timer for the oldest request; mutex_ is held.
  void Watch() {
    if (timer_ != 0 || pending_.empty()) return;
    timer_ = calls_->timers->At(pending_.front().give_up, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->OnTimer();
    });
  }

  void OnTimer() {
    std::vector<Abandoned> late;
    {
      std::lock_guard lock(mutex_);
      timer_ = 0;
      if (finished_ || pending_.empty()) return;
      Pending& front = pending_.front();
      if (front.give_up > Timers::Clock::now()) return Watch();
      if (!front.reply && front.ticket != 0) late.push_back({front.log, front.ticket});
      front.give_up += std::chrono::seconds(1);  // its answer is on the way
      Watch();
    }
    GiveUp(late);
  }

  // Ends the stream; mutex_ is held. What is still under way is given up.
  void End(const Status& status, const std::string& log, std::vector<Abandoned>* abandoned) {
    finished_ = true;
    if (timer_ != 0) calls_->timers->Cancel(timer_);
    for (const Pending& pending : pending_) {
      if (!pending.reply && pending.ticket != 0) {
        abandoned->push_back({pending.log, pending.ticket});
      }
    }
    if (status.ok()) return Finish(grpc::Status::OK);
    if (status.code() == Code::kCancelled && cancelled_) {
      return Finish(grpc::Status(grpc::StatusCode::CANCELLED, status.message()));
    }
    calls_->Conclude(log, status, context_, [self = shared_from_this()](grpc::Status end) {
      self->Finish(std::move(end));
    });
  }

  void GiveUp(const std::vector<Abandoned>& list) {
    for (const Abandoned& one : list) calls_->engine->GiveUp(one.log, one.ticket);
  }

  const LogCalls* const calls_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<AppendStream> self_;  // until OnDone

  // The reading reaction's alone.
  v1::AppendRequest request_;

  std::mutex mutex_;
  v1::AppendResponse response_;
  std::deque<Pending> pending_;
  uint64_t first_ = 0;  // number of pending_.front()
  size_t bytes_ = 0;    // of pending_
  std::string last_log_, last_source_;
  uint64_t last_position_ = 0;
  uint64_t timer_ = 0;
  bool reading_ = true;
  bool writing_ = false;
  bool no_more_ = false;  // the client has sent everything
  bool cancelled_ = false;
  bool finished_ = false;
};

}  // namespace

grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendResponse>* NewAppendStream(
    const LogCalls* calls, grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<AppendStream>(calls, context);
  stream->Start();
  return stream.get();
}

}  // namespace kembar
