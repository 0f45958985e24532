// failover_bench.h — how long appends are without an acknowledgement at a failover.
//
// Runs kembarctl as an operator would, and appends at the new primary without pause from the moment
// the command starts. Time counts from there to the first acknowledgement of the new epoch.
#pragma once

#include <string>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::bench {

struct FailoverOptions {
  std::string node;
  std::string log;
  std::string to;
  std::vector<std::string> without;
  std::string kembarctl;  // program; empty: beside this one
  int kill_pid = 0;       // is killed (SIGKILL) when the clock starts; 0: nobody
  double timeout_s = 30;
};

struct FailoverTimes {
  uint64_t epoch = 0;
  double command_seconds = 0;    // until kembarctl ended
  double first_ack_seconds = 0;  // until the first acknowledged append
  std::string output;            // of kembarctl
};

Result<FailoverTimes> MeasureFailover(const FailoverOptions& options);

}  // namespace kembar::bench
