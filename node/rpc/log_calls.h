// log_calls.h — inside LogService: what its calls share, and the two streaming calls.
//
// Each call is an object that owns itself until gRPC has no more to tell it (OnDone). Callbacks
// that may come later hold a shared_ptr; a call that has finished ignores them.
//
// Private to node/rpc/log_service.cc, append_stream.cc and read_call.cc.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <string>

#include "kembar/v1/log.grpc.pb.h"
#include "node/rpc/log_service.h"
#include "node/rpc/workers.h"

namespace kembar {

struct LogCalls {
  Engine* engine = nullptr;
  LogServiceOptions options;
  Workers* workers = nullptr;
  Timers* timers = nullptr;

  // The gRPC status of a refused or failed append goes to `finish`, at once or from a worker:
  // naming the primary asks the engine, on whose thread replies come. `context` lives until then.
  void Conclude(const std::string& log, const Status& status, grpc::ServerContextBase* context,
                std::function<void(grpc::Status)> finish) const;

  // An old duplicate's index is looked up in the store (from a worker); `then` gets the whole
  // reply. A position that was skipped is a kGap.
  void CompleteDuplicate(const std::string& log, const std::string& source, uint64_t position,
                         const Reply& reply, std::function<void(const Reply&)> then) const;

  // When to give up, a little before the client does, so that it still hears why.
  Timers::Clock::time_point GiveUpTime(const grpc::CallbackServerContext& context) const;
};

void FillResponse(const Reply& reply, uint64_t position, v1::AppendResponse* out);

grpc::ServerBidiReactor<v1::AppendRequest, v1::AppendResponse>* NewAppendStream(
    const LogCalls* calls, grpc::CallbackServerContext* context);

grpc::ServerWriteReactor<v1::ReadResponse>* NewReadCall(const LogCalls* calls,
                                                        grpc::CallbackServerContext* context,
                                                        const v1::ReadRequest& request,
                                                        bool follow);

}  // namespace kembar
