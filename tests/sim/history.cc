// history.cc — the committed history and what was acknowledged from it. See truth.h.
#include <algorithm>

#include "tests/sim/truth.h"
#include "tests/sim/words.h"

namespace kembar::sim {
namespace {

[[noreturn]] void Fail(const std::string& what) { throw Violation{what}; }

}  // namespace

// The last reign entered with accepted loss at or before `index` names the branch.
Truth::ReignId Truth::BranchOf(const Disk& disk, uint64_t index) const {
  ReignId branch = 0;
  for (const auto& [first, reign] : disk.lossy) {
    if (first <= index) branch = reign;
  }
  return branch;
}

// A mirror may know a part only of what its primary has committed: any branch that begins with what
// the mirror holds will do. Without one, the branch by its reigns, where the mirror then fails.
Truth::ReignId Truth::BranchOfMirror(const Disk& disk, uint64_t commit) const {
  auto holds = [&](const Branch& branch, uint64_t index) {
    return branch.leaves.size() >= index && branch.leaves[index - 1] == disk.log[index - 1].leaf;
  };
  const ReignId own = BranchOf(disk, commit);
  if (branches_.size() < 2) return own;
  for (const auto& [id, branch] : branches_) {
    uint64_t index = commit;
    while (index > 0 && holds(branch, index)) --index;
    if (index == 0) return id;
  }
  return own;
}

void Truth::OnCommit(const std::string& node, uint64_t commit, bool primary, const Config& config) {
  Disk& disk = disks_[node];
  if (commit == disk.commit) return;
  if (commit > disk.log.size()) {
    Fail("P1: " + node + " has committed " + N(commit) + " of " + N(disk.log.size()) +
         " records on its disk");
  }
  if (commit < disk.commit) {
    if (one_history_) Fail("the commit index of " + node + " falls to " + N(commit));
    disk.commit = commit;
    return;
  }
  const ReignId id = primary ? BranchOf(disk, commit) : BranchOfMirror(disk, commit);
  Branch& branch = branches_[id];
  if (id != disk.commit_branch) disk.commit = 0;
  disk.commit_branch = id;
  if (primary && commit > branch.leaves.size()) CheckHolders(node, commit, config);
  for (uint64_t index = disk.commit + 1; index <= commit; ++index) {
    const Digest& leaf = disk.log[index - 1].leaf;
    if (index <= branch.leaves.size()) {
      if (branch.leaves[index - 1] != leaf) {
        Fail("P3: " + node + " has committed another record " + N(index) + " than others have");
      }
      continue;
    }
    if (!primary) {
      Fail("P1: mirror " + node + " shows " + N(index) + " as committed; no primary did");
    }
    Extend(&branch, leaf);
  }
  disk.commit = commit;
  if (!branch.open_source.empty()) Fail("P6: " + node + " commits half of a batch");
}

bool Truth::Holds(const std::string& node, uint64_t index, const Digest& leaf) const {
  const Disk& disk = DiskOf(node);
  auto holds = [&](const std::vector<Entry>& log) {
    return log.size() >= index && log[index - 1].leaf == leaf;
  };
  return holds(disk.log) || holds(disk.before_wipe);
}

void Truth::CheckHolders(const std::string& node, uint64_t index, const Config& config) const {
  const Digest& leaf = DiskOf(node).log[index - 1].leaf;
  uint32_t mirrors = 0;
  for (const Member& member : config.members) {
    if (member.name != node && Holds(member.name, index, leaf)) ++mirrors;
  }
  if (mirrors < config.RequiredMirrors()) {
    Fail("P1: " + node + " commits " + N(index) + ", which is on " + N(mirrors) +
         " mirrors' disks instead of " + N(config.RequiredMirrors()));
  }
}

void Truth::Extend(Branch* branch, const Digest& leaf) {
  const RecordInfo& info = records_.at(leaf);
  branch->leaves.push_back(leaf);
  if (!branch->open_source.empty() && branch->open_source != info.source) {
    Fail("P6: a batch of " + branch->open_source + " is torn at record " + N(info.index));
  }
  if (info.source.empty()) return;
  auto book = book_->find(info.source);
  if (book == book_->end()) Fail("P6: record " + N(info.index) + " of an unknown source");
  SourceState& at = branch->sources[info.source];
  if (at.batch >= book->second.size()) Fail("P6: record " + N(info.index) + " was never sent");
  const SourceBatch& expected = book->second[at.batch];
  if (info.position != expected.position) {
    Fail("P6: source " + info.source + ": position " + N(info.position) + " at record " +
         N(info.index) + " where " + N(expected.position) + " is due (doubled or skipped)");
  }
  if (info.payload != expected.payloads[at.offset]) {
    Fail("P6: record " + N(info.index) + " is not what " + info.source + " sent");
  }
  ++at.offset;
  const bool whole = at.offset == expected.payloads.size();
  if (whole != info.batch_end) Fail("P6: batch ends at a wrong record " + N(info.index));
  if (whole) at = {at.batch + 1, 0};
  branch->open_source = whole ? "" : info.source;
}

void Truth::OnAcknowledged(const std::string& node, uint64_t epoch, const std::string& source,
                           size_t batch, uint64_t index) {
  const std::string what = "batch " + N(batch) + " of " + source + " at " + N(index);
  const Disk& disk = DiskOf(node);
  auto branch = branches_.find(disk.commit_branch);
  if (branch == branches_.end() || index == 0 || index > branch->second.leaves.size()) {
    Fail("P1: " + node + " acknowledges " + what + ", which is not committed");
  }
  const Digest& leaf = branch->second.leaves[index - 1];
  const RecordInfo& info = records_.at(leaf);
  // (What an earlier reign committed may be confirmed by anyone.)
  if (one_history_ && info.epoch == epoch) {
    auto [at, is_new] = acknowledges_.try_emplace(epoch, node);
    if (!is_new && at->second != node) {
      Fail("P2: both " + at->second + " and " + node + " acknowledge in epoch " + EpochText(epoch));
    }
    if (epoch < disk.answered_epoch) Fail("P2: " + node + " acknowledges after its promise");
  }
  const SourceBatch& sent = book_->at(source)[batch];
  if (info.source != source || info.position != sent.position || !info.batch_end) {
    Fail("P6: " + node + " acknowledges " + what + ", where another record stands");
  }
  auto [at, is_new] = acknowledged_.try_emplace({source, batch}, Acknowledged{});
  if (!is_new && at->second.index != index && one_history_) {
    Fail("P6: " + what + " was acknowledged at " + N(at->second.index) + " before");
  }
  at->second = {source, batch, index, leaf};
}

void Truth::CheckAcknowledged(const std::string& node) const {
  const Disk& disk = DiskOf(node);
  for (const auto& [key, done] : acknowledged_) {
    const bool held = done.index <= disk.log.size() && disk.log[done.index - 1].leaf == done.leaf;
    if (!held && one_history_) {
      Fail("P1: the acknowledged batch " + N(done.batch) + " of " + done.source + " at " +
           N(done.index) + " is not on " + node);
    }
  }
}

// Acknowledged batches that the last branch does not hold: an operator accepted their loss.
size_t Truth::given_up() const {
  size_t count = 0;
  for (const auto& [key, done] : acknowledged_) {
    bool held = false;
    for (const auto& [name, disk] : disks_) {
      held |= done.index <= disk.log.size() && disk.log[done.index - 1].leaf == done.leaf;
    }
    if (!held) ++count;
  }
  return count;
}

size_t Truth::CommittedLength(const std::string& node) const {
  auto branch = branches_.find(DiskOf(node).commit_branch);
  return branch == branches_.end() ? 0 : branch->second.leaves.size();
}

bool Truth::HoldsAllCommitted(const std::string& node) const {
  const Disk& disk = DiskOf(node);
  return std::all_of(branches_.begin(), branches_.end(), [&](const auto& entry) {
    const std::vector<Digest>& leaves = entry.second.leaves;
    return leaves.empty() ||
           (disk.log.size() >= leaves.size() && disk.log[leaves.size() - 1].leaf == leaves.back());
  });
}

size_t Truth::FullCopiesBeside(const std::string& node) const {
  size_t longest = 0;
  const Branch* last = nullptr;
  for (const auto& [id, branch] : branches_) {
    if (branch.leaves.size() >= longest) last = &branch;
    longest = std::max(longest, branch.leaves.size());
  }
  if (last == nullptr || longest == 0) return 0;
  size_t copies = 0;
  for (const auto& [name, disk] : disks_) {
    if (name == node || disk.log.size() < longest) continue;
    if (disk.log[longest - 1].leaf == last->leaves.back()) ++copies;
  }
  return copies;
}

}  // namespace kembar::sim
