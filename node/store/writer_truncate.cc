// writer_truncate.cc — the half of RocksWriter that moves a log's tail to quarantine; see writer.h.
#include "node/store/keys.h"
#include "node/store/view.h"
#include "node/store/writer.h"
#include "replicator/base/bytes.h"
#include "replicator/base/check.h"
#include "replicator/log/derive.h"

namespace kembar {
namespace {

Result<uint64_t> NextQuarantineId(const View& view, const std::string& log) {
  PrefixScan scan(view, Family::kMeta, keys::QuarantineInfoPrefix(log));
  scan.SeekToLast();
  RETURN_IF_ERROR(scan.status());
  if (!scan.Valid()) return uint64_t{1};
  return ReadBigEndian64(scan.key().substr(scan.key().size() - 8)) + 1;
}

}  // namespace

Status RocksWriter::Truncate(const std::string& log, const Truncation& truncation, LogEnd* end,
                             Group* group) {
  CHECK_MSG(truncation.after <= end->last_index, "a truncation keeps records that are there");
  if (truncation.after == end->last_index) return {};
  const View view(engine_);
  ASSIGN_OR_RETURN(const uint64_t id, NextQuarantineId(view, log));
  const QuarantineInfo info{.id = id,
                            .origin = truncation.origin,
                            .time_us = truncation.time_us,
                            .first_index = truncation.after + 1,
                            .last_index = end->last_index,
                            .acknowledged_to = truncation.acknowledged_to};
  // Before anything is given up: the history that remains must be whole.
  ASSIGN_OR_RETURN(const Digest root,
                   merkle::RootAt(truncation.after, TreeReader(view, log, *end)));
  RETURN_IF_ERROR(RemoveRecords(log, truncation.after, info, group));
  if (truncation.after > 0) {
    RETURN_IF_ERROR(RestorePosition(view, log, truncation.after, group));
  }
  RemoveTree(log, truncation.after, end->last_index, group);
  group->batch.Put(family(Family::kMeta), keys::QuarantineInfoKey(log, id),
                   EncodeQuarantineInfo(info));
  *end = {.last_index = truncation.after, .root = root};
  return {};
}

Status RocksWriter::RemoveRecords(const std::string& log, uint64_t after,
                                  const QuarantineInfo& info, Group* group) {
  const View view(engine_);
  Copies copies;
  size_t copies_bytes = 0;
  uint64_t index = after;
  PrefixScan scan(view, Family::kLog, keys::LogPrefix(log));
  for (scan.Seek(keys::LogKey(log, after + 1)); scan.Valid(); scan.Next()) {
    ++index;
    if (scan.key() != keys::LogKey(log, index)) {
      return CorruptAt(log, index, "the record is missing");
    }
    RETURN_IF_ERROR(CheckFrame(log, index, scan.value()));
    RETURN_IF_ERROR(RemoveDerived(log, scan.value(), group));
    copies.emplace_back(keys::QuarantineKey(log, info.id, index), scan.value());
    copies_bytes += scan.value().size();
    if (copies_bytes > quarantine_chunk_bytes_) {
      RETURN_IF_ERROR(KeepCopies(copies));
      copies.clear();
      copies_bytes = 0;
    }
  }
  RETURN_IF_ERROR(scan.status());
  if (index != info.last_index) return CorruptAt(log, index + 1, "the record is missing");
  for (const auto& [key, frame] : copies) {
    group->batch.Put(family(Family::kQuarantine), key, frame);
  }
  group->batch.DeleteRange(family(Family::kLog), keys::LogKey(log, after + 1),
                           keys::LogKey(log, info.last_index + 1));
  return {};
}

Status RocksWriter::RemoveDerived(const std::string& log, std::string_view frame, Group* group) {
  ASSIGN_OR_RETURN(const Record record, DecodeRecord(frame));
  if (IsItem(record.kind)) {
    group->batch.Delete(family(Family::kItems),
                        keys::ItemKey(log, record.package, record.item, record.index));
  }
  if (IsControl(record.kind)) {
    group->batch.Delete(family(Family::kMeta), keys::ControlKey(log, record.index));
  }
  if (HasPosition(record)) {
    group->batch.Delete(family(Family::kPositions),
                        keys::PositionKey(log, record.source, record.position));
  }
  return {};
}

// The write that makes the copies visible is synced, and with it all that was written before.
Status RocksWriter::KeepCopies(const Copies& copies) {
  rocksdb::WriteBatch batch;
  for (const auto& [key, frame] : copies) batch.Put(family(Family::kQuarantine), key, frame);
  return Commit(&batch, /*sync=*/false);
}

// A truncation may cut through a source's batch: what remains of it ends at `last_index`.
Status RocksWriter::RestorePosition(const View& view, const std::string& log, uint64_t last_index,
                                    Group* group) {
  ASSIGN_OR_RETURN(const std::string frame, ReadFrame(view, log, last_index));
  ASSIGN_OR_RETURN(const Record record, DecodeRecord(frame));
  if (!HasPosition(record)) return {};
  std::string value;
  AppendBigEndian64(&value, last_index);
  group->batch.Put(family(Family::kPositions),
                   keys::PositionKey(log, record.source, record.position), value);
  return {};
}

void RocksWriter::RemoveTree(const std::string& log, uint64_t after, uint64_t last, Group* group) {
  // At each level the nodes that lie wholly within the first `size` leaves are size >> level.
  for (uint8_t level = 0; level < 64 && (last >> level) > 0; ++level) {
    const uint64_t keep = after >> level;
    const uint64_t end = last >> level;
    if (keep == end) continue;
    group->batch.DeleteRange(family(Family::kTree), keys::TreeKey(log, level, keep),
                             keys::TreeKey(log, level, end));
  }
}

}  // namespace kembar
