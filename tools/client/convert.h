// convert.h — membership and mode between kembar.v1 messages and the structs of replicator/log,
// whose rules (how many mirrors, how many promises) are then the replica's own.
//
// Pure.
#pragma once

#include "kembar/v1/record.pb.h"
#include "replicator/base/status.h"
#include "replicator/log/control.h"

namespace kembar::client {

v1::Mode ToProto(Mode mode);
v1::Config ToProto(const Config& config);
v1::ControlState ToProto(const ControlState& state);

// kInvalid when the mode is unset or unknown: no rule may be derived from it.
Result<Config> FromProto(const v1::Config& config);
Result<ControlState> FromProto(const v1::ControlState& state);

// "max-protection" …; "unknown" when unset.
std::string ModeText(v1::Mode mode);
// What people and JSON are shown of an epoch: the number of the reign, without its restarts.
uint64_t ShownEpoch(uint64_t epoch);
// "put", "delete", "epoch-start", "config", "note"; "kind-N" for one that this version does not
// know.
std::string KindText(int kind);

}  // namespace kembar::client
