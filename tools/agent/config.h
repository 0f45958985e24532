// config.h — what an agent is told before it starts: one TOML file, one struct.
//
// As the node's: nothing is read from the environment and nothing is guessed; an unknown key is an
// error, and every error is one line that names file, line, key, what is wrong and, where it helps,
// what to write. docs/agent.md explains each key.
//
// Pure but for LoadConfig, which reads the file and the mapping that it names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"
#include "tools/agent/config_documents.h"
#include "tools/agent/config_sink.h"
#include "tools/capture/mapping.h"

namespace kembar::agent {

struct PostgresConfig {
  std::string name;  // SOURCE is "postgres/NAME"
  std::string dsn;
  std::string slot;  // default: "kembar_" and the name
  std::string publication = "kembar";
  std::string application_name;  // default: the name; what synchronous_standby_names matches
  std::vector<std::string> include = {"*.*"};
  std::vector<std::string> exclude;
  bool set_replica_identity = false;
  std::string mapping_file;  // empty: none
  capture::Mapping mapping;  // what is in it

  int64_t canary_every_s = 30;  // these: 0 is off
  int64_t sequences_every_s = 10;
  int64_t schema_check_every_s = 60;
  int64_t large_objects_every_s = 3'600;
  int64_t audit_every_s = 86'400;
  bool audit_repair = true;

  uint64_t retained_wal_warn_bytes = uint64_t{4} << 30;
  uint64_t retained_wal_critical_bytes = uint64_t{16} << 30;
  int64_t lag_warn_s = 60;
  int64_t lag_critical_s = 300;
  uint64_t transaction_records_max = 4'096;
  uint64_t transaction_bytes_max = uint64_t{1} << 20;

  std::string Source() const { return "postgres/" + name; }
};

struct AgentConfig {
  std::string file;  // where this was read

  std::string name;
  std::vector<std::string> nodes;  // HOST:PORT each
  std::string log;                 // empty: the only one there is
  std::string http;                // HOST:PORT; empty: off
  std::string log_level = "info";

  std::optional<PostgresConfig> postgres;
  std::optional<DocumentsConfig> documents;
  std::optional<SinkConfig> sink;
};

// `text` is the content of `file`; relative paths in it are relative to its directory. The mapping
// is not read: see LoadConfig.
Result<AgentConfig> ParseConfig(std::string_view text, const std::string& file);
Result<AgentConfig> LoadConfig(const std::string& file);
// The whole configuration with all defaults filled in, as TOML that gives the same again. The DSN's
// password is left out.
std::string EffectiveConfig(const AgentConfig& config);

// Whether "schema.table" is one of `include` and none of `exclude`; '*' stands for anything.
bool Captures(const PostgresConfig& config, const capture::TableName& table);

}  // namespace kembar::agent
