// blob_service.h — the gRPC service kembar.v1.Blob: contents of documents.
//
// Owned by the node, registered with its server, destroyed after the server and before runner,
// store of chunks and engine. Missing, Put and Get use gRPC's synchronous API: each is bounded, and
// a slow reader of Get holds one thread. Ensure waits for other nodes and holds none.
//
// Shutting down: BlobRunner::Stop first (it answers every waiting Ensure), then the server, then
// this.
//
// Thread-safety: service() may be used from any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "node/blob/blob_store.h"
#include "node/blob/runner.h"
#include "node/engine.h"

namespace grpc {
class Service;
}

namespace kembar {

struct BlobServiceOptions {
  int64_t ensure_wait_ms = 30'000;  // for an Ensure whose caller sets no deadline
};

class BlobService {
 public:
  BlobService(Engine* engine, BlobStore* blobs, BlobRunner* runner,
              BlobServiceOptions options = {});
  ~BlobService();
  grpc::Service* service();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar
