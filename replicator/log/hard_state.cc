// hard_state.cc — the encoding of HardState (store.h).
//
// Version 1: u8 version=1 | u64 promised_epoch | str promised_to | u64 seen_epoch |
//   u64 commit_index | u64 must_reach | str alarm | varint count | count × (str peer, u64 index),
// in growing order of peer. Integers and str as in record.h.
//
// Version 2 has u64 alarm_index behind alarm. It is written only where there is one, so that a
// program of version 1 can be put back on a node without an alarm.
#include "replicator/base/bytes.h"
#include "replicator/log/store.h"

namespace kembar {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kVersionWithAlarmIndex = 2;

Status Corrupt(std::string_view why) { return {Code::kCorrupt, "hard state: " + std::string(why)}; }

}  // namespace

std::string EncodeHardState(const HardState& state) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U8(state.alarm_index == 0 ? kVersion : kVersionWithAlarmIndex);
  out.U64(state.promised_epoch);
  out.Str(state.promised_to);
  out.U64(state.seen_epoch);
  out.U64(state.commit_index);
  out.U64(state.must_reach);
  out.Str(state.alarm);
  if (state.alarm_index != 0) out.U64(state.alarm_index);
  out.Varint(state.acked_by.size());
  for (const auto& [peer, index] : state.acked_by) {
    out.Str(peer);
    out.U64(index);
  }
  return bytes;
}

Result<HardState> DecodeHardState(std::string_view bytes) {
  ByteReader in(bytes);
  uint8_t version = in.U8();
  if (!in.ok()) return Corrupt("empty");
  if (version != kVersion && version != kVersionWithAlarmIndex) {
    return Corrupt("unknown version " + std::to_string(version));
  }
  HardState state;
  state.promised_epoch = in.U64();
  state.promised_to = in.Str();
  state.seen_epoch = in.U64();
  state.commit_index = in.U64();
  state.must_reach = in.U64();
  state.alarm = in.Str();
  if (version == kVersionWithAlarmIndex) {
    state.alarm_index = in.U64();
    if (in.ok() && state.alarm_index == 0) return Corrupt("version 2 without an alarm's index");
  }
  uint64_t count = in.Varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    std::string peer(in.Str());
    uint64_t index = in.U64();
    bool in_order = state.acked_by.empty() || state.acked_by.rbegin()->first < peer;
    if (!in_order) return Corrupt("peers out of order");
    state.acked_by.emplace(std::move(peer), index);
  }
  if (!in.ok()) return Corrupt("cut short");
  if (!in.AtEnd()) return Corrupt("bytes after the end");
  return state;
}

}  // namespace kembar
