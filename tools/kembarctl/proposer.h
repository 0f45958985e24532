// proposer.h — carries a failover out: fences the nodes and promotes the candidate.
//
// Two operators may do this at once, to different nodes. Each promise goes to one of them; who is
// refused tries again with a higher epoch after a random wait, unless the other has won meanwhile.
//
// Thread-safety: none. `cluster` outlives it.
#pragma once

#include <string>
#include <vector>

#include "tools/client/cluster.h"
#include "tools/kembarctl/failover_plan.h"

namespace kembar::ctl {

// What every node of the cluster says in its Status of `log`, as the plan wants it.
Result<std::vector<NodeFact>> FactsFromStatus(const std::vector<client::NodeView>& nodes,
                                              const std::string& log);

struct Promotion {
  uint64_t epoch = 0;
  uint64_t from_index = 0;
};

class Proposer {
 public:
  Proposer(client::Cluster* cluster, std::string log, client::Deadline deadline)
      : cluster_(cluster), log_(std::move(log)), deadline_(deadline) {}

  // Asks the nodes, the candidate (the first) before the others, for their promise to `*epoch`, and
  // with a higher one, given back, when another promise stands. Nodes that fail otherwise are left
  // out of the answer. kFenced: another failover has won meanwhile, or keeps competing.
  // `reign` is the one to be replaced: a primary of a later one has won.
  Result<std::vector<NodeFact>> Fence(const std::vector<std::string>& nodes, uint64_t reign,
                                      uint64_t* epoch);
  Result<Promotion> Promote(const std::string& candidate, uint64_t epoch,
                            const ControlState& state);
  // Whether the new primary's first record is committed; waits for it a while. Another failover may
  // cross it and hand the reign back in a later epoch, which is then set. kFenced: one replaced it.
  Result<bool> WaitUntilAcknowledging(const std::string& candidate, Promotion* promotion,
                                      client::Millis longest);

 private:
  Result<NodeFact> FenceOne(const std::string& node, uint64_t epoch, const std::string& candidate);
  Result<std::vector<NodeFact>> FenceOnce(const std::vector<std::string>& nodes, uint64_t epoch);

  client::Cluster* cluster_;
  std::string log_;
  client::Deadline deadline_;
};

}  // namespace kembar::ctl
