// mutant.cc — the list; see mutant.h.
#include "tests/sim/mutant.h"

namespace kembar::sim {

const std::vector<MutantInfo>& AllMutants() {
  static const std::vector<MutantInfo> all = {
      {Mutant::kPersistedBeforeSync, "persisted-before-sync",
       "a node takes a write for durable before it is"},
      {Mutant::kAckBeforeSync, "ack-before-sync",
       "a mirror acknowledges what it has only received"},
      {Mutant::kPromiseBeforeSync, "promise-before-sync",
       "a promise is answered before it is on the disk"},
      {Mutant::kForgetHardState, "forget-hard-state",
       "a restart forgets promises and all other bookkeeping"},
      {Mutant::kForgetPromise, "forget-promise", "a restart forgets the promise"},
      {Mutant::kCompareIndicesOnly, "compare-indices-only",
       "a rejoin compares how far two logs reach, not what they hold"},
      {Mutant::kSkipQuarantine, "skip-quarantine", "a truncation throws the divergent tail away"},
      {Mutant::kForgetPositions, "forget-positions", "a restart forgets how far each source was"},
      {Mutant::kKeepPositions, "keep-positions",
       "a truncation does not rewind how far each source was"},
      {Mutant::kAckLocally, "ack-locally",
       "an append is acknowledged when durable on the primary alone"},
      {Mutant::kAckDuplicateAtOnce, "ack-duplicate-at-once",
       "a repeated append is acknowledged before it is committed"},
      {Mutant::kCommitBeyond, "commit-beyond", "a mirror takes all that it has for committed"},
      {Mutant::kPromoteWithoutQuorum, "promote-without-quorum",
       "the tool promotes with too few promises"},
      {Mutant::kCountRefusedFences, "count-refused-fences",
       "the tool takes a refused fence for a promise"},
      {Mutant::kPromoteAnyone, "promote-anyone",
       "the tool promotes the node it was told to, not the most advanced"},
      {Mutant::kCountEmptyNodes, "count-empty-nodes", "the tool takes a wiped node for a witness"},
      {Mutant::kTrustFrames, "trust-frames",
       "a mirror takes frames that do not make up the root stated"},
      {Mutant::kCountOldDisks, "count-old-disks",
       "the tool takes a node whose old disk was put back for a witness"},
  };
  return all;
}

const MutantInfo* FindMutant(std::string_view name) {
  for (const MutantInfo& info : AllMutants()) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

}  // namespace kembar::sim
