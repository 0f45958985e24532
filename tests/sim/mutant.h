// mutant.h — deliberately broken behaviours. The simulator must catch each of them: this is how we
// know that it can fail. They sit in the simulated world (pump, disk, messages, operator's tool),
// so that the code under test carries no hooks.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace kembar::sim {

enum class Mutant : uint8_t {
  kNone,
  kPersistedBeforeSync,   // the node takes a write for durable before it is
  kAckBeforeSync,         // a mirror acknowledges what it has only received
  kPromiseBeforeSync,     // a promise is answered before it is on the disk
  kForgetHardState,       // a restart forgets promises and all other bookkeeping
  kForgetPromise,         // a restart forgets only the promise
  kCompareIndicesOnly,    // a rejoin compares how far two logs reach, not what they hold
  kSkipQuarantine,        // a truncation throws the divergent tail away
  kForgetPositions,       // a restart forgets how far each source was
  kKeepPositions,         // a truncation does not rewind how far each source was
  kAckLocally,            // an append is acknowledged when it is durable on the primary
  kAckDuplicateAtOnce,    // a repeated append is acknowledged although it is not yet committed
  kCommitBeyond,          // a mirror takes all that it has for committed
  kPromoteWithoutQuorum,  // the tool promotes with too few promises
  kCountRefusedFences,    // the tool takes a refused fence for a promise
  kPromoteAnyone,         // the tool promotes the node it was told to, not the most advanced
  kCountEmptyNodes,       // the tool takes the promise of a wiped node for a witness
  kTrustFrames,           // a mirror takes frames that do not make up the root stated
  kCountOldDisks,         // the tool takes a node whose old disk was put back for a witness
};

struct MutantInfo {
  Mutant mutant;
  std::string_view name;
  std::string_view what;
};
const std::vector<MutantInfo>& AllMutants();
const MutantInfo* FindMutant(std::string_view name);

}  // namespace kembar::sim
