// wal_check.h — reads RocksDB's write-ahead log before RocksDB does, to tell a torn last write from
// damage.
//
// A crash may leave the last write of the last file torn: cut short, or with pages missing (which
// read as zeros), since the disk may store its pages in any order. Nobody was told of that write,
// so it may be dropped. Anything else is damage, and dropping it would drop acknowledged writes.
// RocksDB's modes do not draw this line: kTolerateCorruptedTailRecords refuses a torn write whose
// pages came out of order, which is what a power failure makes, and takes a wrong length in the
// last 32 KiB for the end of the file; kPointInTimeRecovery drops whatever follows damage.
//
// Each Write waits for its fsync, so at most one write can be torn, and nothing valid follows it.
//
// The format read here (blocks of 32 KiB of checksummed fragments) is that of RocksDB with
// recycle_log_file_num = 0 and wal_compression off.
#pragma once

#include <cstdint>
#include <string>

#include "replicator/base/status.h"

namespace kembar {

enum class WalState : uint8_t { kClean, kTorn };

// All write-ahead logs in `dir`; nobody may be writing. kCorrupt, with file and offset, for damage.
Result<WalState> CheckWals(const std::string& dir);

// One file. `is_last`: only the last may be torn.
Result<WalState> CheckWal(const std::string& path, bool is_last);

}  // namespace kembar
