// node.cc — see node.h.
#include "tests/sim/node.h"

#include <algorithm>
#include <utility>

#include "tests/sim/words.h"
#include "tests/sim/world.h"

namespace kembar::sim {
namespace {

constexpr int64_t kWallBaseUs = 1'563'000'000'000'000;  // July 2019
constexpr int64_t kTickUs = 100'000;
constexpr int64_t kTurnUs = 30;
constexpr int64_t kWriteUs = 100;
constexpr int64_t kSyncUs = 500;
constexpr int64_t kSlowSyncUs = 400'000;
constexpr int64_t kReadUs = 400;

}  // namespace

Node::Node(World* world, std::string name)
    : world_(world), name_(std::move(name)), store_("uuid-" + name_) {
  store_.hold_writes(true);
}

Now Node::now() const {
  const int64_t us = world_->now_us();
  return {.mono_ms = us / 1000 + us * drift_per_mille_ / 1'000'000,
          .wall_us = kWallBaseUs + us + wall_offset_us_};
}

void Node::Later(int64_t delay_us, std::function<void()> action) {
  world_->After(delay_us, [this, incarnation = incarnation_, action = std::move(action)] {
    if (incarnation == incarnation_) action();
  });
}

// ---- Life and death ----------------------------------------------------------------------------

void Node::Start() {
  if (up()) return;
  ++incarnation_;
  Result<Recovered> recovered = store_.Recover(kLogName);
  if (!recovered.ok()) throw Violation{name_ + " cannot recover: " + recovered.status().ToString()};
  world_->truth().OnRestart(name_, *recovered);
  MutateRecovered(&*recovered);
  ReplicaOptions options = world_->options().replica;
  options.log = kLogName;
  options.self = name_;
  options.address = name_ + ":7000";
  if (world_->saying(true)) {
    world_->Say(name_ + ": starts with " + std::to_string(recovered->last_index) + " records",
                true);
  }
  replica_ = std::make_unique<Replica>(std::move(options), this, *std::move(recovered), now());
  paused_ = stopped_ = shown_primary_ = false;
  shown_state_.clear();
  Observe();
  PlanTick();
}

void Node::Crash(size_t keep) {
  if (!up()) return;
  // What the store was given survives as far as `keep` says; what it was not given is lost.
  for (size_t i = 0; i < std::min(keep, writing_.size()); ++i) {
    world_->truth().OnSynced(name_, writing_[i].write, store_);
  }
  store_.Crash(keep);
  if (world_->saying(true)) {
    world_->Say(name_ + ": crashes, " + std::to_string(writing_.size() + queued_.size()) +
                    " writes under way, " + std::to_string(std::min(keep, writing_.size())) +
                    " kept",
                true);
  }
  ++incarnation_;
  replica_.reset();
  inbox_.clear();
  queued_.clear();
  writing_.clear();
  local_acks_.clear();
  turn_planned_ = disk_planned_ = paused_ = stopped_ = false;
  world_->network().OnDown(name_);
}

void Node::Wipe() {
  if (world_->saying(true)) world_->Say(name_ + ": gets a new, empty disk", true);
  store_.Wipe();
  world_->truth().OnWiped(name_);
}

void Node::SaveDisk() {
  saved_ = store_.Save();
  saved_own_reign_ = world_->truth().PromisedTo(name_) == name_;
  world_->truth().OnSaved(name_);
}

void Node::RestoreDisk() {
  if (world_->saying(true)) world_->Say(name_ + ": gets an old disk back", true);
  store_.Restore(*saved_);
  world_->truth().OnRestored(name_);
}

void Node::Pause() {
  if (!up() || paused_) return;
  paused_ = true;
  if (world_->saying(true)) world_->Say(name_ + ": is paused", true);
}

void Node::Resume() {
  if (!up() || !paused_) return;
  paused_ = false;
  if (world_->saying(true)) {
    world_->Say(name_ + ": wakes, " + std::to_string(inbox_.size()) + " events waiting", true);
  }
  PlanTurn();
}

// ---- Turns -------------------------------------------------------------------------------------

void Node::Post(Event event) {
  if (!up()) return;
  inbox_.emplace_back(std::move(event));
  PlanTurn();
}

void Node::PostQuery(std::function<void(const ReplicaStatus&)> answer) {
  if (!up()) return;
  inbox_.emplace_back(std::move(answer));
  PlanTurn();
}

void Node::PlanTick() {
  Later(world_->Delay(kTickUs), [this] {
    if (!paused_) Post(Tick{});
    PlanTick();
  });
}

void Node::PlanTurn() {
  if (turn_planned_ || paused_ || inbox_.empty()) return;
  turn_planned_ = true;
  Later(world_->Delay(kTurnUs), [this] {
    turn_planned_ = false;
    if (!paused_) Turn();
  });
}

void Node::Turn() {
  Actions out;
  bool ticked = false;
  while (!inbox_.empty()) {
    Item item = std::move(inbox_.front());
    inbox_.pop_front();
    const Event* event = std::get_if<Event>(&item);
    ticked |= event != nullptr && std::holds_alternative<Tick>(*event);
    TakeItem(std::move(item), &out);
    Observe();
  }
  replica_->Flush(now(), &out);
  Observe();
  CarryOut(std::move(out));
  AckLocally();
  if (!ticked) return;
  const ReplicaStatus status = replica_->status(now());
  world_->truth().OnStatus(name_, status);
  if (world_->saying(true) && LogStateName(status.state) != shown_state_) {
    shown_state_ = LogStateName(status.state);
    world_->Say(name_ + ": is " + shown_state_ + " as " +
                    (status.role == Role::kPrimary ? "primary" : "mirror"),
                true);
  }
}

void Node::TakeItem(Item item, Actions* out) {
  std::visit(Overloaded{
                 [&](Event& event) {
                   world_->Mix(event.index());
                   if (auto* received = std::get_if<Received>(&event)) {
                     MutateMessage(&received->message);
                   }
                   if (auto* append = std::get_if<AppendRequest>(&event)) {
                     const AppendRequest copy = *append;
                     const uint64_t before = replica_->status(now()).last_index;
                     replica_->Step(std::move(event), now(), out);
                     MutateAppend(copy, before);
                     return;
                   }
                   replica_->Step(std::move(event), now(), out);
                 },
                 [&](Query& query) { query(replica_->status(now())); },
                 [&](Reported& done) {
                   if (!done.status.ok()) stopped_ = true;
                   if (done.reload) {
                     Result<Recovered> recovered = store_.Recover(kLogName);
                     if (!recovered.ok()) throw Violation{recovered.status().ToString()};
                     if (Mutated(Mutant::kKeepPositions)) {
                       for (const auto& kept : kept_positions_) recovered->positions.insert(kept);
                       for (auto& [source, at] : recovered->positions) {
                         at = std::max(at, kept_positions_[source]);
                       }
                     }
                     replica_->Reload(*std::move(recovered));
                   }
                   replica_->Step(Persisted{done.status}, now(), out);
                 },
             },
             item);
}

void Node::Observe() {
  const uint64_t commit = replica_->commit_index();
  const bool primary = replica_->is_primary();
  if (primary) {
    world_->truth().OnCommit(name_, commit, true, replica_->status(now()).control.config);
  } else {
    world_->truth().OnCommit(name_, commit, false, Config{});
  }
  if (primary != shown_primary_) {
    shown_primary_ = primary;
    const uint64_t epoch = replica_->status(now()).epoch;
    world_->Mix(epoch * 2 + (primary ? 1 : 0));
    if (world_->saying(true)) {
      world_->Say(name_ + (primary ? ": reigns in epoch " + EpochText(epoch) : ": steps down"),
                  true);
    }
  }
}

void Node::CarryOut(Actions actions) {
  for (Action& action : actions) {
    std::visit(Overloaded{
                   [&](Persist& persist) { OnPersist(std::move(persist.write)); },
                   [&](Send& send) { OnSend(std::move(send)); },
                   [&](ReadAndSend& order) { OnReadAndSend(std::move(order)); },
                   [&](Reply& reply) {
                     if (reply.fence && reply.status.ok()) {
                       world_->truth().OnFenceAnswered(name_, reply.fence->promised_epoch,
                                                       reply.fence->promised_to);
                     }
                     world_->AnswerTicket(this, reply);
                   },
               },
               action);
  }
}

void Node::OnSend(Send send) {
  world_->truth().OnSend(name_, send.message);
  world_->Mix(send.message.index());
  world_->network().Send(name_, send.peer, std::move(send.message));
}

void Node::OnReadAndSend(ReadAndSend order) {
  Later(world_->Delay(kReadUs), [this, order = std::move(order)]() mutable {
    ReadDone done{.peer = order.peer, .session = order.session};
    Result<FrameBatch> batch =
        store_.Read(kLogName, order.first_index, order.last_index, order.bytes_max);
    done.status = batch.status();
    if (batch.ok()) {
      done.last_index = batch->last_index();
      done.root = batch->root;
      done.bytes = batch->bytes;
      order.header.batch = std::make_shared<const FrameBatch>(*std::move(batch));
      OnSend({order.peer, std::move(order.header)});
    }
    Post(std::move(done));
  });
}

// ---- Disk --------------------------------------------------------------------------------------

void Node::OnPersist(LogWrite write) {
  if (write.batch) world_->Mix(write.batch->last_index());
  if (write.truncate) {
    world_->Mix(write.truncate->after);
    if (world_->saying(true)) {
      world_->Say(name_ + ": quarantines what follows record " +
                      std::to_string(write.truncate->after) + " (" + write.truncate->origin + ")",
                  true);
    }
  }
  MutatePersist(write);
  const bool early = ReportsEarly(write);
  queued_.push_back({std::move(write), early});
  if (early) {
    inbox_.emplace_back(Reported{});
    PlanTurn();
  }
  PlanDisk();
}

void Node::PlanDisk() {
  if (disk_planned_ || queued_.empty()) return;
  disk_planned_ = true;
  Later(world_->Delay(kWriteUs), [this] { WriteGroup(); });
}

// Hands all that waits to the store, one Write each, so that a crash can fall between any two.
void Node::WriteGroup() {
  writing_.swap(queued_);
  Status failed;
  for (Job& job : writing_) {
    if (Mutated(Mutant::kSkipQuarantine)) TruncateWithoutQuarantine(&job.write);
    LogWrite write = job.write;
    if (Mutated(Mutant::kSkipQuarantine)) write.truncate.reset();
    failed = store_.Write({&write, 1});
    if (!failed.ok()) break;
  }
  if (!failed.ok()) {
    // Nobody knows what a failed write left behind; a crash will decide.
    for (const Job& job : writing_) {
      if (!job.reported) inbox_.emplace_back(Reported{.status = failed});
    }
    if (world_->saying(true)) world_->Say(name_ + ": a write fails", true);
    PlanTurn();
    return;
  }
  Later(world_->Delay(slow_disk_ ? kSlowSyncUs : kSyncUs), [this] { SyncGroup(); });
}

void Node::SyncGroup() {
  store_.Sync();
  for (Job& job : writing_) {
    world_->truth().OnSynced(name_, job.write, store_);
    if (!job.reported) {
      inbox_.emplace_back(Reported{.reload = job.write.truncate.has_value()});
    }
  }
  writing_.clear();
  disk_planned_ = false;
  PlanTurn();
  PlanDisk();
}

}  // namespace kembar::sim
