// node_mutants.cc — how a node is broken on purpose (mutant.h). Nothing here acts in an honest run.
#include <algorithm>
#include <memory>
#include <utility>

#include "tests/sim/node.h"
#include "tests/sim/world.h"

namespace kembar::sim {

bool Node::Mutated(Mutant mutant) const { return world_->mutated(mutant); }

void Node::MutateRecovered(Recovered* recovered) const {
  if (Mutated(Mutant::kForgetHardState)) recovered->hard = HardState{};
  if (Mutated(Mutant::kForgetPromise)) {
    recovered->hard.promised_epoch = recovered->history.LastEpoch();
    recovered->hard.promised_to =
        recovered->history.entries().empty() ? "" : recovered->history.entries().back().primary;
    recovered->hard.seen_epoch = recovered->hard.promised_epoch;
  }
  if (Mutated(Mutant::kForgetPositions)) recovered->positions.clear();
}

bool Node::ReportsEarly(const LogWrite& write) const {
  auto waiting = [](const Job& job) { return !job.reported; };
  if (write.truncate || std::any_of(queued_.begin(), queued_.end(), waiting) ||
      std::any_of(writing_.begin(), writing_.end(), waiting)) {
    return false;
  }
  return Mutated(Mutant::kPersistedBeforeSync) ||
         (Mutated(Mutant::kPromiseBeforeSync) && !write.batch);
}

void Node::MutatePersist(const LogWrite& write) {
  if (write.truncate && Mutated(Mutant::kKeepPositions)) {
    kept_positions_ = store_.Recover(kLogName)->positions;
  }
  if (write.batch && Mutated(Mutant::kAckBeforeSync) && !replica_->is_primary()) {
    const ReplicaStatus status = replica_->status(now());
    if (status.primary.empty()) return;
    OnSend({status.primary, Ack{status.epoch, write.batch->last_index(), write.batch->root}});
  }
}

void Node::MutateAppend(const AppendRequest& request, uint64_t last_before) {
  if (Mutated(Mutant::kAckDuplicateAtOnce) && replica_->is_primary()) {
    const uint64_t index = *store_.FindPosition(kLogName, request.source, request.position);
    const uint64_t epoch = replica_->status(now()).epoch;
    if (index != 0) {
      world_->AnswerTicket(
          this, Reply{.ticket = request.ticket, .index = index, .epoch = epoch, .duplicate = true});
    }
  }
  if (!Mutated(Mutant::kAckLocally)) return;
  const ReplicaStatus status = replica_->status(now());
  if (status.last_index > last_before) local_acks_.emplace_back(request.ticket, status.last_index);
}

void Node::AckLocally() {
  if (local_acks_.empty()) return;
  const ReplicaStatus status = replica_->status(now());
  std::erase_if(local_acks_, [&](const std::pair<Ticket, uint64_t>& waiting) {
    if (waiting.second > status.durable_index) return false;
    world_->AnswerTicket(
        this, Reply{.ticket = waiting.first, .index = waiting.second, .epoch = status.epoch});
    return true;
  });
}

// Empties the disk and writes the part that is to stay, instead of a truncation.
void Node::TruncateWithoutQuarantine(LogWrite* write) {
  if (!write->truncate) return;
  const HardState hard = store_.Recover(kLogName)->hard;
  LogWrite again{.log = kLogName, .hard = hard};
  if (const uint64_t after = write->truncate->after; after > 0) {
    Result<FrameBatch> batch = store_.Read(kLogName, 1, after, SIZE_MAX);
    merkle::Frontier frontier;
    for (const std::string& frame : batch->frames) {
      frontier.Append(merkle::HashLeaf(frame), &again.nodes);
    }
    again.batch = std::make_shared<const FrameBatch>(*std::move(batch));
  }
  store_.Wipe();
  (void)store_.Write({&again, 1});
}

void Node::MutateMessage(Message* message) {
  if (auto* beat = std::get_if<Heartbeat>(message); beat && Mutated(Mutant::kCommitBeyond)) {
    beat->commit_index = beat->last_index;
  }
  if (Mutated(Mutant::kCompareIndicesOnly)) MutateComparison(message);
  if (auto* entries = std::get_if<Entries>(message); entries && Mutated(Mutant::kTrustFrames)) {
    MutateRoot(entries, *store_.Recover(kLogName));
  }
}

// Every history and root that comes in is made to look like our own.
void Node::MutateComparison(Message* message) const {
  const Recovered own = *store_.Recover(kLogName);
  auto root_at = [&](uint64_t index, const Digest& otherwise) {
    Result<Digest> root = store_.RootAt(kLogName, index);
    return root.ok() ? *root : otherwise;
  };
  if (auto* beat = std::get_if<Heartbeat>(message)) {
    beat->probe_root = root_at(beat->probe_index, beat->probe_root);
  } else if (auto* position = std::get_if<Position>(message)) {
    position->history = own.history;
    position->durable_root = root_at(position->durable_index, position->durable_root);
  } else if (auto* ack = std::get_if<Ack>(message)) {
    ack->durable_root = root_at(ack->durable_index, ack->durable_root);
  } else if (auto* entries = std::get_if<Entries>(message)) {
    entries->history = own.history;
    MutateRoot(entries, own);
  }
}

// The root that is stated becomes the one that these frames give on top of our log.
void Node::MutateRoot(Entries* entries, const Recovered& own) const {
  FrameBatch batch = *entries->batch;
  if (batch.first_index > own.last_index + 1) return;
  if (batch.last_index() <= own.last_index) {
    const Result<Digest> root = store_.RootAt(kLogName, batch.last_index());
    if (root.ok()) batch.root = *root;
  } else {
    merkle::Frontier frontier = own.frontier;
    std::vector<merkle::Node> nodes;
    for (uint64_t index = own.last_index + 1; index <= batch.last_index(); ++index) {
      frontier.Append(merkle::HashLeaf(batch.frames[index - batch.first_index]), &nodes);
    }
    batch.root = frontier.Root();
  }
  entries->batch = std::make_shared<const FrameBatch>(std::move(batch));
}

}  // namespace kembar::sim
