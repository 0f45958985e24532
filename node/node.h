// node.h — the composition root: makes the parts of a node, starts them in order, stops them in
// reverse.
//
//   data directory -> engine -> links to peers -> gRPC server -> HTTP server -> watch
//
// The watch looks once a second at the free space (below the reserve, appends are refused while
// there is still room to shut down) and at the store: once a write has failed it is closed for
// good, and the node asks, through `on_failure`, to be ended; a restart goes on from what is
// durable.
//
// Thread-safety: Start and Stop by one thread. `on_failure` is called once, from the watch's
// thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "node/config.h"
#include "replicator/base/status.h"

namespace kembar {

class Node {
 public:
  // Each failure is one line that says what and where; nothing is left running then.
  static Result<std::unique_ptr<Node>> Start(NodeConfig config, std::function<void()> on_failure);
  ~Node();  // stops

  // Takes no new work, lets writes under way finish, ends calls after a short wait, closes the
  // store. Idempotent.
  void Stop();

  const std::string& grpc_address() const;  // with the port that was chosen
  const std::string& http_address() const;  // likewise; empty: off
  // Why the node must end; empty: it need not.
  std::string failure() const;

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Log lines go to stderr as `time level event key=value …`; gRPC's own join them. Call once.
void StartLogging(const std::string& level);
// The whole configuration as one line of that log.
void LogEffectiveConfig(const NodeConfig& config);

}  // namespace kembar
