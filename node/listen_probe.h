// listen_probe.h — whether a server could listen at an address, asked of the kernel directly.
//
// gRPC does not say why it cannot listen; this does, before gRPC is asked. Somebody may take the
// port in between: then gRPC's failure is reported without a reason.
//
// Thread-safety: pure but for the socket that it opens and closes.
#pragma once

#include <cstdint>
#include <string>

#include "replicator/base/status.h"

namespace kembar {

// The port that can be had: that of `listen`, or a free one when it is 0. kIo says why not.
Result<uint16_t> ProbeListen(const std::string& listen);

}  // namespace kembar
