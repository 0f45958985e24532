// tree.cc — see tree.h.
#include "tools/documents/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "replicator/base/digest.h"
#include "tools/capture/path.h"

namespace kembar::documents {
namespace {

constexpr size_t kDepthMax = 200;  // each level keeps a descriptor open
constexpr size_t kShortBytes = 1'000;

Status Failed(const std::string& what) {
  const int error = errno;
  const bool gone = error == ENOENT || error == ENOTDIR || error == ELOOP;
  return {gone ? Code::kNotFound : Code::kIo, what + ": " + std::strerror(error)};
}

int64_t Nanos(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + int64_t{time.tv_nsec};
}

// A file name may hold anything; messages are one line.
std::string Shown(const std::string& path) {
  std::string out;
  for (const char c : path) out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return out;
}

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

struct Level {
  std::string path;  // of the directory, with '/' at the end; "" is the root
  Directory dir;
  dev_t device;
};

class Walk {
 public:
  Walk(const Tree::Visitor& visitor, TreeScan* scan) : visitor_(visitor), scan_(scan) {}

  void Run(const std::string& path, Fd root) {
    struct stat facts;
    if (fstat(root.get(), &facts) != 0) return Unreadable(path);
    Enter(path, std::move(root), facts.st_dev);
    while (!levels_.empty()) {
      const dirent* entry = nullptr;
      errno = 0;
      entry = readdir(levels_.back().dir.get());
      if (entry == nullptr) {
        if (errno != 0) Unreadable(levels_.back().path);
        levels_.pop_back();
        continue;
      }
      const std::string name = entry->d_name;
      if (name != "." && name != "..") Visit(name);
    }
  }

 private:
  void Unreadable(std::string path) {
    if (path.ends_with('/')) path.pop_back();
    scan_->unreadable.push_back(std::move(path));
  }

  void Enter(const std::string& path, Fd fd, dev_t device) {
    if (levels_.size() >= kDepthMax) return Unreadable(path);
    if (visitor_.entered) visitor_.entered(path, fd.get());
    DIR* dir = fdopendir(fd.get());
    if (dir == nullptr) return Unreadable(path);
    fd.Release();
    levels_.push_back({path.empty() ? "" : path + "/", Directory(dir, &closedir), device});
  }

  void Visit(const std::string& name) {
    const std::string path = levels_.back().path + name;
    if (visitor_.skip && visitor_.skip(path)) return;
    if (!capture::IsPlainPath(path)) return Unreadable(ShortPath(path));
    const int at = dirfd(levels_.back().dir.get());
    struct stat facts;
    if (fstatat(at, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) Unreadable(path);
      return;
    }
    if (S_ISREG(facts.st_mode)) {
      scan_->files.insert_or_assign(path, FactsOf(facts));
    } else if (S_ISLNK(facts.st_mode)) {
      ++scan_->symlinks;
    } else if (S_ISDIR(facts.st_mode)) {
      if (facts.st_dev != levels_.back().device) scan_->mounts.insert(path);
      Fd fd(openat(at, name.c_str(), kDirectoryFlags));
      if (fd.ok()) {
        Enter(path, std::move(fd), facts.st_dev);
      } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
        Unreadable(path);
      }
    } else {
      ++scan_->special;
    }
  }

  const Tree::Visitor& visitor_;
  TreeScan* const scan_;
  std::vector<Level> levels_;
};

// Goes down part by part, so that no part can be a link. Gives the directory that holds the last
// part.
Result<Fd> OpenParent(int root, const std::string& path, std::string* last) {
  Fd at(openat(root, ".", kDirectoryFlags));
  if (!at.ok()) return Failed("open the root");
  std::string_view rest = path;
  for (size_t slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
    const std::string part(rest.substr(0, slash));
    Fd next(openat(at.get(), part.c_str(), kDirectoryFlags));
    if (!next.ok()) return Failed(Shown(path));
    at = std::move(next);
    rest.remove_prefix(slash + 1);
  }
  *last = std::string(rest);
  return at;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

std::string ShortPath(const std::string& path) {
  return path.substr(0, kShortBytes) + "~" + ToHex(Sha256({path}));
}

FileFacts FactsOf(const struct stat& stat) {
  return {.device = stat.st_dev,
          .inode = stat.st_ino,
          .size = static_cast<uint64_t>(stat.st_size),
          .mtime_ns = Nanos(stat.st_mtim),
          .ctime_ns = Nanos(stat.st_ctim),
          .mode = stat.st_mode & 07777U};
}

Result<Tree> Tree::Open(const std::string& root) {
  // The root itself may be a link: the operator named it.
  Fd fd(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return Failed("directory " + root);
  struct stat facts;
  if (fstat(fd.get(), &facts) != 0) return Failed("directory " + root);
  return Tree(std::move(fd), facts.st_dev, facts.st_ino);
}

Result<Fd> Tree::OpenDirectory(const std::string& path) const {
  if (path.empty()) {
    Fd fd(openat(root_.get(), ".", kDirectoryFlags));
    if (!fd.ok()) return Failed("open the root");
    return fd;
  }
  std::string last;
  ASSIGN_OR_RETURN(const Fd parent, OpenParent(root_.get(), path, &last));
  Fd fd(openat(parent.get(), last.c_str(), kDirectoryFlags));
  if (!fd.ok()) return Failed(Shown(path));
  return fd;
}

void Tree::Scan(const std::string& path, const Visitor& visitor, TreeScan* scan) const {
  if (!path.empty() && !capture::IsPlainPath(path)) {
    scan->unreadable.push_back(ShortPath(path));
    return;
  }
  Result<Fd> fd = OpenDirectory(path);
  if (fd.ok()) return Walk(visitor, scan).Run(path, *std::move(fd));
  if (fd.status().code() != Code::kNotFound) scan->unreadable.push_back(path);
}

Result<FileFacts> Tree::Stat(const std::string& path) const {
  std::string last;
  ASSIGN_OR_RETURN(const Fd parent, OpenParent(root_.get(), path, &last));
  struct stat facts;
  if (fstatat(parent.get(), last.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
    return Failed(Shown(path));
  }
  if (!S_ISREG(facts.st_mode)) return Status(Code::kInvalid, Shown(path) + ": not a regular file");
  return FactsOf(facts);
}

Result<Fd> Tree::OpenFile(const std::string& path) const {
  std::string last;
  ASSIGN_OR_RETURN(const Fd parent, OpenParent(root_.get(), path, &last));
  // Not to hang on a pipe that has taken the file's place.
  Fd fd(openat(parent.get(), last.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.ok()) return Failed(Shown(path));
  struct stat facts;
  if (fstat(fd.get(), &facts) != 0) return Failed(Shown(path));
  if (!S_ISREG(facts.st_mode)) return Status(Code::kInvalid, Shown(path) + ": not a regular file");
  return fd;
}

}  // namespace kembar::documents
