// truth.cc — the disks, and what nodes may say given what is on them. See truth.h.
#include "tests/sim/truth.h"

#include <algorithm>

#include "tests/sim/words.h"

namespace kembar::sim {
namespace {

[[noreturn]] void Fail(const std::string& what) { throw Violation{what}; }

}  // namespace

const Truth::Disk& Truth::DiskOf(const std::string& node) const {
  static const Disk empty;
  auto found = disks_.find(node);
  return found == disks_.end() ? empty : found->second;
}

const Truth::RecordInfo& Truth::Learn(const std::string& frame, const Digest& leaf) {
  auto [at, is_new] = records_.try_emplace(leaf);
  if (!is_new) return at->second;
  Result<Record> record = DecodeRecord(frame);
  if (!record.ok()) Fail("a malformed record became durable: " + record.status().ToString());
  RecordInfo& info = at->second;
  info.index = record->index;
  info.epoch = record->epoch;
  info.kind = record->kind;
  info.batch_end = record->batch_end;
  info.source = record->source;
  info.position = record->position;
  if (IsControl(record->kind)) {
    Result<ControlState> control = DecodeControl(record->payload);
    if (!control.ok()) Fail("a malformed control record became durable");
    info.control = *std::move(control);
  } else {
    info.payload = std::move(record->payload);
  }
  return info;
}

// A node begins an epoch once. Only one with an old disk has forgotten that it did so before.
Truth::ReignId Truth::ReignOf(const RecordInfo& start, const Digest& leaf) {
  auto& begun = reigns_[{start.epoch, start.control.primary}];
  auto [at, is_new] = begun.try_emplace(leaf, last_reign_ + 1);
  if (!is_new) return at->second;
  if (begun.size() > 1 && one_history_) {
    Fail("P3: " + start.control.primary + " begins epoch " + EpochText(start.epoch) + " twice");
  }
  return ++last_reign_;
}

// ---- Disks -------------------------------------------------------------------------------------

void Truth::OnSynced(const std::string& node, const LogWrite& write, const Store& store) {
  Disk& disk = disks_[node];
  if (write.truncate) {
    const uint64_t after = write.truncate->after;
    CheckQuarantine(node, disk, after, store);
    if (one_history_ && write.truncate->acknowledged_to > after) {
      Fail("P1: " + node + " cuts committed records off after " + N(after));
    }
    quarantined_ += disk.log.size() - after;
    ++disk.quarantines;
    disk.log.resize(after);
    while (!disk.lossy.empty() && disk.lossy.back().first > after) disk.lossy.pop_back();
  }
  if (write.batch) AppendToDisk(node, &disk, write);
  if (write.hard) {
    CheckHardGrows(node, disk.hard, *write.hard);
    disk.hard = *write.hard;
  }
}

void Truth::AppendToDisk(const std::string& node, Disk* disk, const LogWrite& write) {
  size_t at = 0;
  for (const merkle::Node& tree_node : write.nodes) {
    if (tree_node.level != 0) continue;
    const RecordInfo& info = Learn(write.batch->frames[at++], tree_node.hash);
    ReignId reign = disk->log.empty() ? 0 : disk->log.back().reign;
    if (info.kind == RecordKind::kEpochStart) {
      const ReignId known = last_reign_;
      reign = ReignOf(info, tree_node.hash);
      // (One that it began before, and now fetches from another node, is no fork.)
      const bool resumed = EpochRestarts(info.epoch) != 0 && info.control.primary == node;
      if (disk->forks && resumed && reign > known) forks_.insert(reign);
      if (info.control.lossy || forks_.contains(reign)) disk->lossy.emplace_back(info.index, reign);
      if (info.control.lossy && one_history_) Fail("a loss was accepted in a run without any");
    }
    disk->log.push_back({tree_node.hash, reign});
    if (info.index != disk->log.size()) Fail("record " + N(info.index) + " at a wrong place");
    // Raft's log matching: one reign, one index, one content.
    auto [known, is_new] = leaf_at_.try_emplace({reign, info.index}, tree_node.hash);
    if (!is_new && known->second != tree_node.hash) {
      Fail("P3: two different records " + N(info.index) + " of epoch " + EpochText(info.epoch));
    }
  }
  disk->forks = false;
  const auto key = std::pair(disk->log.back().reign, write.batch->last_index());
  auto [known, is_new] = root_at_.try_emplace(key, write.batch->root);
  if (!is_new && known->second != write.batch->root) {
    Fail("P3: two different roots at " + N(key.second) + " with equal record");
  }
}

// What a truncation removes must be readable in quarantine at once (it is the same Write).
void Truth::CheckQuarantine(const std::string& node, const Disk& disk, uint64_t after,
                            const Store& store) const {
  uint64_t index = after + 1;
  while (index <= disk.log.size()) {
    Result<std::vector<std::string>> frames =
        store.QuarantinedFrames(kLog, disk.quarantines + 1, index, SIZE_MAX);
    if (!frames.ok()) Fail("P4: " + node + " cut record " + N(index) + " off without quarantine");
    for (const std::string& frame : *frames) {
      if (index > disk.log.size()) break;
      if (merkle::HashLeaf(frame) != disk.log[index - 1].leaf) {
        Fail("P4: quarantine of " + node + " differs at record " + N(index));
      }
      ++index;
    }
  }
}

void Truth::CheckHardGrows(const std::string& node, const HardState& before,
                           const HardState& after) const {
  const bool same = after.promised_epoch == before.promised_epoch;
  if (after.promised_epoch < before.promised_epoch ||
      (same && before.promised_epoch != 0 && after.promised_to != before.promised_to)) {
    Fail("P2: " + node + " goes back on its promise of epoch " + EpochText(before.promised_epoch) +
         " to " + before.promised_to + ", now " + EpochText(after.promised_epoch) + " to " +
         after.promised_to);
  }
  if (after.seen_epoch < before.seen_epoch) {
    Fail("P2: " + node + " forgets that it has seen epoch " + EpochText(before.seen_epoch));
  }
}

void Truth::OnRestart(const std::string& node, const Recovered& recovered) {
  Disk& disk = disks_[node];
  disk.commit = 0;
  disk.commit_branch = 0;
  if (recovered.last_index != disk.log.size()) {
    Fail("store of " + node + " recovered " + N(recovered.last_index) + " records, synced were " +
         N(disk.log.size()));
  }
  if (!(recovered.hard == disk.hard)) Fail("store of " + node + " lost its hard state");
}

void Truth::OnWiped(const std::string& node) {
  Disk& disk = disks_[node];
  std::vector<Entry> held = std::move(disk.log);
  disk = Disk{};
  disk.before_wipe = std::move(held);
}

void Truth::OnSaved(const std::string& node) {
  Disk image = DiskOf(node);
  image.before_wipe.clear();
  image.commit = 0;
  image.commit_branch = 0;
  saved_[node] = std::move(image);
}

void Truth::OnRestored(const std::string& node) {
  Disk& disk = disks_[node];
  std::vector<Entry> held = std::move(disk.log);
  disk = saved_.at(node);
  disk.before_wipe = std::move(held);
  disk.forks = disk.hard.promised_to == node;
  if (disk.forks && one_history_) Fail("the old disk of a primary in a run without loss");
}

// ---- What nodes say ----------------------------------------------------------------------------

void Truth::OnSend(const std::string& node, const Message& message) const {
  const Disk& disk = DiskOf(node);
  auto check_epoch = [&](uint64_t epoch, const std::string& primary, const char* what) {
    const bool same = epoch == disk.answered_epoch;
    if (epoch < disk.answered_epoch || (same && !primary.empty() && primary != disk.answered_to)) {
      Fail("P2: " + node + " sends " + what + " for epoch " + EpochText(epoch) +
           " after its promise of " + EpochText(disk.answered_epoch) + " to " + disk.answered_to);
    }
    if (disk.hard.promised_epoch < epoch) {
      Fail("P2: " + node + " sends " + what + " for epoch " + EpochText(epoch) +
           ", but its promise on disk is " + EpochText(disk.hard.promised_epoch));
    }
  };
  auto check_durable = [&](uint64_t durable, const Digest& root, const char* what) {
    if (durable > disk.log.size()) {
      Fail("P1: " + node + " says in " + what + " that " + N(durable) +
           " is durable; on its disk are " + N(disk.log.size()));
    }
    if (durable == 0) return;
    auto known = root_at_.find({disk.log[durable - 1].reign, durable});
    if (known != root_at_.end() && known->second != root) {
      Fail("P3: " + node + " states a wrong root at " + N(durable));
    }
  };
  std::visit(Overloaded{
                 [&](const Ack& m) {
                   check_epoch(m.epoch, "", "an ack");
                   check_durable(m.durable_index, m.durable_root, "an ack");
                 },
                 [&](const Position& m) {
                   check_epoch(m.epoch, "", "a position");
                   if (!m.busy) check_durable(m.durable_index, m.durable_root, "a position");
                 },
                 [&](const Entries& m) {
                   if (m.epoch < disk.answered_epoch) {
                     return;  // from a read that was under way; no mirror takes it for more
                   }
                   check_epoch(m.epoch, m.primary, "entries");
                 },
                 [&](const Heartbeat& m) {
                   if (m.epoch > disk.hard.promised_epoch) return;  // its promise is on its way
                   check_epoch(m.epoch, m.primary, "a heartbeat");
                 },
                 [&](const Refusal&) {},
             },
             message);
}

void Truth::OnFenceAnswered(const std::string& node, uint64_t epoch, const std::string& candidate) {
  Disk& disk = disks_[node];
  const bool kept = disk.hard.promised_epoch > epoch ||
                    (disk.hard.promised_epoch == epoch && disk.hard.promised_to == candidate);
  if (!kept) {
    Fail("P2: " + node + " answers the fence of epoch " + EpochText(epoch) + " for " + candidate +
         ", but on its disk is " + EpochText(disk.hard.promised_epoch) + " to " +
         disk.hard.promised_to);
  }
  if (epoch > disk.answered_epoch) {
    disk.answered_epoch = epoch;
    disk.answered_to = candidate;
  } else if (epoch == disk.answered_epoch && candidate != disk.answered_to) {
    Fail("P2: " + node + " promises epoch " + EpochText(epoch) + " to two candidates");
  }
}

void Truth::OnStatus(const std::string& node, const ReplicaStatus& status) const {
  auto require = [&](bool holds, const char* what) {
    if (!holds) Fail("status of " + node + ": " + what);
  };
  const Disk& disk = DiskOf(node);
  require(status.durable_index <= status.last_index, "more durable than there is");
  require(status.commit_index <= status.last_index, "more committed than there is");
  require(status.hard.promised_epoch >= disk.answered_epoch, "an answered promise is forgotten");
  require(status.hard.promised_epoch >= status.hard.seen_epoch, "seen more than promised");
  require(status.role != Role::kPrimary || status.primary == node, "a primary that is another");
  require(status.role != Role::kPrimary || status.epoch == status.hard.promised_epoch,
          "a primary of an epoch that it has not promised to itself");
  if (!one_history_) return;
  require(status.hard.alarm.empty(), ("an alarm without cause: " + status.hard.alarm).c_str());
}

uint64_t Truth::DurableIndex(const std::string& node) const { return DiskOf(node).log.size(); }

uint64_t Truth::LongestDisk() const {
  uint64_t longest = 0;
  for (const auto& [name, disk] : disks_) longest = std::max<uint64_t>(longest, disk.log.size());
  return longest;
}

void Truth::CheckStore(const std::string& node, const Store& store) const {
  const Disk& disk = DiskOf(node);
  uint64_t index = 1;
  while (index <= disk.log.size()) {
    Result<FrameBatch> batch = store.Read(kLog, index, disk.log.size(), SIZE_MAX);
    if (!batch.ok()) Fail("store of " + node + ": " + batch.status().ToString());
    for (const std::string& frame : batch->frames) {
      if (merkle::HashLeaf(frame) != disk.log[index - 1].leaf) {
        Fail("store of " + node + " differs from what was synced at record " + N(index));
      }
      ++index;
    }
    auto known = root_at_.find({disk.log.back().reign, disk.log.size()});
    if (known != root_at_.end() && known->second != batch->root) {
      Fail("P3: the store of " + node + " has another root");
    }
  }
}

}  // namespace kembar::sim
