// control.h — what control records (EpochStart, Config) say about a log: who reigns, who counts,
// how many mirrors an acknowledgement needs.
//
// The payload is text, one `key=value` line each, so that an auditor can read it in `log read`.
// Unknown keys are kept out of the way: an older node ignores them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"
#include "replicator/log/record.h"

namespace kembar {

enum class Mode : uint8_t { kMaxProtection, kMaxAvailability, kMaxPerformance };
std::string_view ModeName(Mode mode);  // "max-protection" …
std::optional<Mode> ModeFromName(std::string_view name);

struct Member {
  std::string name;
  std::string address;  // HOST:PORT where tools and clients reach it; may be empty
  bool operator==(const Member&) const = default;
};

// Membership and mode of a log from one index on. The same text stands in EpochStart and Config.
struct Config {
  std::vector<Member> members;   // the primary and the mirrors that count
  std::vector<Member> left_out;  // left out at a failover; may come back once level
  uint32_t sync_mirrors = 1;     // how many mirrors an acknowledgement is meant to need
  Mode mode = Mode::kMaxProtection;
  uint32_t solo_after_ms = 30'000;  // max-availability: how long without a mirror before solo
  bool solo = false;                // the primary acknowledges without a mirror; alarmed

  bool HasMember(std::string_view name) const;
  const Member* Find(std::string_view name) const;  // among members and left_out; null if absent
  // Mirrors whose durability an acknowledgement waits for now.
  uint32_t RequiredMirrors() const;
  // How many of the members must promise before a new primary may be chosen: n - k, at least one.
  uint32_t FenceQuorum() const;
  // How many mirrors, beside the primary, make up a write quorum outside solo and max-performance.
  uint32_t MirrorsOfQuorum() const;
  bool operator==(const Config&) const = default;
};
// For input from outside: members there, names without spaces or control characters, none twice.
Status ValidateConfig(const Config& config);

struct ControlState {
  std::string log_uuid;  // made once, when the log is created; tells a recreated log from this one
  std::string primary;
  Config config;
  bool lossy = false;  // the operator accepted that acknowledged records might be missing here
  std::string reason;  // why, in the operator's or the program's words
  std::string actor;   // who: operator and host, or "automatic"
  std::string known;   // what was known of the other nodes when it was decided
  bool operator==(const ControlState&) const = default;
};

std::string EncodeControl(const ControlState& state);
Result<ControlState> DecodeControl(std::string_view text);

}  // namespace kembar
