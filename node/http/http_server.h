// http_server.h — /healthz, /metrics and the status page, over plain HTTP.
//
// Owned by the node. Reads only: each request takes one fresh snapshot and renders it. A few
// threads of its own answer; a slow or silent client holds one of them for seconds at most.
//
// Thread-safety: `snapshot` is called from several threads at the same time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "node/http/snapshot.h"
#include "replicator/base/status.h"

namespace kembar {

class HttpServer {
 public:
  using SnapshotFn = std::function<NodeSnapshot()>;

  // Listens on HOST:PORT (port 0: any that is free) and begins to answer.
  static Result<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                   const SnapshotFn& snapshot);
  ~HttpServer();  // stops

  // Answers what has been asked, then closes. Idempotent.
  void Stop();
  // HOST:PORT, with the port that was chosen.
  const std::string& address() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar
