// parse.h — small texts of the command line into values.
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "kembar/v1/tender.pb.h"
#include "replicator/base/status.h"
#include "replicator/log/control.h"

namespace kembar::ctl {

// "tebo=10.0.0.1:7301".
Result<Member> ParseMember(std::string_view text);
// An index (digits only) or a time; empty: now.
Result<v1::AsOf> ParseAsOf(const std::string& text);

}  // namespace kembar::ctl
