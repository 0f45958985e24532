// read_call.cc — Read and Watch: committed records in batches, read by a worker; a Watch that has
// caught up holds no thread.
#include <algorithm>
#include <mutex>
#include <utility>

#include "node/rpc/convert.h"
#include "node/rpc/log_calls.h"
#include "node/rpc/resolve.h"
#include "node/rpc/status_map.h"

namespace kembar {
namespace {

// Either busy (a job is queued or running, or a write is under way: exactly one of them, and only
// it may act) or waiting for a commit.
class ReadCall final : public grpc::ServerWriteReactor<v1::ReadResponse>,
                       public std::enable_shared_from_this<ReadCall> {
 public:
  ReadCall(const LogCalls* calls, grpc::CallbackServerContext* context,
           const v1::ReadRequest& request, bool follow)
      : calls_(calls),
        context_(context),
        asked_log_(request.log()),
        to_(request.to()),
        with_frames_(request.with_frames()),
        follow_(follow),
        next_(request.from() == 0 ? 1 : request.from()) {}

  void Start() {
    self_ = shared_from_this();
    Resume();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
    }
    Resume();
  }

  void OnCancel() override {
    uint64_t wait = 0;
    {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
      if (!waiting_) return;  // who is busy sees it
      waiting_ = false;
      wait = wait_id_;
    }
    calls_->engine->CancelWait(wait);
    Resume();
  }

  void OnDone() override { self_.reset(); }

 private:
  void Resume() {
    calls_->workers->Run([self = shared_from_this()] { self->Continue(); });
  }

  // On a worker.
  void Continue() {
    {
      std::lock_guard lock(mutex_);
      if (cancelled_) {
        return Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away"));
      }
    }
    if (log_.empty()) {
      Result<std::string> log = ResolveLog(*calls_->engine, asked_log_);
      if (!log.ok()) return Finish(ToGrpc(log.status(), context_));
      log_ = *log;
    }
    const uint64_t commit = calls_->engine->CommitIndex(log_);
    const uint64_t limit = to_ == 0 ? commit : std::min(to_, commit);
    if (to_ != 0 && next_ > to_) return Finish(grpc::Status::OK);
    if (next_ > limit) {
      if (!follow_) return Finish(grpc::Status::OK);
      if (woken_) {  // for nothing: the engine is stopping
        const Status stopping(Code::kUnavailable, "the node is stopping", "go on at another node");
        return Finish(ToGrpc(stopping, context_));
      }
      return Wait();
    }
    woken_ = false;
    Status status = Fill(limit, commit);
    if (!status.ok()) return Finish(ToGrpc(status, context_));
    StartWrite(&response_);
  }

  Status Fill(uint64_t limit, uint64_t commit) {
    Result<FrameBatch> batch =
        calls_->engine->store()->Read(log_, next_, limit, calls_->options.read_batch_bytes);
    if (!batch.ok()) return batch.status();
    response_.Clear();
    response_.set_commit_index(commit);
    for (const std::string& frame : batch->frames) {
      Status status = FrameToProto(frame, with_frames_, response_.add_records());
      if (!status.ok()) return status.Prepend("log " + log_ + " index " + std::to_string(next_));
      ++next_;
    }
    return {};
  }

  void Wait() {
    uint64_t turn = 0;
    {
      std::lock_guard lock(mutex_);
      waiting_ = true;
      turn = ++waits_;
    }
    const uint64_t id =
        calls_->engine->WaitCommit(log_, next_ - 1, [self = shared_from_this()] { self->Wake(); });
    {
      std::lock_guard lock(mutex_);
      // Woken or cancelled meanwhile, and perhaps waiting again on another worker.
      if (!waiting_ || waits_ != turn) turn = 0;
      if (turn != 0) wait_id_ = id;
      if (turn != 0 && !cancelled_) return;
      if (turn != 0) waiting_ = false;  // cancelled before it waited
    }
    calls_->engine->CancelWait(id);
    if (turn != 0) Resume();
  }

  void Wake() {
    {
      std::lock_guard lock(mutex_);
      if (!waiting_) return;
      waiting_ = false;
      woken_ = true;
    }
    Resume();
  }

  const LogCalls* const calls_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<ReadCall> self_;  // until OnDone
  const std::string asked_log_;
  const uint64_t to_;
  const bool with_frames_;
  const bool follow_;

  // Whoever is busy.
  std::string log_;
  uint64_t next_;
  v1::ReadResponse response_;

  std::mutex mutex_;
  bool waiting_ = false;
  uint64_t wait_id_ = 0;
  uint64_t waits_ = 0;
  bool woken_ = false;
  bool cancelled_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::ReadResponse>* NewReadCall(const LogCalls* calls,
                                                        grpc::CallbackServerContext* context,
                                                        const v1::ReadRequest& request,
                                                        bool follow) {
  auto call = std::make_shared<ReadCall>(calls, context, request, follow);
  call->Start();
  return call.get();
}

}  // namespace kembar
