// trace.cc — see trace.h. Also turns a failed CHECK into a Violation, so that a run reports it with
// its seed instead of ending the process.
#include "tests/sim/trace.h"

#include <cstdio>

#include "replicator/base/check.h"

namespace kembar::sim {

void Trace::Line(int64_t time_us, const std::string& text) {
  char stamp[32];
  std::snprintf(stamp, sizeof(stamp), "%10.3f ", static_cast<double>(time_us) / 1000.0);
  std::string line = stamp + text;
  if (sink_) sink_(line);
  if (lines_max_ == 0) return;
  lines_.push_back(std::move(line));
  if (lines_.size() > lines_max_) lines_.pop_front();
}

}  // namespace kembar::sim
