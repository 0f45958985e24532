// scenario.h — failover stories as text files: commands and, below each block of commands, the
// trace that they must give. The language is described in scenarios/README.md.
#pragma once

#include <string>

namespace kembar::sim {

// Runs one file. Empty when the trace is as expected; otherwise what differs. With `rewrite` the
// file is written anew with the trace as it is.
std::string RunScenario(const std::string& path, bool rewrite);

}  // namespace kembar::sim
