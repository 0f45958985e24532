// memory_store.h — the Store contract in memory: the oracle of the conformance suite and the disk
// of the simulator.
//
// Durable and volatile state are kept apart so that a crash can be played: with hold_writes(true) a
// Write is applied to what readers see but counts as unsynced until Sync(); Crash(keep) forgets all
// unsynced Writes but the first `keep`, as the crash contract allows. Not durable across processes.
//
// Thread-safety: one mutex around everything.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "replicator/log/store.h"

namespace kembar {

class MemoryStore : public Store {
 public:
  explicit MemoryStore(std::string node_uuid);
  ~MemoryStore() override;

  Status Write(std::span<const LogWrite> writes) override;
  Result<std::vector<std::string>> Logs() const override;
  Result<Recovered> Recover(const std::string& log) const override;
  Result<FrameBatch> Read(const std::string& log, uint64_t from, uint64_t to,
                          size_t bytes_max) const override;
  Result<Digest> RootAt(const std::string& log, uint64_t size) const override;
  Result<Digest> TreeNode(const std::string& log, uint8_t level, uint64_t offset) const override;
  Result<uint64_t> FindPosition(const std::string& log, const std::string& source,
                                uint64_t position) const override;
  Status VisitItems(const std::string& log, const ItemRange& range,
                    const ItemVisitor& each) const override;
  Result<std::vector<QuarantineInfo>> Quarantines(const std::string& log) const override;
  Result<std::vector<std::string>> QuarantinedFrames(const std::string& log, uint64_t id,
                                                     uint64_t from,
                                                     size_t bytes_max) const override;
  const std::string& node_uuid() const override { return node_uuid_; }

  // For the simulator and tests.
  void hold_writes(bool hold);
  size_t unsynced() const;
  void Sync();                    // all held Writes become durable
  void SyncFirst(size_t count);   // the oldest `count` held Writes become durable
  void Crash(size_t keep);        // held Writes beyond the first `keep` are forgotten; a restarted
                                  // process writes again, so FailWrites ends too
  void FailWrites(Status error);  // every later Write fails, as after a failed fsync
  void Wipe();                    // a new disk: everything is gone, the identity too
  // What is durable now, to be put back later, as with a disk image or an old disk. The identity is
  // the one that it was saved with.
  class Image;
  std::shared_ptr<const Image> Save() const;
  void Restore(const Image& image);  // only after a Crash: nothing is held
  // Flips a bit of a stored frame, as a bad disk does. Returns false if there is no such record.
  bool CorruptFrame(const std::string& log, uint64_t index);

 private:
  struct Entry;    // one stored frame and what is derived from it
  struct Change;   // one LogWrite, decoded once; now_ and durable_ share its entries
  struct LogData;  // one log
  using LogMap = std::map<std::string, LogData>;

  static Change Prepare(const LogData& data, const LogWrite& write);
  static void Apply(const Change& change, LogMap* logs);
  const LogData& FindLog(const std::string& log) const;
  void SyncHeld(size_t count);

  const std::string first_uuid_;
  mutable std::mutex mutex_;
  std::string node_uuid_;
  size_t wipes_ = 0;
  std::unique_ptr<LogMap> now_;           // what readers see
  std::unique_ptr<LogMap> durable_;       // what a crash falls back to: now_ without held_
  std::deque<std::vector<Change>> held_;  // oldest first
  bool hold_ = false;
  Status failed_;
};

}  // namespace kembar
