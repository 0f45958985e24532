// recover.cc — RocksStore::Recover: what a replica needs after a restart, each part checked against
// the others.
#include "node/store/keys.h"
#include "node/store/rocks_engine.h"
#include "node/store/rocks_store.h"
#include "node/store/view.h"
#include "replicator/base/bytes.h"

namespace kembar {
namespace {

// Where the log ends, by its last record, by what was stored of it, and by its tree.
Status RecoverEnd(const View& view, const std::string& log, const LogEnd& end, Recovered* out) {
  PrefixScan scan(view, Family::kLog, keys::LogPrefix(log));
  scan.SeekToLast();
  RETURN_IF_ERROR(scan.status().Prepend("log " + log));
  const uint64_t stored =
      scan.Valid() ? ReadBigEndian64(scan.key().substr(scan.key().size() - 8)) : 0;
  if (stored != end.last_index) {
    return CorruptAt(log, stored,
                     "the last record that is stored, but the log should end at index " +
                         std::to_string(end.last_index));
  }
  out->last_index = stored;
  // Back over what is there of a batch that has not ended.
  for (uint64_t index = stored; index > 0 && out->last_batch_end == 0; --index, scan.Prev()) {
    RETURN_IF_ERROR(scan.status().Prepend("log " + log));
    if (!scan.Valid()) return CorruptAt(log, index, "the record is missing");
    RETURN_IF_ERROR(CheckFrame(log, index, scan.value()));
    ASSIGN_OR_RETURN(const FrameHeader header, PeekFrame(scan.value()));
    if (header.batch_end) out->last_batch_end = index;
  }
  ASSIGN_OR_RETURN(out->frontier, merkle::LoadFrontier(stored, TreeReader(view, log, end)));
  if (out->frontier.Root() != end.root) {
    return CorruptAt(log, stored, "the Merkle root over the log is not the one that was stored");
  }
  return {};
}

Status RecoverControl(const View& view, const std::string& log, Recovered* out) {
  std::vector<EpochEntry> epochs;
  const std::string prefix = keys::ControlPrefix(log);
  PrefixScan scan(view, Family::kMeta, prefix);
  for (scan.SeekToFirst(); scan.Valid(); scan.Next()) {
    keys::Parser key(scan.key().substr(prefix.size()));
    const uint64_t index = key.Number();
    if (!key.AtEnd() || index > out->last_index) {
      return CorruptAt(log, index, "a control record beyond the log's end");
    }
    RETURN_IF_ERROR(CheckFrame(log, index, scan.value()));
    ASSIGN_OR_RETURN(const Record record, DecodeRecord(scan.value()));
    Result<ControlState> control = DecodeControl(record.payload);
    if (!control.ok()) {
      return control.status().Prepend("log " + log + " index " + std::to_string(index));
    }
    out->control = *std::move(control);
    out->control_index = index;
    if (record.kind == RecordKind::kEpochStart) {
      epochs.push_back({record.epoch, index, out->control.primary, out->control.lossy});
    }
  }
  RETURN_IF_ERROR(scan.status().Prepend("log " + log));
  if (!EpochHistory::WellFormed(epochs)) {
    return CorruptAt(log, out->control_index, "the epochs that the log tells of do not grow");
  }
  out->history = EpochHistory(std::move(epochs));
  out->log_uuid = out->control.log_uuid;
  return {};
}

// Two seeks a source: to its last position, then behind it.
Status RecoverPositions(const View& view, const std::string& log, Recovered* out) {
  PrefixScan scan(view, Family::kPositions, keys::LogPrefix(log));
  scan.SeekToFirst();
  while (scan.Valid()) {
    keys::Parser first(scan.key());
    first.Log();
    const std::string source = first.Str();
    if (!first.ok()) return {Code::kCorrupt, "log " + log + ": a position's key is malformed"};
    scan.SeekForPrev(keys::PositionKey(log, source, UINT64_MAX));
    RETURN_IF_ERROR(scan.status().Prepend("log " + log));
    keys::Parser last(scan.Valid() ? scan.key() : std::string_view());
    last.Log();
    const bool same = last.Str() == source;
    const uint64_t position = last.Number();
    if (!same || !last.AtEnd() || scan.value().size() != 8) {
      return {Code::kCorrupt, "log " + log + ": positions of source " + source + " are malformed"};
    }
    const uint64_t index = ReadBigEndian64(scan.value());
    if (index > out->last_index) {
      return CorruptAt(log, index, "a position of source " + source + " beyond the log's end");
    }
    out->positions[source] = {position, index};
    scan.Seek(keys::PrefixEnd(keys::PositionPrefix(log, source)));
  }
  return scan.status().Prepend("log " + log);
}

}  // namespace

Result<Recovered> RocksStore::Recover(const std::string& log) const {
  const View view(*engine_);
  Recovered out;
  ASSIGN_OR_RETURN(const auto hard, view.Get(Family::kMeta, keys::HardStateKey(log)));
  if (hard) {
    Result<HardState> decoded = DecodeHardState(*hard);
    if (!decoded.ok()) return decoded.status().Prepend("log " + log + " hard state");
    out.hard = *std::move(decoded);
  }
  ASSIGN_OR_RETURN(const LogEnd end, ReadEnd(view, log));
  RETURN_IF_ERROR(RecoverEnd(view, log, end, &out));
  RETURN_IF_ERROR(RecoverControl(view, log, &out));
  RETURN_IF_ERROR(RecoverPositions(view, log, &out));
  return out;
}

}  // namespace kembar
