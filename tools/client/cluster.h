// cluster.h — the nodes that hold a log: found from the few addresses an operator gives, asked one
// by one what they hold.
//
// Refresh asks every known address for its Status at the same time and follows the addresses that
// control records and peers mention. What is shown is what each node said for itself; nothing is
// guessed for a node that did not answer.
//
// Thread-safety: none; used by one thread. Several clusters may share one ChannelPool.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "replicator/base/status.h"
#include "tools/client/channel.h"
#include "tools/client/deadline.h"

namespace kembar::client {

struct NodeView {
  std::string name;     // empty: it did not answer, and no other node knows this address
  std::string address;  // where it was asked
  bool reachable = false;
  Status error;  // why not
  v1::StatusResponse status;

  // Null when it did not answer or does not hold the log.
  const v1::LogStatus* Log(const std::string& log) const;
};

class Cluster {
 public:
  explicit Cluster(std::vector<std::string> seeds,
                   std::shared_ptr<ChannelPool> channels = std::make_shared<ChannelPool>(),
                   Millis status_timeout = Millis(2'000));

  // Asks all nodes again. kUnavailable when none answers.
  Status Refresh();
  const std::vector<NodeView>& nodes() const { return nodes_; }
  // Only those of this log; see OfLog.
  std::vector<NodeView> NodesOf(const std::string& log) const;

  // `wanted`, or the only log there is when it is empty. kNotFound, kInvalid: says which there are.
  Result<std::string> ResolveLog(const std::string& wanted) const;
  const NodeView* Find(const std::string& name) const;
  // The reachable node with the highest epoch among those that call themselves primary; null if
  // none.
  const NodeView* Primary(const std::string& log) const;
  // Who reads best: the primary, or else, of those that answer, who holds most of the log; null:
  // none does.
  const NodeView* BestReader(const std::string& log) const;
  // Refreshes until there is a primary. kUnavailable: says what was seen instead.
  Result<const NodeView*> WaitForPrimary(const std::string& log, const Deadline& deadline);

  std::shared_ptr<NodeStubs> Stubs(const std::string& address) { return channels_->Get(address); }

 private:
  void AskAll(std::vector<NodeView>* views) const;

  const std::vector<std::string> seeds_;
  const std::shared_ptr<ChannelPool> channels_;
  const Millis status_timeout_;
  std::vector<NodeView> nodes_;
};

// The nodes that `views` speak of and that are not among them: name and address, not asked yet.
// Pure; exposed for tests.
std::vector<NodeView> Unasked(const std::vector<NodeView>& views);
// One view for each node: of several addresses that lead to the same node the first that answers,
// and names for silent addresses that others know. Pure; exposed for tests.
std::vector<NodeView> Merge(std::vector<NodeView> views);
// Those that hold the log, or should: its configuration, its peers or its primary name them. Nodes
// of other logs are none of it; a silent address that nobody knows may be one of it, and stays.
// Pure.
std::vector<NodeView> OfLog(const std::vector<NodeView>& views, const std::string& log);

}  // namespace kembar::client
