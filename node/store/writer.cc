// writer.cc — see writer.h.
#include "node/store/writer.h"

#include <bit>
#include <chrono>

#include "node/store/keys.h"
#include "node/store/view.h"
#include "replicator/base/bytes.h"
#include "replicator/base/check.h"
#include "replicator/log/derive.h"

namespace kembar {
namespace {

// How many tree nodes the first `size` leaves complete.
uint64_t NodeCount(uint64_t size) { return 2 * size - static_cast<uint64_t>(std::popcount(size)); }

std::string NumberValue(uint64_t number) {
  std::string value;
  AppendBigEndian64(&value, number);
  return value;
}

}  // namespace

Status RocksWriter::Write(std::span<const LogWrite> writes) {
  if (!failed_.ok()) return failed_;
  failed_ = WriteGroup(writes);
  return failed_;
}

Status RocksWriter::WriteGroup(std::span<const LogWrite> writes) {
  Group group;
  for (const LogWrite& write : writes) {
    RETURN_IF_ERROR(Add(write, &group).Prepend("write log " + write.log));
  }
  for (const auto& [log, end] : group.ends) {
    group.batch.Put(family(Family::kMeta), keys::EndKey(log), EncodeLogEnd(end));
  }
  if (group.batch.Count() == 0) return {};
  RETURN_IF_ERROR(Commit(&group.batch, /*sync=*/true));
  for (auto& [log, end] : group.ends) ends_[log] = end;
  counters_.writes.fetch_add(1, std::memory_order_relaxed);
  return {};
}

Status RocksWriter::Add(const LogWrite& write, Group* group) {
  CHECK_MSG(keys::IsLogId(write.log), "a log id is short and not empty");
  CHECK_MSG(write.batch != nullptr || write.nodes.empty(), "tree nodes come with their batch");
  if (write.truncate || write.batch != nullptr) {
    ASSIGN_OR_RETURN(LogEnd end, EndOf(write.log, *group));
    if (write.truncate) {
      // What this Write itself appended cannot be read back yet.
      CHECK_MSG(!group->ends.contains(write.log), "a truncation comes first in a Write");
      RETURN_IF_ERROR(Truncate(write.log, *write.truncate, &end, group));
    }
    if (write.batch != nullptr) {
      RETURN_IF_ERROR(Append(write.log, *write.batch, write.nodes, &end, group));
    }
    group->ends[write.log] = end;
  }
  if (write.hard) {
    group->batch.Put(family(Family::kMeta), keys::HardStateKey(write.log),
                     EncodeHardState(*write.hard));
  }
  return {};
}

Result<LogEnd> RocksWriter::EndOf(const std::string& log, const Group& group) {
  if (auto it = group.ends.find(log); it != group.ends.end()) return it->second;
  if (auto it = ends_.find(log); it != ends_.end()) return it->second;
  return ReadEnd(View(engine_), log);
}

Status RocksWriter::Append(const std::string& log, const FrameBatch& batch,
                           const std::vector<merkle::Node>& nodes, LogEnd* end, Group* group) {
  CHECK(!batch.frames.empty());
  CHECK_MSG(batch.first_index == end->last_index + 1, "a batch continues its log");
  CHECK_MSG(batch.prev_root == end->root, "a batch continues its log's history");
  CHECK_MSG(nodes.size() == NodeCount(batch.last_index()) - NodeCount(end->last_index),
            "a batch comes with the tree nodes that it completes");
  // Positions of a run of records, such as a batch of one source, are one entry.
  std::string position_key;
  for (const std::string& frame : batch.frames) {
    ASSIGN_OR_RETURN(const Record record, DecodeRecord(frame));
    ++end->last_index;
    CHECK_MSG(record.index == end->last_index, "a frame carries the index it is stored under");
    RETURN_IF_ERROR(AppendRecord(log, frame, record, group));
    std::string key =
        HasPosition(record) ? keys::PositionKey(log, record.source, record.position) : "";
    if (key != position_key && !position_key.empty()) {
      group->batch.Put(family(Family::kPositions), position_key, NumberValue(record.index - 1));
    }
    position_key = std::move(key);
  }
  if (!position_key.empty()) {
    group->batch.Put(family(Family::kPositions), position_key, NumberValue(end->last_index));
  }
  for (const merkle::Node& node : nodes) {
    group->batch.Put(family(Family::kTree), keys::TreeKey(log, node.level, node.offset),
                     rocksdb::Slice(AsBytes(node.hash)));
  }
  end->root = batch.root;
  return {};
}

Status RocksWriter::AppendRecord(const std::string& log, std::string_view frame,
                                 const Record& record, Group* group) {
  group->batch.Put(family(Family::kLog), keys::LogKey(log, record.index), rocksdb::Slice(frame));
  if (IsItem(record.kind)) {
    group->batch.Put(family(Family::kItems),
                     keys::ItemKey(log, record.package, record.item, record.index),
                     EncodeItemVersion(MakeItemVersion(record)));
  }
  if (IsControl(record.kind)) {
    group->batch.Put(family(Family::kMeta), keys::ControlKey(log, record.index),
                     rocksdb::Slice(frame));
  }
  return {};
}

Status RocksWriter::Commit(rocksdb::WriteBatch* batch, bool sync) {
  rocksdb::WriteOptions options;
  options.sync = sync;
  const size_t bytes = batch->GetDataSize();
  const auto start = std::chrono::steady_clock::now();
  Status status = RocksEngine::Map(engine_.db()->Write(options, batch), "write " + engine_.dir());
  const auto took = std::chrono::steady_clock::now() - start;
  counters_.bytes.fetch_add(bytes, std::memory_order_relaxed);
  counters_.us.fetch_add(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()),
      std::memory_order_relaxed);
  return status;
}

}  // namespace kembar
