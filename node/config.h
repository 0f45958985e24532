// config.h — what a node is told before it starts: one TOML file, one struct.
//
// Nothing is read from the environment and nothing is guessed: an unknown key is an error, and
// every error is one line that names file, line, key, what is wrong and, where it helps, what to
// write. The keys stand once, in ConfigKeys(); docs/configuration.md explains each.
//
// Pure but for LoadConfig, which reads the file. Thread-safety: value types.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/rpc/rate_limit.h"
#include "replicator/base/status.h"

namespace kembar {

struct PeerConfig {
  std::string name;     // the other node's name
  std::string address;  // HOST:PORT; empty: that node dials this one
};

struct NodeConfig {
  std::string file;  // where this was read

  std::string name;     // tells nodes apart; in every record of who was primary
  std::string listen;   // HOST:PORT of the gRPC server; port 0: one is chosen and printed
  std::string address;  // where other nodes and clients reach it; default: `listen`
  std::string http;     // HOST:PORT of metrics, health and status page; empty: off
  std::string data;     // absolute, or as the caller's working directory makes it
  uint64_t disk_reserve_bytes = uint64_t{512} << 20;  // below this much free, appends are refused
  std::string log_level = "info";

  std::vector<PeerConfig> peers;
  std::vector<LinkLimit> link_limits;  // of catching up; none: no limit at any time

  int64_t heartbeat_ms = 200;        // primary to mirrors
  int64_t silence_ms = 2'000;        // without contact so long a peer counts as gone
  int64_t append_wait_ms = 30'000;   // an append waits so long if its client sets no deadline
  int64_t source_silence_s = 1'800;  // a capture not heard so long alarms; 0: none does
  int64_t stop_ms = 3'000;           // on SIGTERM, calls under way get so long
  uint64_t queue_max = 65'536;       // events waiting; beyond, appends are refused
  uint64_t cache_bytes = uint64_t{64} << 20;          // blocks read from disk
  uint64_t write_buffer_bytes = uint64_t{128} << 20;  // recent writes, over all logs

  std::vector<std::string> accept_logs = {"*"};  // logs to mirror when a peer offers them
};

// `text` is the content of `file`; relative paths in it are relative to its directory.
Result<NodeConfig> ParseConfig(std::string_view text, const std::string& file);
Result<NodeConfig> LoadConfig(const std::string& file);

// The whole configuration with all defaults filled in, as TOML that gives the same again.
std::string EffectiveConfig(const NodeConfig& config);
// The same on one line, for the log.
std::string ConfigLine(const NodeConfig& config);

// Whether a log that a peer offers may be mirrored here.
bool AcceptsLog(const NodeConfig& config, std::string_view log);

// Every key there is, in the order of the documentation.
struct ConfigKey {
  std::string_view section;  // "node", "peer", "link_limit", "limits", "mirror"
  std::string_view name;
  std::string_view fallback;  // default, as written in TOML; empty: it must be given
  std::string_view range;     // for people
};
std::span<const ConfigKey> ConfigKeys();

}  // namespace kembar
