// failover_run.h — failover and switchover from the operator's question to the new primary's first
// acknowledgement.
//
// Thread-safety: none.
#pragma once

#include "tools/kembarctl/context.h"
#include "tools/kembarctl/failover_plan.h"

namespace kembar::ctl {

// Replaces a primary that may be gone. When the primary answers, it is a switchover.
Outcome RunFailover(Context* context, const FailoverRequest& request, const std::string& reason);
// Replaces a primary that answers; nothing can be lost.
Outcome RunSwitchover(Context* context, const std::string& to, const std::string& reason);

}  // namespace kembar::ctl
