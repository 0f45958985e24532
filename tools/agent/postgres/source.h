// source.h — captures a PostgreSQL database for as long as the program runs: session after session.
//
// A session that fails is followed by another, after a growing pause, for ever; only what no trying
// again can mend (a wrong configuration, another database under the same name) ends it.
#pragma once

#include "tools/agent/config.h"
#include "tools/agent/stats.h"
#include "tools/agent/wakeup.h"

namespace kembar::agent {

// OK: stopped as told. Runs on the caller's thread.
Status RunPostgresSource(const AgentConfig& config, bool accept_new_database, StatsBoard* board,
                         Wakeup* wakeup);

}  // namespace kembar::agent
