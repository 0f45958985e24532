// rocks_open.cc — see rocks_open.h.
#include "node/store/rocks_open.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>

#include "node/store/rocks_engine.h"

namespace kembar {
namespace {

namespace fs = std::filesystem;

class WarningLogger : public rocksdb::Logger {
 public:
  explicit WarningLogger(std::function<void(std::string_view)> warn)
      : Logger(rocksdb::WARN_LEVEL), warn_(std::move(warn)) {}
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    if (!warn_) return;
    std::array<char, 1000> line;
    const int size = std::vsnprintf(line.data(), line.size(), format, arguments);
    if (size < 0) return;
    warn_(std::string_view(line.data(), std::min(static_cast<size_t>(size), line.size() - 1)));
  }

 private:
  const std::function<void(std::string_view)> warn_;
};

}  // namespace

Status FileError(const std::string& doing, const std::error_code& error) {
  const Code code = error == std::errc::no_space_on_device ? Code::kFull : Code::kIo;
  return {code, doing + ": " + error.message()};
}

Status SyncParentDirectory(const std::string& dir) {
  std::error_code error;
  const fs::path parent = fs::absolute(dir, error).lexically_normal().parent_path();
  const int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FileError("open " + parent.string(), {errno, std::generic_category()});
  const int failed = ::fsync(fd);
  const std::error_code why(errno, std::generic_category());
  ::close(fd);
  if (failed != 0) return FileError("fsync " + parent.string(), why);
  return {};
}

Status CreateDirectoryDurably(const std::string& dir) {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) return FileError("create " + dir, error);
  return SyncParentDirectory(dir);
}

Result<bool> HoldsDatabase(const std::string& dir, const std::string& hint) {
  std::error_code error;
  if (fs::exists(dir + "/CURRENT", error)) return true;
  if (!fs::exists(dir, error)) return false;
  for (const auto& entry : fs::directory_iterator(dir, error)) {
    const auto extension = entry.path().extension();
    if (extension == ".sst" || extension == ".log" || extension == ".blob") {
      return Status(Code::kCorrupt,
                    "data directory " + dir + " holds data but its file CURRENT is missing", hint);
    }
  }
  if (error) return FileError("list " + dir, error);
  return false;
}

Status CheckDirectoryFree(const std::string& dir) {
  rocksdb::Env* env = rocksdb::Env::Default();
  rocksdb::FileLock* lock = nullptr;
  const std::string path = dir + "/LOCK";
  if (!env->FileExists(path).ok()) return {};
  if (rocksdb::Status s = env->LockFile(path, &lock); !s.ok()) {
    return {
        Code::kUnavailable, "data directory " + dir + " is in use by another node",
        "one directory serves one kembard at a time; stop the other or choose another directory"};
  }
  return RocksEngine::Map(env->UnlockFile(lock), "unlock " + path);
}

Result<uint64_t> FreeBytesAt(const std::string& dir) {
  struct statvfs space {};
  if (::statvfs(dir.c_str(), &space) != 0) {
    return FileError("statvfs " + dir, {errno, std::generic_category()});
  }
  return uint64_t{space.f_bavail} * space.f_frsize;
}

std::shared_ptr<rocksdb::Logger> MakeWarningLogger(std::function<void(std::string_view)> warn) {
  return std::make_shared<WarningLogger>(std::move(warn));
}

rocksdb::DBOptions CommonDatabaseOptions(size_t write_buffer_bytes,
                                         std::function<void(std::string_view)> warn) {
  rocksdb::DBOptions db;
  db.create_missing_column_families = true;  // a creation may have been cut short
  db.paranoid_checks = true;
  db.track_and_verify_wals_in_manifest = true;
  // Recycled files are not compatible with a strict recovery: old writes stand behind the new ones.
  db.recycle_log_file_num = 0;
  // After a failure the store is closed; nothing may heal behind its back.
  db.max_bgerror_resume_count = 0;
  // All logs of a node share these, be it one or a thousand.
  db.db_write_buffer_size = write_buffer_bytes;
  db.max_total_wal_size = 2 * write_buffer_bytes;  // bounds the replay on start
  db.max_background_jobs = 2;
  // Write back early and evenly, so that a flush does not delay the fsync of the write-ahead log.
  db.bytes_per_sync = 1 << 20;
  db.info_log = MakeWarningLogger(std::move(warn));
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

}  // namespace kembar
