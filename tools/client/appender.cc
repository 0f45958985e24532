// appender.cc — see appender.h.
#include "tools/client/appender.h"

#include <grpcpp/grpcpp.h>

#include "replicator/base/check.h"

namespace kembar::client {

// One AppendStream. Lives until OnDone, which comes once nothing is outstanding; a read always is
// outstanding while the stream is up, so that the other operations may be started from any thread.
class Appender::Call : public grpc::ClientBidiReactor<v1::AppendRequest, v1::AppendResponse> {
 public:
  Call(Appender* owner, std::shared_ptr<NodeStubs> stubs)
      : owner_(owner), stubs_(std::move(stubs)) {}

  void Start() {
    stubs_->log->async()->AppendStream(&context_, this);
    StartRead(&response_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      const std::lock_guard lock(owner_->mutex_);
      ended_ = true;
      return;
    }
    owner_->OnResponse(response_);
    StartRead(&response_);
  }
  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(owner_->mutex_);
      writing_.reset();
      if (!ok) return;  // the status follows in OnDone
    }
    owner_->Pump();
  }
  void OnDone(const grpc::Status& status) override {
    const std::lock_guard lock(owner_->mutex_);
    done_ = true;
    ended_ = true;
    silent_ = SaysNothing(status);
    status_ = FromGrpc(status, context_);
    if (status.ok()) status_ = Status(Code::kUnavailable, "the node closed the stream");
    hint_ = PrimaryFrom(context_);
    owner_->changed_.notify_all();
  }

  // Guarded by the owner's mutex_.
  std::shared_ptr<const v1::AppendRequest> writing_;
  bool ended_ = false;  // no operation may be started any more
  bool done_ = false;
  bool closing_ = false;  // WritesDone was sent
  bool silent_ = false;   // the status says nothing
  Status status_;
  PrimaryHint hint_;

 private:
  Appender* const owner_;
  const std::shared_ptr<NodeStubs> stubs_;
  grpc::ClientContext context_;
  v1::AppendResponse response_;
};

Appender::Appender(Cluster* cluster, AppenderOptions options, AckFn on_ack)
    : options_(std::move(options)), on_ack_(std::move(on_ack)), follower_(cluster, options_.log) {}

Appender::~Appender() {
  if (!call_) return;
  call_->Cancel();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return call_->done_; });
}

Status Appender::Start() {
  const Deadline deadline = Deadline::After(options_.timeout);
  Result<v1::SourcePositionResponse> answer =
      ReadSourcePosition(&follower_, options_.source, deadline);
  if (!answer.ok()) return answer.status().Prepend("ask for the position of " + options_.source);
  last_position_ = answer->position();
  return Status::Ok();
}

Status Appender::Append(uint64_t position, std::vector<v1::Draft> drafts) {
  CHECK(position > last_position_);
  auto request = std::make_shared<v1::AppendRequest>();
  request->set_log(options_.log);
  request->set_source(options_.source);
  request->set_position(position);
  request->set_after_position(last_position_);
  for (v1::Draft& draft : drafts) *request->add_drafts() = std::move(draft);
  const size_t bytes = request->ByteSizeLong();
  RETURN_IF_ERROR(DriveUntil([&] {
    return pending_.size() < options_.window &&
           (pending_.empty() || pending_bytes_ + bytes <= options_.window_bytes);
  }));
  {
    const std::lock_guard lock(mutex_);
    if (pending_.empty()) give_up_ = Deadline::After(options_.timeout);
    pending_.push_back({std::move(request), bytes});
    pending_bytes_ += bytes;
  }
  last_position_ = position;
  Pump();
  return Status::Ok();
}

Status Appender::Finish() {
  RETURN_IF_ERROR(DriveUntil([this] { return pending_.empty(); }));
  if (!call_) return Status::Ok();
  {
    const std::lock_guard lock(mutex_);
    if (call_->ended_) return Status::Ok();
    call_->closing_ = true;
    call_->AddHold();
  }
  call_->StartWritesDone();
  call_->RemoveHold();
  std::unique_lock lock(mutex_);
  const bool closed = changed_.wait_until(lock, Deadline::After(Millis(1'000)).when(),
                                          [this] { return call_->done_; });
  if (!closed) return Status::Ok();  // acknowledged all the same; the destructor cancels
  lock.unlock();
  call_.reset();
  return Status::Ok();
}

// Waits on the caller's thread until `reached` (asked under the mutex), and keeps a stream open.
template <class Predicate>
Status Appender::DriveUntil(const Predicate& reached) {
  while (true) {
    RETURN_IF_ERROR(failed_);
    std::unique_lock lock(mutex_);
    if (!protocol_error_.ok()) {
      failed_ = protocol_error_;
      continue;
    }
    if (call_ && call_->done_) {
      lock.unlock();
      failed_ = HandleEnd();
      continue;
    }
    if (reached()) {
      if (call_ || pending_.empty()) return Status::Ok();
    }
    if (!call_) {
      lock.unlock();
      failed_ = OpenCall();
      continue;
    }
    const auto woken = [&] { return reached() || call_->done_ || !protocol_error_.ok(); };
    // give_up_ moves with every acknowledgement: look again when the old one passes.
    if (changed_.wait_until(lock, give_up_.when(), woken)) continue;
    if (!give_up_.expired()) continue;
    lock.unlock();
    GiveUp();
  }
}

void Appender::GiveUp() {
  call_->Cancel();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return call_->done_; });
  lock.unlock();
  call_.reset();
  failed_ = last_trouble_.ok() ? follower_.WhyNotAcknowledged(options_.timeout) : last_trouble_;
}

Status Appender::OpenCall() {
  Deadline deadline = Deadline::Never();
  {
    const std::lock_guard lock(mutex_);
    if (pending_.empty()) give_up_ = Deadline::After(options_.timeout);
    deadline = give_up_;
    sent_ = 0;
  }
  Result<std::shared_ptr<NodeStubs>> stubs = follower_.Get(deadline);
  if (!stubs.ok()) return last_trouble_.ok() ? stubs.status() : last_trouble_;
  auto call = std::make_unique<Call>(this, *stubs);
  Call* started = call.get();
  {
    const std::lock_guard lock(mutex_);
    call_ = std::move(call);
  }
  started->Start();
  Pump();
  return Status::Ok();
}

// The stream ended. OK: another may be opened.
Status Appender::HandleEnd() {
  const Status status = call_->status_;
  follower_.Failed(call_->hint_);
  const bool silent = call_->silent_;
  call_.reset();
  if (!IsRetryable(status.code())) return status;
  if (!silent || last_trouble_.ok()) last_trouble_ = status;
  Deadline deadline = Deadline::Never();
  {
    const std::lock_guard lock(mutex_);
    if (progressed_ || pending_.empty()) backoff_.Reset();
    progressed_ = false;
    deadline = give_up_;
  }
  if (backoff_.Wait(deadline)) return Status::Ok();
  return last_trouble_.code() == Code::kTimeout && silent
             ? follower_.WhyNotAcknowledged(options_.timeout)
             : last_trouble_;
}

// Starts the next write if there is one and none is under way.
void Appender::Pump() {
  Call* call = nullptr;
  const v1::AppendRequest* request = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!call_ || call_->ended_ || call_->closing_ || call_->writing_) return;
    if (sent_ == pending_.size()) return;
    call = call_.get();
    call->writing_ = pending_[sent_++].request;
    request = call->writing_.get();
    call->AddHold();
  }
  call->StartWrite(request);
  call->RemoveHold();
}

void Appender::OnResponse(const v1::AppendResponse& response) {
  {
    const std::lock_guard lock(mutex_);
    if (sent_ == 0 || pending_.front().request->position() != response.position()) {
      protocol_error_ =
          Status(Code::kInternal, "answer for position " + std::to_string(response.position()) +
                                      " of " + options_.source + ", which was not asked");
      changed_.notify_all();
      return;
    }
  }
  // Before it is taken off: when Finish returns, every acknowledgement has been told.
  if (on_ack_) on_ack_(response);
  const std::lock_guard lock(mutex_);
  pending_bytes_ -= pending_.front().bytes;
  pending_.pop_front();
  --sent_;
  progressed_ = true;
  last_trouble_ = Status::Ok();
  give_up_ = Deadline::After(options_.timeout);
  changed_.notify_all();
}

}  // namespace kembar::client
