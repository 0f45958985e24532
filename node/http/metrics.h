// metrics.h — a snapshot of the node as Prometheus text.
//
// Built afresh for each scrape from one NodeSnapshot; there are no counters to keep in step. What
// is not known shows as +Inf where more is worse (a lag, an age), never as 0: unset does not mean
// OK.
//
// Pure.
#pragma once

#include <string>

#include "node/http/snapshot.h"

namespace kembar {

std::string RenderMetrics(const NodeSnapshot& snapshot);

}  // namespace kembar
