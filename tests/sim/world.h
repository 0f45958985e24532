// world.h — the whole simulated world: nodes, network, clients, operators, time and chance.
//
// Everything happens in one thread, from one seed. World owns all and answers the questions that
// the parts have about each other; what goes wrong, and when, is decided by chaos.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/client.h"
#include "tests/sim/mutant.h"
#include "tests/sim/network.h"
#include "tests/sim/node.h"
#include "tests/sim/operator.h"
#include "tests/sim/random.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"
#include "tests/sim/truth.h"

namespace kembar::sim {

// What kind of run it is; drawn from the seed (chaos.cc) or fixed by a scenario.
struct WorldOptions {
  std::vector<std::string> nodes = {"a", "b"};
  uint32_t sync_mirrors = 1;
  Mode mode = Mode::kMaxProtection;
  uint32_t solo_after_ms = 5'000;
  bool may_lose = false;       // operators of this run may accept a loss
  bool chance = true;          // false: all delays are fixed and small (scenarios)
  bool trace_messages = true;  // false: only events (scenarios)
  NetworkOptions network;
  ReplicaOptions replica;  // self and address are filled in
  Mutant mutant = Mutant::kNone;
};

class World {
 public:
  World(uint64_t seed, WorldOptions options, Trace* trace);
  ~World();

  // Time and chance.
  int64_t now_us() const { return scheduler_.now_us(); }
  void After(int64_t delay_us, std::function<void()> action) {
    scheduler_.After(delay_us, std::move(action));
  }
  void RunFor(int64_t us) { scheduler_.RunUntil(scheduler_.now_us() + us); }
  uint64_t steps() const { return scheduler_.steps(); }
  Random& random() { return random_; }
  // A delay around `typical_us`; exactly that without chance.
  int64_t Delay(int64_t typical_us);

  // Parts.
  const WorldOptions& options() const { return options_; }
  Node& node(const std::string& name) { return *nodes_.at(name); }
  const std::map<std::string, std::unique_ptr<Node>>& nodes() const { return nodes_; }
  Network& network() { return network_; }
  Truth& truth() { return truth_; }
  const Truth& truth() const { return truth_; }
  SourceBook& book() { return book_; }
  OfficeMemory& office() { return office_; }
  std::vector<std::unique_ptr<Client>>& clients() { return clients_; }
  std::vector<std::unique_ptr<Operator>>& operators() { return operators_; }
  const std::vector<std::unique_ptr<Operator>>& operators() const { return operators_; }
  Client& AddClient(const std::string& source);
  Operator& AddOperator(OperatorOrder order);

  // Starts all nodes and creates the log on the first.
  void Begin();
  // The node that reigns in the highest epoch; empty: none.
  std::string ReigningNode() const;
  bool mutated(Mutant mutant) const { return options_.mutant == mutant; }

  // Requests from clients and tools: `done` gets the reply if it comes back.
  Ticket NewTicket(std::function<void(const Reply&)> done);
  Ticket NewAppendTicket(const std::string& source, size_t batch,
                         std::function<void(const Reply&)> done);
  // Checks an acknowledgement at the moment it is given, then carries the reply to who waits.
  void AnswerTicket(Node* node, const Reply& reply);

  // A line for the trace. `important` ones are shown in scenarios too.
  void Say(const std::string& text, bool important = false);
  bool saying(bool important = false) const {
    return trace_->wanted() && (important || options_.trace_messages);
  }
  void Mix(uint64_t value) { trace_->Mix(value); }
  void Mix(std::string_view text) { trace_->Mix(text); }

 private:
  const WorldOptions options_;
  Trace* const trace_;
  Scheduler scheduler_;
  Random random_;
  SourceBook book_;
  Truth truth_;
  OfficeMemory office_;
  Network network_;
  std::map<std::string, std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Operator>> operators_;
  struct Waiting {
    std::function<void(const Reply&)> done;
    std::string source;  // of an append
    size_t batch = 0;
  };
  std::map<Ticket, Waiting> tickets_;
  Ticket next_ticket_ = 1;
};

std::string Describe(const Message& message);

}  // namespace kembar::sim
