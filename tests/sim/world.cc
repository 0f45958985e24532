// world.cc — see world.h.
#include "tests/sim/world.h"

#include <algorithm>
#include <utility>

#include "tests/sim/words.h"

namespace kembar::sim {
namespace {}  // namespace

std::string Describe(const Message& message) {
  return std::visit(
      Overloaded{
          [](const Heartbeat& m) {
            return "heartbeat e" + EpochText(m.epoch) + " #" + N(m.seq) + " last " +
                   N(m.last_index) + " commit " + N(m.commit_index) + " probe " + N(m.probe_index) +
                   (m.peer_acked > 0 ? " acked " + N(m.peer_acked) : "");
          },
          [](const Position& m) {
            return "position e" + EpochText(m.epoch) + " #" + N(m.seq) + " durable " +
                   N(m.durable_index) + "/" + N(m.received_index) + " commit " + N(m.commit_index) +
                   (m.probe_match ? " match " : " no match ") + N(m.probe_index) +
                   (m.busy ? " busy" : "");
          },
          [](const Entries& m) {
            return "entries e" + EpochText(m.epoch) + " " + N(m.batch->first_index) + ".." +
                   N(m.batch->last_index()) + " commit " + N(m.commit_index);
          },
          [](const Ack& m) { return "ack e" + EpochText(m.epoch) + " " + N(m.durable_index); },
          [](const Refusal& m) { return "refusal: " + m.text; },
      },
      message);
}

World::World(uint64_t seed, WorldOptions options, Trace* trace)
    : options_(std::move(options)),
      trace_(trace),
      random_(seed),
      truth_(&book_, !options_.may_lose),
      network_(this) {
  for (const std::string& name : options_.nodes) {
    nodes_[name] = std::make_unique<Node>(this, name);
  }
}

World::~World() = default;

int64_t World::Delay(int64_t typical_us) {
  if (!options_.chance) return typical_us;
  return random_.Between(typical_us / 2, typical_us + typical_us / 2);
}

Client& World::AddClient(const std::string& source) {
  clients_.push_back(std::make_unique<Client>(this, source));
  return *clients_.back();
}

Operator& World::AddOperator(OperatorOrder order) {
  operators_.push_back(std::make_unique<Operator>(this, std::move(order)));
  return *operators_.back();
}

void World::Begin() {
  for (auto& [name, node] : nodes_) node->Start();
  network_.Begin();
  CreateLog create;
  create.ticket = NewTicket([](const Reply&) {});
  create.state.log_uuid = "log-uuid";
  for (const std::string& name : options_.nodes) {
    create.state.config.members.push_back({name, name + ":7000"});
  }
  create.state.config.sync_mirrors = options_.sync_mirrors;
  create.state.config.mode = options_.mode;
  create.state.config.solo_after_ms = options_.solo_after_ms;
  create.state.reason = "created";
  create.state.actor = "operator";
  nodes_.at(options_.nodes.front())->Post(std::move(create));
}

std::string World::ReigningNode() const {
  std::string reigning;
  uint64_t epoch = 0;
  for (const auto& [name, node] : nodes_) {
    if (!node->is_primary() || node->stopped()) continue;
    const ReplicaStatus status = node->status();
    if (status.epoch >= epoch) {
      epoch = status.epoch;
      reigning = name;
    }
  }
  return reigning;
}

Ticket World::NewTicket(std::function<void(const Reply&)> done) {
  tickets_[next_ticket_].done = std::move(done);
  return next_ticket_++;
}

Ticket World::NewAppendTicket(const std::string& source, size_t batch,
                              std::function<void(const Reply&)> done) {
  Waiting& waiting = tickets_[next_ticket_];
  waiting.done = std::move(done);
  waiting.source = source;
  waiting.batch = batch;
  return next_ticket_++;
}

void World::AnswerTicket(Node* node, const Reply& reply) {
  auto found = tickets_.find(reply.ticket);
  if (found == tickets_.end()) return;
  Waiting waiting = std::move(found->second);
  tickets_.erase(found);
  Mix(reply.index);
  if (!waiting.source.empty() && reply.status.ok()) {
    uint64_t index = reply.index;
    if (index == 0) {
      const uint64_t position = book_[waiting.source][waiting.batch].position;
      index = *node->store().FindPosition(kLog, waiting.source, position);
    }
    truth_.OnAcknowledged(node->name(), reply.epoch, waiting.source, waiting.batch, index);
    if (saying(true)) {
      Say(node->name() + ": acknowledges " + waiting.source + " batch " +
              N(book_[waiting.source][waiting.batch].position) + " at record " + N(index) +
              (reply.duplicate ? ", had it" : "") + ", " + N(reply.sites) + " sites",
          true);
    }
  } else if (!waiting.source.empty() && saying(true)) {
    Say(node->name() + ": refuses " + waiting.source + ": " + reply.status.message(), true);
  }
  // The answer may be lost on its way.
  if (options_.chance && random_.PerMille(options_.network.loss_per_mille)) return;
  After(Delay(400), [done = std::move(waiting.done), reply] { done(reply); });
}

void World::Say(const std::string& text, bool important) {
  if (important || options_.trace_messages) trace_->Line(now_us(), text);
}

}  // namespace kembar::sim
