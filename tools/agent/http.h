// http.h — /metrics and /healthz of the agent, over plain HTTP.
//
// Reads only. A few threads of its own answer; a slow client holds one of them for seconds at most.
#pragma once

#include <memory>
#include <string>

#include "replicator/base/status.h"
#include "tools/agent/stats.h"

namespace kembar::agent {

class DocumentsThread;
class SinkThread;

class HttpServer {
 public:
  // Who tells of itself; null: there is no such source or sink. They outlive the server.
  struct Parts {
    const StatsBoard* board = nullptr;
    const DocumentsThread* documents = nullptr;
    const SinkThread* sink = nullptr;
  };
  // Listens on HOST:PORT (port 0: any that is free).
  static Result<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                   const std::string& agent, const Parts& parts);
  ~HttpServer();  // answers what has been asked, then closes
  const std::string& address() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar::agent
