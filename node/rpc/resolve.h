// resolve.h — what every service does with the log id of a request.
//
// Thread-safety: from any thread but the engine's.
#pragma once

#include <string>

#include "node/engine.h"
#include "replicator/base/status.h"

namespace kembar {

// The log that a request means: an empty id is the node's only log. kInvalid (with the logs there
// are) when it is not the only one, kNotFound for a log that this node does not hold.
Result<std::string> ResolveLog(const Engine& engine, const std::string& asked);

}  // namespace kembar
