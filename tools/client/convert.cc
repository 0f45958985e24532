// convert.cc — see convert.h.
#include "tools/client/convert.h"

#include "replicator/log/epoch_history.h"

namespace kembar::client {
namespace {

void SetMember(const Member& from, v1::Member* to) {
  to->set_name(from.name);
  to->set_address(from.address);
}

}  // namespace

v1::Mode ToProto(Mode mode) {
  switch (mode) {
    case Mode::kMaxProtection: return v1::MODE_MAX_PROTECTION;
    case Mode::kMaxAvailability: return v1::MODE_MAX_AVAILABILITY;
    case Mode::kMaxPerformance: return v1::MODE_MAX_PERFORMANCE;
  }
  return v1::MODE_UNSPECIFIED;
}

v1::Config ToProto(const Config& config) {
  v1::Config out;
  for (const Member& member : config.members) SetMember(member, out.add_members());
  for (const Member& member : config.left_out) SetMember(member, out.add_left_out());
  out.set_sync_mirrors(config.sync_mirrors);
  out.set_mode(ToProto(config.mode));
  out.set_solo_after_ms(config.solo_after_ms);
  out.set_solo(config.solo);
  return out;
}

v1::ControlState ToProto(const ControlState& state) {
  v1::ControlState out;
  out.set_log_uuid(state.log_uuid);
  out.set_primary(state.primary);
  *out.mutable_config() = ToProto(state.config);
  out.set_lossy(state.lossy);
  out.set_reason(state.reason);
  out.set_actor(state.actor);
  out.set_known(state.known);
  return out;
}

Result<Config> FromProto(const v1::Config& config) {
  const std::optional<Mode> mode = ModeFromName(ModeText(config.mode()));
  if (!mode) return Status(Code::kInvalid, "a node sent a configuration without a known mode");
  Config out;
  for (const v1::Member& m : config.members()) out.members.push_back({m.name(), m.address()});
  for (const v1::Member& m : config.left_out()) out.left_out.push_back({m.name(), m.address()});
  out.sync_mirrors = config.sync_mirrors();
  out.mode = *mode;
  out.solo_after_ms = config.solo_after_ms();
  out.solo = config.solo();
  return out;
}

Result<ControlState> FromProto(const v1::ControlState& state) {
  ControlState out;
  ASSIGN_OR_RETURN(out.config, FromProto(state.config()));
  out.log_uuid = state.log_uuid();
  out.primary = state.primary();
  out.lossy = state.lossy();
  out.reason = state.reason();
  out.actor = state.actor();
  out.known = state.known();
  return out;
}

std::string ModeText(v1::Mode mode) {
  switch (mode) {
    case v1::MODE_MAX_PROTECTION: return std::string(ModeName(Mode::kMaxProtection));
    case v1::MODE_MAX_AVAILABILITY: return std::string(ModeName(Mode::kMaxAvailability));
    case v1::MODE_MAX_PERFORMANCE: return std::string(ModeName(Mode::kMaxPerformance));
    default: return "unknown";
  }
}

uint64_t ShownEpoch(uint64_t epoch) { return EpochNumber(epoch); }

std::string KindText(int kind) {
  switch (kind) {
    case v1::RECORD_KIND_PUT: return "put";
    case v1::RECORD_KIND_DELETE: return "delete";
    case v1::RECORD_KIND_EPOCH_START: return "epoch-start";
    case v1::RECORD_KIND_CONFIG: return "config";
    case v1::RECORD_KIND_NOTE: return "note";
    default: return "kind-" + std::to_string(kind);
  }
}

}  // namespace kembar::client
