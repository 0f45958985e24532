// convert.cc — see convert.h: appends, records, and what the admin service says.
#include "node/rpc/convert.h"

#include <utility>

#include "kembar/v1/admin.pb.h"
#include "kembar/v1/log.pb.h"
#include "kembar/v1/record.pb.h"

namespace kembar {
namespace {

Status DraftFromProto(const v1::Draft& in, Draft* out) {
  switch (in.kind()) {
    case v1::RECORD_KIND_PUT: out->kind = RecordKind::kPut; break;
    case v1::RECORD_KIND_DELETE: out->kind = RecordKind::kDelete; break;
    case v1::RECORD_KIND_NOTE: out->kind = RecordKind::kNote; break;
    default:
      return {Code::kInvalid, "kind: must be PUT, DELETE or NOTE, not " +
                                  std::to_string(static_cast<int>(in.kind()))};
  }
  out->package = in.package().empty() ? kNoPackage : in.package();
  out->item = in.item();
  out->title = in.title();
  out->value = in.value();
  out->unit = in.unit();
  out->payload = in.payload();
  return {};
}

v1::Mode ModeToProto(Mode mode) {
  switch (mode) {
    case Mode::kMaxProtection: return v1::MODE_MAX_PROTECTION;
    case Mode::kMaxAvailability: return v1::MODE_MAX_AVAILABILITY;
    case Mode::kMaxPerformance: return v1::MODE_MAX_PERFORMANCE;
  }
  return v1::MODE_UNSPECIFIED;
}

Status ModeFromProto(v1::Mode in, Mode* out) {
  switch (in) {
    case v1::MODE_MAX_PROTECTION: *out = Mode::kMaxProtection; return {};
    case v1::MODE_MAX_AVAILABILITY: *out = Mode::kMaxAvailability; return {};
    case v1::MODE_MAX_PERFORMANCE: *out = Mode::kMaxPerformance; return {};
    default: break;
  }
  return {Code::kInvalid, "mode: unknown value " + std::to_string(static_cast<int>(in))};
}

}  // namespace

// ---- Log ---------------------------------------------------------------------------------------

Status FromProto(const v1::AppendRequest& in, AppendRequest* out) {
  out->source = in.source();
  out->position = in.position();
  out->after_position.reset();
  if (in.has_after_position()) {
    out->after_position = in.after_position();
    if (in.after_position() >= in.position()) {
      return {Code::kInvalid, "after_position: must be below position"};
    }
  }
  out->drafts.clear();
  out->drafts.resize(static_cast<size_t>(in.drafts_size()));
  for (int i = 0; i < in.drafts_size(); ++i) {
    Status status = DraftFromProto(in.drafts(i), &out->drafts[static_cast<size_t>(i)]);
    if (!status.ok()) return status.Prepend("drafts[" + std::to_string(i) + "]");
  }
  return {};
}

void ToProto(const Record& in, v1::Record* out) {
  out->set_index(in.index);
  out->set_epoch(in.epoch);
  out->set_time_us(in.time_us);
  // Kinds of a newer version pass as their number; proto3 keeps unknown values of an enum.
  out->set_kind(static_cast<v1::RecordKind>(in.kind));
  out->set_source(in.source);
  out->set_position(in.position);
  out->set_package(in.package);
  out->set_item(in.item);
  out->set_title(in.title);
  out->set_value(in.value);
  out->set_unit(in.unit);
  out->set_payload(in.payload);
  out->set_batch_end(in.batch_end);
}

Status FrameToProto(const std::string& frame, bool with_frame, v1::Record* out) {
  Result<Record> record = DecodeRecord(frame);
  if (!record.ok()) return record.status();
  ToProto(*record, out);
  if (with_frame) out->set_frame(frame);
  return {};
}

// ---- Admin -------------------------------------------------------------------------------------

Status FromProto(const v1::Config& in, Config* out) {
  *out = Config();
  for (const v1::Member& member : in.members()) {
    out->members.push_back({member.name(), member.address()});
  }
  for (const v1::Member& member : in.left_out()) {
    out->left_out.push_back({member.name(), member.address()});
  }
  out->sync_mirrors = in.sync_mirrors();
  out->solo_after_ms = in.solo_after_ms();
  out->solo = in.solo();
  RETURN_IF_ERROR(ModeFromProto(in.mode(), &out->mode));
  return ValidateConfig(*out);
}

void ToProto(const Config& in, v1::Config* out) {
  for (const Member& member : in.members) {
    v1::Member* to = out->add_members();
    to->set_name(member.name);
    to->set_address(member.address);
  }
  for (const Member& member : in.left_out) {
    v1::Member* to = out->add_left_out();
    to->set_name(member.name);
    to->set_address(member.address);
  }
  out->set_sync_mirrors(in.sync_mirrors);
  out->set_mode(ModeToProto(in.mode));
  out->set_solo_after_ms(in.solo_after_ms);
  out->set_solo(in.solo);
}

Status FromProto(const v1::ControlState& in, ControlState* out) {
  out->log_uuid = in.log_uuid();
  out->primary = in.primary();
  out->lossy = in.lossy();
  out->reason = in.reason();
  out->actor = in.actor();
  out->known = in.known();
  return FromProto(in.config(), &out->config).Prepend("config");
}

void ToProto(const ControlState& in, v1::ControlState* out) {
  out->set_log_uuid(in.log_uuid);
  out->set_primary(in.primary);
  ToProto(in.config, out->mutable_config());
  out->set_lossy(in.lossy);
  out->set_reason(in.reason);
  out->set_actor(in.actor);
  out->set_known(in.known);
}

void ToProto(const std::string& log, const ReplicaStatus& in, v1::LogStatus* out) {
  out->set_log(log);
  out->set_role(in.role == Role::kPrimary ? "primary" : "mirror");
  out->set_state(std::string(LogStateName(in.state)));
  out->set_epoch(in.epoch);
  out->set_primary(in.primary);
  out->set_primary_address(in.primary_address);
  out->set_last_index(in.last_index);
  out->set_durable_index(in.durable_index);
  out->set_commit_index(in.commit_index);
  out->set_durable_root(std::string(AsBytes(in.durable_root)));
  out->set_primary_last_index(in.primary_last_index);
  out->set_primary_contact_ms_ago(in.primary_contact_ms_ago);
  out->set_level_ms_ago(in.level_ms_ago);
  ToProto(in.control, out->mutable_control());
  out->set_control_index(in.control_index);
  v1::HardState* hard = out->mutable_hard();
  hard->set_promised_epoch(in.hard.promised_epoch);
  hard->set_promised_to(in.hard.promised_to);
  hard->set_seen_epoch(in.hard.seen_epoch);
  hard->set_must_reach(in.hard.must_reach);
  hard->set_alarm(in.hard.alarm);
  hard->set_alarm_index(in.hard.alarm_index);
  out->set_paused(in.paused);
  out->set_trouble(in.trouble);
  for (const PeerStatus& peer : in.peers) {
    v1::PeerStatus* to = out->add_peers();
    to->set_name(peer.name);
    to->set_address(peer.address);
    to->set_member(peer.member);
    to->set_connected(peer.connected);
    to->set_durable_index(peer.durable_index);
    to->set_commit_index(peer.commit_index);
    to->set_level_ms_ago(peer.level_ms_ago);
    to->set_contact_ms_ago(peer.contact_ms_ago);
    to->set_lag_bytes(peer.lag_bytes);
    to->set_trouble(peer.trouble);
  }
}

void ToProto(const FenceAnswer& in, v1::FenceResponse* out) {
  out->set_promised_epoch(in.promised_epoch);
  out->set_promised_to(in.promised_to);
  out->set_last_epoch(in.last_epoch);
  out->set_seen_epoch(in.seen_epoch);
  out->set_durable_index(in.durable_index);
  out->set_root(std::string(AsBytes(in.root)));
  out->set_commit_index(in.commit_index);
  out->set_must_reach(in.must_reach);
  out->set_control_index(in.config_index);
  out->set_alarm(in.alarm);
  ToProto(in.control, out->mutable_control());
}

void ToProto(const QuarantineInfo& in, v1::QuarantineEntry* out) {
  out->set_id(in.id);
  out->set_origin(in.origin);
  out->set_time_us(in.time_us);
  out->set_first_index(in.first_index);
  out->set_last_index(in.last_index);
  out->set_acknowledged_to(in.acknowledged_to);
}

}  // namespace kembar
