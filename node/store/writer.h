// writer.h — turns LogWrites into one RocksDB WriteBatch and writes it.
//
// Owned by RocksStore; used by the one thread that writes, but for failed() and the counters. It
// remembers where each log that it wrote ends, so that an append reads nothing.
//
// A truncation that quarantines much is copied ahead, in pieces, under an id that nothing refers to
// yet; the one batch that removes the records also makes the id known. A crash between leaves
// copies that nobody sees and that the next truncation overwrites.
#pragma once

#include <rocksdb/write_batch.h>

#include <atomic>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "node/store/codec.h"
#include "node/store/rocks_engine.h"
#include "replicator/log/store.h"

namespace kembar {

class RocksWriter {
 public:
  RocksWriter(const RocksEngine& engine, size_t quarantine_chunk_bytes)
      : engine_(engine), quarantine_chunk_bytes_(quarantine_chunk_bytes) {}

  // As Store::Write.
  Status Write(std::span<const LogWrite> writes);

  struct Counters {
    std::atomic<uint64_t> writes{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> us{0};
  };
  const Counters& counters() const { return counters_; }

 private:
  // What a Write in the making has done so far.
  struct Group {
    rocksdb::WriteBatch batch;
    std::map<std::string, LogEnd> ends;  // of the logs that it changes
  };
  using Copies = std::vector<std::pair<std::string, std::string>>;  // quarantine key, frame

  Status WriteGroup(std::span<const LogWrite> writes);
  Status Add(const LogWrite& write, Group* group);
  Result<LogEnd> EndOf(const std::string& log, const Group& group);
  Status Truncate(const std::string& log, const Truncation& truncation, LogEnd* end, Group* group);
  Status RemoveRecords(const std::string& log, uint64_t after, const QuarantineInfo& info,
                       Group* group);
  Status RemoveDerived(const std::string& log, std::string_view frame, Group* group);
  Status KeepCopies(const Copies& copies);
  Status RestorePosition(const View& view, const std::string& log, uint64_t last_index,
                         Group* group);
  void RemoveTree(const std::string& log, uint64_t after, uint64_t last, Group* group);
  Status Append(const std::string& log, const FrameBatch& batch,
                const std::vector<merkle::Node>& nodes, LogEnd* end, Group* group);
  Status AppendRecord(const std::string& log, std::string_view frame, const Record& record,
                      Group* group);
  Status Commit(rocksdb::WriteBatch* batch, bool sync);
  rocksdb::ColumnFamilyHandle* family(Family f) const { return engine_.family(f); }

  const RocksEngine& engine_;
  const size_t quarantine_chunk_bytes_;
  std::map<std::string, LogEnd> ends_;  // of logs written since the start
  Status failed_;                       // once set, every Write answers it
  Counters counters_;
};

}  // namespace kembar
