// rocks_store.h — the Store contract on a data directory: RocksDB, every Write synced.
//
// Owned by the node. One directory belongs to one process at a time; a second Open of it is
// refused. Thread-safety: as store.h says: Write by one thread at a time, reads from any thread. A
// read sees one moment of the store, never half a Write.
//
// What is refused on Open, loudly: a damaged write-ahead log (but for a torn last write, which
// nobody was told of), a missing file, a directory in the format of a newer program.
//
// Within one Write a log may have many parts, but a truncation only in its first (CHECKed). Memory
// of a Write: its frames, and for a truncation some 100 bytes for each record that is removed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/log/store.h"

namespace kembar {

// What the operator can do about a damaged data directory; the hint of every kCorrupt from here.
inline constexpr char kRebuildHint[] =
    "stop the node and start it once with kembard --config FILE --rebuild: the directory is kept "
    "aside and everything is fetched from the other site";

struct RocksOptions {
  std::string dir;
  bool create_if_missing = false;
  // The node that the directory belongs to: remembered when it is made, refused when it is another.
  std::string node_name;  // empty: not looked at
  int64_t now_us = 0;     // wall clock, for born_us of a new directory
  size_t block_cache_bytes = size_t{64} << 20;
  size_t write_buffer_bytes = size_t{128} << 20;  // over all logs together
  // A truncation that quarantines more than this copies ahead in pieces of this size.
  size_t quarantine_chunk_bytes = size_t{4} << 20;
  // Given RocksDB's warnings, a line each, from any thread; may be null.
  std::function<void(std::string_view line)> warn = nullptr;
};

struct RocksStats {
  uint64_t writes = 0;       // Writes that returned OK
  uint64_t write_bytes = 0;  // what they gave to RocksDB
  uint64_t write_us = 0;     // time in RocksDB's write and sync
  uint64_t disk_bytes = 0;   // size of all files in the directory
};

// Another node's data directory, as it has introduced itself.
struct PeerIdentity {
  std::string uuid;
  int64_t born_us = 0;  // wall clock when it was made; 0: not known
  bool operator==(const PeerIdentity&) const = default;
};

class RocksEngine;
class RocksWriter;

class RocksStore final : public Store {
 public:
  // kNotFound: no store there and not to be created. kUnavailable: in use. kCorrupt: see above.
  // kInvalid: a newer format. kPrecondition: another node's directory.
  static Result<std::unique_ptr<RocksStore>> Open(const RocksOptions& options);
  ~RocksStore() override;

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
  const std::string& node_uuid() const override;
  int64_t born_us() const;  // when the directory was made; 0: before this was recorded

  // Identities of other nodes, by name. Any thread, also during a Write.
  Result<std::map<std::string, PeerIdentity>> Peers() const;
  Status SavePeer(const std::string& name, const PeerIdentity& identity);

  // Reads every file of the store from disk and compares it with the checksum it was written with,
  // so that damage shows also where no record lies. kCorrupt names the file.
  Status CheckFiles() const;
  // What went wrong behind the writes (compaction, flush); empty: nothing. The store then takes no
  // more writes.
  std::string BackgroundError() const;

  // Renames the data directory `dir` to `to`, which must not exist, durably. kUnavailable: in use.
  static Status MoveAside(const std::string& dir, const std::string& to);

  // What the file system still has for this directory, without the part reserved for root.
  Result<uint64_t> FreeBytes() const;
  RocksStats Stats() const;

 private:
  explicit RocksStore(std::unique_ptr<RocksEngine> engine, size_t quarantine_chunk_bytes);

  const std::unique_ptr<RocksEngine> engine_;
  const std::unique_ptr<RocksWriter> writer_;  // the writing thread's
};

}  // namespace kembar
