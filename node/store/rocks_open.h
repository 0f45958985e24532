// rocks_open.h — what every RocksDB directory of a node needs when it is opened: is it ours, is it
// whole, is it free; and a logger that does not write into it.
//
// Thread-safety: functions may be called from any thread; nobody else opens the same directory
// meanwhile.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/options.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "replicator/base/status.h"

namespace kembar {

// What the file system says, in our words.
Status FileError(const std::string& doing, const std::error_code& error);

// Makes the entry of `dir` in the directory above durable.
Status SyncParentDirectory(const std::string& dir);

// Makes the directory, and its entry in the one above durable.
Status CreateDirectoryDurably(const std::string& dir);

// True for a database, false for a directory that never held one. kCorrupt, with `hint`, when there
// is data but no CURRENT: RocksDB would start afresh beside it.
Result<bool> HoldsDatabase(const std::string& dir, const std::string& hint);

// kUnavailable when another process (or another opener here) has the directory. RocksDB takes the
// same lock when it opens; asking first keeps us from reading files that somebody is writing.
Status CheckDirectoryFree(const std::string& dir);

// What the file system still has for `dir`, without the part reserved for root.
Result<uint64_t> FreeBytesAt(const std::string& dir);

// Takes the place of RocksDB's log file. That one lies in the data directory, and Debian's RocksDB,
// which is built with its assertions, aborts when it writes to it on a full disk. `warn` gets a
// line each, from any thread; it may be null.
std::shared_ptr<rocksdb::Logger> MakeWarningLogger(std::function<void(std::string_view)> warn);

// What every database of a node has in common: fail-stop, a strict recovery, bounded memory and
// replay. `write_buffer_bytes` is shared by all column families; `warn` as above.
rocksdb::DBOptions CommonDatabaseOptions(size_t write_buffer_bytes,
                                         std::function<void(std::string_view)> warn);

}  // namespace kembar
