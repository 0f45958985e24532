// log_service.cc — see log_service.h: the service, unary Append, SourcePosition.
#include "node/rpc/log_service.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "node/rpc/convert.h"
#include "node/rpc/log_calls.h"
#include "node/rpc/resolve.h"
#include "node/rpc/status_map.h"

namespace kembar {
namespace {

using std::chrono::milliseconds;

// ---- Append ------------------------------------------------------------------------------------

// One unary Append. The engine answers each append exactly once (committed, refused, given up, or
// the node is stopping), and that answer alone finishes the call.
class AppendCall final : public grpc::ServerUnaryReactor,
                         public std::enable_shared_from_this<AppendCall> {
 public:
  AppendCall(const LogCalls* calls, grpc::CallbackServerContext* context,
             v1::AppendResponse* response)
      : calls_(calls), context_(context), response_(response) {}

  static grpc::ServerUnaryReactor* Start(const LogCalls* calls,
                                         grpc::CallbackServerContext* context,
                                         const v1::AppendRequest& request,
                                         v1::AppendResponse* response) {
    auto call = std::make_shared<AppendCall>(calls, context, response);
    call->self_ = call;
    call->Run(request);
    return call.get();
  }

  void OnDone() override { self_.reset(); }

  void OnCancel() override {
    {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
      if (ticket_ == 0) return;  // Run gives up
    }
    calls_->engine->GiveUp(log_, ticket_);
  }

 private:
  void Run(const v1::AppendRequest& request) {
    Status status;
    log_ = request.log();
    if (log_.empty()) {
      Result<std::string> only = ResolveLog(*calls_->engine, log_);
      if (only.ok()) log_ = *only;
      status = only.status();
    }
    AppendRequest append;
    if (status.ok()) status = FromProto(request, &append);
    if (!status.ok()) return Finish(ToGrpc(status, context_));
    source_ = append.source;
    position_ = append.position;
    const Ticket ticket = calls_->engine->Append(
        log_, std::move(append), [self = self_](const Reply& reply) { self->OnReply(reply); });
    bool give_up = false;
    {
      std::lock_guard lock(mutex_);
      if (replied_) return;
      ticket_ = ticket;
      give_up = cancelled_;
      timer_ = calls_->timers->At(calls_->GiveUpTime(*context_), [weak = weak_from_this(), ticket] {
        auto self = weak.lock();
        if (self) self->calls_->engine->GiveUp(self->log_, ticket);
      });
    }
    if (give_up) calls_->engine->GiveUp(log_, ticket);
  }

  void OnReply(const Reply& reply) {
    {
      std::lock_guard lock(mutex_);
      replied_ = true;
      if (timer_ != 0) calls_->timers->Cancel(timer_);
    }
    calls_->CompleteDuplicate(
        log_, source_, position_, reply,
        [self = shared_from_this()](const Reply& whole) { self->Conclude(whole); });
  }

  void Conclude(const Reply& reply) {
    if (reply.status.ok()) {
      FillResponse(reply, position_, response_);
      return Finish(grpc::Status::OK);
    }
    calls_->Conclude(
        log_, reply.status, context_,
        [self = shared_from_this()](grpc::Status status) { self->Finish(std::move(status)); });
  }

  const LogCalls* const calls_;
  grpc::CallbackServerContext* const context_;
  v1::AppendResponse* const response_;
  std::shared_ptr<AppendCall> self_;  // until OnDone
  std::string log_, source_;          // constant once Run has begun
  uint64_t position_ = 0;
  std::mutex mutex_;
  Ticket ticket_ = 0;
  uint64_t timer_ = 0;
  bool replied_ = false;
  bool cancelled_ = false;
};

// ---- SourcePosition ----------------------------------------------------------------------------

// The last record of `source` at or below `commit`, from the end: sources append often, so it is
// near. Only asked when the very last one is not committed yet.
Result<v1::SourcePositionResponse> SearchBack(const Store& store, const std::string& log,
                                              const std::string& source, uint64_t commit) {
  constexpr uint64_t kStep = 1024;
  constexpr size_t kReadBytes = size_t{1} << 20;
  v1::SourcePositionResponse found;
  for (uint64_t high = commit; high > 0 && found.index() == 0;) {
    const uint64_t low = high > kStep ? high - kStep + 1 : 1;
    for (uint64_t at = low; at <= high;) {
      ASSIGN_OR_RETURN(const FrameBatch batch, store.Read(log, at, high, kReadBytes));
      for (const std::string& frame : batch.frames) {
        ASSIGN_OR_RETURN(const FrameHeader header, PeekFrame(frame));
        if (header.source != source) continue;
        found.set_position(header.position);
        found.set_index(header.index);
      }
      at = batch.last_index() + 1;
    }
    high = low - 1;
  }
  return found;
}

Result<v1::SourcePositionResponse> FindSource(const Engine& engine, const std::string& asked,
                                              const std::string& source) {
  ASSIGN_OR_RETURN(const std::string log, ResolveLog(engine, asked));
  if (source.empty()) return Status(Code::kInvalid, "source: must be named");
  // Commit first: what is committed now is in what is recovered after.
  const uint64_t commit = engine.CommitIndex(log);
  ASSIGN_OR_RETURN(const Recovered recovered, engine.store()->Recover(log));
  auto it = recovered.positions.find(source);
  v1::SourcePositionResponse response;
  if (it == recovered.positions.end()) return response;
  const auto& [position, index] = it->second;
  if (index > commit) return SearchBack(*engine.store(), log, source, commit);
  response.set_position(position);
  response.set_index(index);
  return response;
}

class Service final : public v1::Log::CallbackService {
 public:
  explicit Service(const LogCalls* calls) : calls_(calls) {}

  grpc::ServerUnaryReactor* Append(grpc::CallbackServerContext* context,
                                   const v1::AppendRequest* request,
                                   v1::AppendResponse* response) override {
    return AppendCall::Start(calls_, context, *request, response);
  }
  grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendResponse>* AppendStream(
      grpc::CallbackServerContext* context) override {
    return NewAppendStream(calls_, context);
  }
  grpc::ServerUnaryReactor* SourcePosition(grpc::CallbackServerContext* context,
                                           const v1::SourcePositionRequest* request,
                                           v1::SourcePositionResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    calls_->workers->Run([this, context, request, response, reactor] {
      Result<v1::SourcePositionResponse> found =
          FindSource(*calls_->engine, request->log(), request->source());
      if (found.ok()) *response = *found;
      reactor->Finish(ToGrpc(found.status(), context));
    });
    return reactor;
  }
  grpc::ServerWriteReactor<v1::ReadResponse>* Read(grpc::CallbackServerContext* context,
                                                   const v1::ReadRequest* request) override {
    return NewReadCall(calls_, context, *request, /*follow=*/false);
  }
  grpc::ServerWriteReactor<v1::ReadResponse>* Watch(grpc::CallbackServerContext* context,
                                                    const v1::ReadRequest* request) override {
    return NewReadCall(calls_, context, *request, /*follow=*/true);
  }

 private:
  const LogCalls* const calls_;
};

}  // namespace

// ---- What calls share --------------------------------------------------------------------------

void LogCalls::Conclude(const std::string& log, const Status& status,
                        grpc::ServerContextBase* context,
                        std::function<void(grpc::Status)> finish) const {
  if (status.code() == Code::kCancelled) {
    // The node is stopping: to the client that is a node which cannot be reached.
    const Status unavailable(Code::kUnavailable, status.message(), status.hint());
    return finish(ToGrpc(unavailable, context));
  }
  if (status.code() != Code::kNotPrimary) return finish(ToGrpc(status, context));
  workers->Run([this, log, status, context, finish = std::move(finish)] {
    auto all = engine->ReadStatus(log);
    if (all.ok()) {
      const ReplicaStatus& replica = all->begin()->second;
      AddPrimary(replica.primary, replica.primary_address, context);
    }
    finish(ToGrpc(status, context));
  });
}

void LogCalls::CompleteDuplicate(const std::string& log, const std::string& source,
                                 uint64_t position, const Reply& reply,
                                 std::function<void(const Reply&)> then) const {
  if (!reply.status.ok() || !reply.duplicate || reply.index != 0) return then(reply);
  workers->Run([this, log, source, position, reply, then = std::move(then)] {
    Reply whole = reply;
    Result<uint64_t> index = engine->store()->FindPosition(log, source, position);
    if (!index.ok()) {
      whole.status = index.status();
    } else if (*index == 0) {
      whole.status = Status(Code::kGap,
                            "position " + std::to_string(position) + " of source " + source +
                                " was never appended here, and later ones were",
                            "positions of a source must grow; ask SourcePosition where it is");
    } else {
      whole.index = *index;
    }
    then(whole);
  });
}

Timers::Clock::time_point LogCalls::GiveUpTime(const grpc::CallbackServerContext& context) const {
  constexpr auto kForever = std::chrono::hours(24 * 365);
  const auto left = context.deadline() - std::chrono::system_clock::now();
  auto wait =
      std::chrono::duration_cast<std::chrono::nanoseconds>(milliseconds(options.append_wait_ms));
  if (left < kForever) {
    const auto margin =
        std::clamp<std::chrono::nanoseconds>(left / 10, milliseconds(5), milliseconds(200));
    wait = std::max<std::chrono::nanoseconds>(left - margin, milliseconds(0));
  }
  return Timers::Clock::now() + wait;
}

void FillResponse(const Reply& reply, uint64_t position, v1::AppendResponse* out) {
  out->set_index(reply.index);
  out->set_epoch(reply.epoch);
  out->set_sites(reply.sites);
  out->set_duplicate(reply.duplicate);
  out->set_position(position);
}

struct LogService::Impl {
  Impl(Engine* engine, const LogServiceOptions& options)
      : workers("kembar-log", options.read_threads),
        timers("kembar-log-tm"),
        calls{engine, options, &workers, &timers},
        service(&calls) {}

  Workers workers;
  Timers timers;
  const LogCalls calls;
  Service service;
};

LogService::LogService(Engine* engine, LogServiceOptions options)
    : impl_(std::make_unique<Impl>(engine, options)) {}

LogService::~LogService() = default;

grpc::Service* LogService::service() { return &impl_->service; }

}  // namespace kembar
