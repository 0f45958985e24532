// config_sink.h — the section [sink] of the agent's configuration.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>

#include "replicator/base/status.h"

namespace kembar::agent {

class ConfigSection;

struct SinkConfig {
  std::string dsn;
  std::string source;  // "postgres/NAME"; empty: the only one in the log
  std::string at;      // node that is asked while it answers; empty: the primary
  int64_t lag_warn_s = 60;
  int64_t lag_critical_s = 300;
  int64_t quiet_warn_s = 300;  // nothing new in the log; 0: off
};

Result<SinkConfig> ReadSink(ConfigSection section);
// As TOML that gives the same again, but for the password.
std::string SinkText(const SinkConfig& config);

}  // namespace kembar::agent
