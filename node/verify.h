// verify.h — re-reads one log of a store and recomputes everything that is derived from it: each
// record's form and place, every Merkle node and the root, every item entry.
//
// Blocking; used by one thread. Reads only, and may run while the log grows: it checks the records
// that were there when it began. A divergent tail that is cut off meanwhile is no error.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "replicator/log/store.h"

namespace kembar {

struct VerifyProgress {
  uint64_t records = 0;             // checked so far
  std::vector<std::string> errors;  // new since the last report; each names log and index
  bool done = false;
};

struct VerifyRange {
  std::string log;
  uint64_t last_index = 0;    // durable when the verification began
  uint64_t commit_index = 0;  // records behind this one may be cut off meanwhile
  size_t read_bytes = size_t{1} << 20;
};

// Calls `report` now and then, and once with done. `report` returns false to stop.
void VerifyLog(const Store& store, const VerifyRange& range,
               const std::function<bool(const VerifyProgress&)>& report);

}  // namespace kembar
