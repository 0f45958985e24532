// blob_service.cc — see blob_service.h.
#include "node/rpc/blob_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include "kembar/v1/blob.grpc.pb.h"
#include "node/blob/verify_blobs.h"
#include "node/rpc/resolve.h"
#include "node/rpc/status_map.h"
#include "node/rpc/workers.h"

namespace kembar {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

constexpr int kDigestsMax = 65'536;  // in one request
constexpr size_t kPutBytesMax = size_t{4} << 20;

template <class Digests>
Result<std::vector<Digest>> ReadDigests(const Digests& in) {
  if (in.size() > kDigestsMax) {
    return Status(Code::kInvalid, "digests: more than " + std::to_string(kDigestsMax));
  }
  std::vector<Digest> digests;
  digests.reserve(static_cast<size_t>(in.size()));
  for (const std::string& digest : in) {
    if (digest.size() != sizeof(Digest)) {
      return Status(Code::kInvalid, "digests: one is not 32 bytes long");
    }
    digests.push_back(DigestFromBytes(digest));
  }
  return digests;
}

// What the calls share.
struct Parts {
  Engine* engine;
  BlobStore* blobs;
  BlobRunner* runner;
  BlobServiceOptions options;
  Workers* workers;
  Timers* timers;

  // When to give up, a little before the client does, so that it still hears why.
  Timers::Clock::time_point GiveUpTime(const grpc::CallbackServerContext& context) const {
    const auto left = context.deadline() - system_clock::now();
    std::chrono::nanoseconds wait = milliseconds(options.ensure_wait_ms);
    if (left < std::chrono::hours(24 * 365)) {
      const auto margin =
          std::clamp<std::chrono::nanoseconds>(left / 10, milliseconds(5), milliseconds(200));
      wait = std::max<std::chrono::nanoseconds>(left - margin, milliseconds(0));
    }
    return Timers::Clock::now() + wait;
  }

  // Names the primary where that is what was wrong; asks the engine, so not on gRPC's threads.
  grpc::Status Failed(const std::string& log, Status status,
                      grpc::ServerContextBase* context) const {
    if (status.code() == Code::kNotPrimary) {
      auto all = engine->ReadStatus(log);
      if (all.ok()) {
        const ReplicaStatus& replica = all->begin()->second;
        AddPrimary(replica.primary, replica.primary_address, context);
      }
    } else if (status.code() == Code::kCancelled) {
      status = Status(Code::kUnavailable, status.message(), status.hint());
    }
    return ToGrpc(status, context);
  }
};

// One Ensure. The runner answers each exactly once, and that answer alone finishes the call.
class EnsureCall final : public grpc::ServerUnaryReactor,
                         public std::enable_shared_from_this<EnsureCall> {
 public:
  EnsureCall(const Parts* parts, grpc::CallbackServerContext* context, v1::EnsureResponse* response)
      : parts_(parts), context_(context), response_(response) {}

  static grpc::ServerUnaryReactor* Start(const Parts* parts, grpc::CallbackServerContext* context,
                                         const v1::EnsureRequest& request,
                                         v1::EnsureResponse* response) {
    auto call = std::make_shared<EnsureCall>(parts, context, response);
    call->self_ = call;
    call->Run(request);
    return call.get();
  }

  void OnDone() override { self_.reset(); }
  void OnCancel() override { GiveUp(); }

 private:
  void Run(const v1::EnsureRequest& request) {
    Result<std::string> log = ResolveLog(*parts_->engine, request.log());
    if (!log.ok()) return Finish(ToGrpc(log.status(), context_));
    log_ = *log;
    auto digests = ReadDigests(request.digests());
    if (!digests.ok()) return Finish(ToGrpc(digests.status(), context_));
    const uint64_t id = parts_->runner->Ensure(
        log_, *std::move(digests),
        [self = self_](Result<uint32_t> result) { self->OnResult(std::move(result)); });
    bool give_up = false;
    {
      std::lock_guard lock(mutex_);
      if (answered_) return;
      id_ = id;
      give_up = given_up_;
      timer_ = parts_->timers->At(parts_->GiveUpTime(*context_), [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->GiveUp();
      });
    }
    if (give_up) parts_->runner->GiveUp(id);
  }

  void GiveUp() {
    uint64_t id = 0;
    {
      std::lock_guard lock(mutex_);
      given_up_ = true;
      id = id_;
    }
    if (id != 0) parts_->runner->GiveUp(id);
  }

  void OnResult(Result<uint32_t> result) {
    {
      std::lock_guard lock(mutex_);
      answered_ = true;
      if (timer_ != 0) parts_->timers->Cancel(timer_);
    }
    if (result.ok()) {
      response_->set_sites(*result);
      return Finish(grpc::Status::OK);
    }
    if (result.status().code() != Code::kNotPrimary) {
      return Finish(parts_->Failed(log_, result.status(), context_));
    }
    parts_->workers->Run([self = shared_from_this(), status = result.status()] {
      self->Finish(self->parts_->Failed(self->log_, status, self->context_));
    });
  }

  const Parts* const parts_;
  grpc::CallbackServerContext* const context_;
  v1::EnsureResponse* const response_;
  std::shared_ptr<EnsureCall> self_;  // until OnDone
  std::string log_;
  std::mutex mutex_;
  uint64_t id_ = 0;
  uint64_t timer_ = 0;
  bool answered_ = false;
  bool given_up_ = false;
};

class Service final : public v1::Blob::WithCallbackMethod_Ensure<v1::Blob::Service> {
 public:
  explicit Service(const Parts* parts) : parts_(parts) {}

  grpc::Status Missing(grpc::ServerContext* context, const v1::MissingRequest* request,
                       v1::MissingResponse* response) override {
    auto digests = ReadDigests(request->digests());
    if (!digests.ok()) return ToGrpc(digests.status(), context);
    auto missing = parts_->blobs->Missing(*digests);
    if (!missing.ok()) return ToGrpc(missing.status(), context);
    for (const Digest& digest : *missing) response->add_digests(std::string(AsBytes(digest)));
    return grpc::Status::OK;
  }

  grpc::Status Put(grpc::ServerContext* context, const v1::PutRequest* request,
                   v1::PutResponse* response) override {
    std::vector<std::string_view> chunks(request->chunks().begin(), request->chunks().end());
    size_t bytes = 0;
    for (const std::string_view chunk : chunks) bytes += chunk.size();
    if (bytes > kPutBytesMax) {
      return ToGrpc(Status(Code::kInvalid,
                           "chunks: more than " + std::to_string(kPutBytesMax) + " bytes together"),
                    context);
    }
    uint64_t stored = 0;
    const Status status = parts_->blobs->Put(chunks, &stored).status();
    response->set_stored(stored);
    return ToGrpc(status, context);
  }

  grpc::Status Get(grpc::ServerContext* context, const v1::GetRequest* request,
                   grpc::ServerWriter<v1::GetResponse>* writer) override {
    auto digests = ReadDigests(request->digests());
    if (!digests.ok()) return ToGrpc(digests.status(), context);
    for (const Digest& digest : *digests) {
      Result<std::string> chunk = GetOrSetAside(parts_->blobs, digest);
      if (!chunk.ok()) return ToGrpc(chunk.status(), context);
      v1::GetResponse response;
      response.set_digest(std::string(AsBytes(digest)));
      response.set_chunk(*std::move(chunk));
      if (context->IsCancelled() || !writer->Write(response)) {
        return {grpc::StatusCode::CANCELLED, "the caller went away"};
      }
    }
    return grpc::Status::OK;
  }

  grpc::ServerUnaryReactor* Ensure(grpc::CallbackServerContext* context,
                                   const v1::EnsureRequest* request,
                                   v1::EnsureResponse* response) override {
    return EnsureCall::Start(parts_, context, *request, response);
  }

 private:
  const Parts* const parts_;
};

}  // namespace

struct BlobService::Impl {
  Impl(Engine* engine, BlobStore* blobs, BlobRunner* runner, const BlobServiceOptions& options)
      : parts{engine, blobs, runner, options, &workers, &timers}, service(&parts) {}

  Workers workers{"kembar-blobs", 1};
  Timers timers{"kembar-blob-tm"};
  const Parts parts;
  Service service;
};

BlobService::BlobService(Engine* engine, BlobStore* blobs, BlobRunner* runner,
                         BlobServiceOptions options)
    : impl_(std::make_unique<Impl>(engine, blobs, runner, options)) {}

BlobService::~BlobService() = default;

grpc::Service* BlobService::service() { return &impl_->service; }

}  // namespace kembar
