// log_service.h — the gRPC service kembar.v1.Log: Append, AppendStream, SourcePosition, Read,
// Watch.
//
// Owned by the node, registered with its server, destroyed after the server and before the engine.
// Built on gRPC's callback API: a call that waits (for a mirror, or for the next record) holds no
// thread. Store reads run on a few threads of the service's own, never on gRPC's.
//
// Shutting down: Engine::Stop first (it answers every waiting append and wakes every Watch), then
// the server, then this.
//
// Thread-safety: service() may be used from any thread; gRPC does the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "node/engine.h"

namespace grpc {
class Service;
}

namespace kembar {

struct LogServiceOptions {
  // How long an append waits for its commit when the client sets no deadline.
  int64_t append_wait_ms = 30'000;
  // AppendStream takes so many requests, and bytes, before their answers have left.
  size_t stream_requests_max = 1024;
  size_t stream_bytes_max = size_t{8} << 20;
  size_t read_batch_bytes = size_t{256} << 10;  // one ReadResponse, about
  size_t read_threads = 2;
};

class LogService {
 public:
  explicit LogService(Engine* engine, LogServiceOptions options = {});
  ~LogService();
  grpc::Service* service();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar
