// tree.h — one directory tree, read without ever leaving it: no symbolic link is followed, in no
// part of a path.
//
// Regular files count, each name of a hard-linked file as a file of its own. Symbolic links and
// special files are skipped and counted. What could not be read is named, so that nobody takes its
// files for deleted, and so is what stands at a path too long for a record; what vanished while we
// were looking is no error.
//
// Thread-safety: a Tree is constant after Open; its functions may be called from many threads.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "replicator/base/status.h"
#include "tools/documents/fd.h"

struct stat;

namespace kembar::documents {

struct FileFacts {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  uint32_t mode = 0;  // permission bits
  bool operator==(const FileFacts&) const = default;
};
FileFacts FactsOf(const struct stat& stat);

struct TreeScan {
  std::unordered_map<std::string, FileFacts> files;  // by path relative to the root
  uint64_t symlinks = 0;
  uint64_t special = 0;
  std::vector<std::string> unreadable;  // files and directories, relative; "" is the root
  std::set<std::string> mounts;         // directories that are of another device than their parent
};

// A name for what stands at a path that is too long for a record (capture::IsPlainPath): cut, so
// that it can be told like any other.
std::string ShortPath(const std::string& path);

class Tree {
 public:
  // What is asked for in a scan. `skip`: files and directories not to look at. `entered`: called
  // with each directory, opened, before its entries are read (null: not).
  struct Visitor {
    std::function<bool(const std::string& path)> skip;
    std::function<void(const std::string& path, int fd)> entered;
  };

  // kNotFound, kIo: the root is not there or not a directory.
  static Result<Tree> Open(const std::string& root);

  uint64_t device() const { return device_; }
  uint64_t inode() const { return inode_; }

  // Everything below `path` ("": the whole tree) is added to `scan`. Nothing when it is not there
  // or no directory.
  void Scan(const std::string& path, const Visitor& visitor, TreeScan* scan) const;
  // kNotFound: nothing there. kInvalid: no regular file (a directory, a link …).
  Result<FileFacts> Stat(const std::string& path) const;
  // For reading; errors as Stat.
  Result<Fd> OpenFile(const std::string& path) const;
  // A directory below the root ("": the root itself).
  Result<Fd> OpenDirectory(const std::string& path) const;

 private:
  Tree(Fd root, uint64_t device, uint64_t inode)
      : root_(std::move(root)), device_(device), inode_(inode) {}

  Fd root_;
  uint64_t device_;
  uint64_t inode_;
};

}  // namespace kembar::documents
