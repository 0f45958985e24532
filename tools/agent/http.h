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

class HttpServer {
 public:
  // Listens on HOST:PORT (port 0: any that is free). `board` and `documents` outlive the server;
  // null: there is no such source.
  static Result<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                   const std::string& agent,
                                                   const StatsBoard* board,
                                                   const DocumentsThread* documents = nullptr);
  ~HttpServer();  // answers what has been asked, then closes
  const std::string& address() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar::agent
