// rebuild.h — `kembard --rebuild`: a damaged data directory is set aside, so that the node comes
// back as an empty mirror and fetches everything from the other site.
//
// Nothing is deleted. It is an operator's decision, never the program's: an empty node has
// forgotten its promises, and whatever only it held lies in the directory that was set aside.
#pragma once

#include <cstdint>
#include <string>

#include "node/config.h"
#include "replicator/base/status.h"

namespace kembar {

// DATA.damaged-YYYYMMDD-HHMMSS, local time.
std::string DamagedName(const std::string& data, int64_t wall_s);

// Moves the data directory aside and gives back where it went. kInvalid: no [[peer]] to fetch from.
// kNotFound: there is no directory. kUnavailable: a running kembard has it.
Result<std::string> SetDataAside(const NodeConfig& config, int64_t wall_s);

}  // namespace kembar
