// follower.h — which node to send appends to, call after call: the primary, found again when it
// changes.
//
// Thread-safety: none; used by one thread, like the Cluster it stands on (which outlives it).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tools/client/cluster.h"
#include "tools/client/rpc_status.h"

namespace kembar::client {

class PrimaryFollower {
 public:
  PrimaryFollower(Cluster* cluster, std::string log) : cluster_(cluster), log_(std::move(log)) {}

  // The primary as last known, or found until the deadline.
  Result<std::shared_ptr<NodeStubs>> Get(const Deadline& deadline);
  // A call to Get's answer failed. Goes where the hint points, once; otherwise looks again.
  void Failed(const PrimaryHint& hint);

  const std::string& log() const { return log_; }
  // Why an append is not acknowledged, as the primary itself tells: its state and its mirrors'.
  Status WhyNotAcknowledged(Millis waited);

 private:
  Cluster* const cluster_;
  const std::string log_;
  std::shared_ptr<NodeStubs> current_;
  bool hinted_ = false;  // current_ came from a hint: a second hint is not believed
};

// Appends one batch and waits until it is acknowledged; repeats it, with the same source and
// position, wherever the primary is, until the timeout.
Result<v1::AppendResponse> AppendOnce(PrimaryFollower* follower, const v1::AppendRequest& request,
                                      Millis timeout);

// The last position of a source, as the primary holds it.
Result<v1::SourcePositionResponse> ReadSourcePosition(PrimaryFollower* follower,
                                                      const std::string& source,
                                                      const Deadline& deadline);

// Reads from the primary what `read` asks of it as of an index that is known to be committed. A
// primary that has begun anew learns what is committed only from its mirrors: while it answers kGap
// the call is repeated, until the deadline. `read` must not have used anything by then.
Status ReadCommitted(PrimaryFollower* follower, const Deadline& deadline,
                     const std::function<Status(NodeStubs*)>& read);

}  // namespace kembar::client
