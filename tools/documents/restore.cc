// restore.cc — see fetch.h: documents as files.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

#include "tools/documents/content.h"
#include "tools/documents/fetch.h"

namespace kembar::documents {
namespace {

constexpr mode_t kDirectoryMode = 0755;
// A log is not to make a program that runs as root: set-uid, set-gid and sticky bits are left out.
constexpr mode_t kFileModes = 0777;
constexpr char kUnfinished[] = ".kembar-restore-";

Status Errno(const std::string& what) {
  const int error = errno;
  return {error == ENOSPC || error == EDQUOT ? Code::kFull : Code::kIo,
          what + ": " + std::strerror(error)};
}

// The directory that `path` stands in, made if need be; never through a link.
Result<Fd> MakeParent(int root, const std::string& path, std::string* name) {
  Fd at(openat(root, ".", kDirectoryFlags));
  std::string_view rest = path;
  for (size_t slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
    const std::string part(rest.substr(0, slash));
    if (mkdirat(at.get(), part.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
      return Errno("make a directory");
    }
    Fd next(openat(at.get(), part.c_str(), kDirectoryFlags));
    if (!next.ok()) {
      const bool odd = errno == ENOTDIR || errno == ELOOP;
      return odd ? Status(Code::kExists, "no directory, or a link, stands in its way")
                 : Errno("open a directory");
    }
    at = std::move(next);
    rest.remove_prefix(slash + 1);
  }
  *name = std::string(rest);
  return at;
}

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("write");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return Status::Ok();
}

Status SetFacts(int fd, const Document& document) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t seconds = document.mtime_ns / kSecond;
  int64_t rest = document.mtime_ns % kSecond;
  if (rest < 0) {
    --seconds;
    rest += kSecond;
  }
  timespec times[2] = {
      {.tv_sec = 0, .tv_nsec = UTIME_OMIT},
      {.tv_sec = static_cast<time_t>(seconds), .tv_nsec = static_cast<long>(rest)}};
  if (fchmod(fd, document.mode & kFileModes) != 0) return Errno("set the mode");
  if (futimens(fd, times) != 0) return Errno("set the time");
  return Status::Ok();
}

// What a run that was killed has left. Who still writes a file holds its lock.
void RemoveUnfinished(int directory) {
  Fd fd(openat(directory, ".", kDirectoryFlags));
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(fd.get()), &closedir);
  if (entries == nullptr) return;
  fd.Release();
  while (const dirent* entry = readdir(entries.get())) {
    if (!std::string_view(entry->d_name).starts_with(kUnfinished)) continue;
    const Fd file(openat(directory, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    // A shared lock, for NFS gives no other on what is only read. In doubt it stays.
    if (file.ok() && flock(file.get(), LOCK_SH | LOCK_NB) == 0) {
      unlinkat(directory, entry->d_name, 0);
    }
  }
}

// `from` may be left behind. kExists: something stands at `to`.
Status GiveName(int directory, const char* from, const char* to, bool overwrite) {
  int failed = 0;
  if (overwrite) {
    failed = renameat(directory, from, directory, to);
  } else {
    failed = renameat2(directory, from, directory, to, RENAME_NOREPLACE);
    // Not every file system knows that; a second name for the file does not replace either.
    if (failed != 0 && (errno == EINVAL || errno == ENOSYS)) {
      failed = linkat(directory, from, directory, to, 0);
    }
    // Nor does every one know that. What comes between the look and the rename is replaced there.
    if (failed != 0 && (errno == EPERM || errno == ENOSYS || errno == EOPNOTSUPP)) {
      struct stat there {};
      if (fstatat(directory, to, &there, AT_SYMLINK_NOFOLLOW) == 0) {
        return Status(Code::kExists, "something else stands there by now");
      }
      failed = renameat(directory, from, directory, to);
    }
  }
  if (failed == 0) return Status::Ok();
  if (errno == EISDIR) return Status(Code::kExists, "a directory stands there");
  if (errno == EEXIST) return Status(Code::kExists, "something else stands there by now");
  return Errno("give the file its name");
}

// The directory in which a document stands; "" is the root.
std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// What stands at a document's place.
enum class Place { kFree, kEqual, kFacts, kOther };

class Restorer {
 public:
  Restorer(Fetcher* fetcher, const Tree* tree, Fd root, bool overwrite)
      : fetcher_(fetcher), tree_(tree), root_(std::move(root)), overwrite_(overwrite) {}

  // Errors are those of the directory; a document's own go into the report.
  Status Restore(const PlacedDocument& placed, RestoreReport* report) {
    const Document& document = placed.document;
    const auto trouble = [&placed](std::string why) {
      return Trouble{placed.package, placed.document.path, std::move(why)};
    };
    const std::string directory = DirectoryOf(document.path);
    directories_.insert(directory);
    switch (Look(document)) {
      case Place::kEqual: ++report->skipped; return Status::Ok();
      case Place::kFacts:
        report->refused.push_back(trouble("its mode or time differs"));
        return Status::Ok();
      case Place::kOther:
        report->refused.push_back(trouble("something else stands there"));
        return Status::Ok();
      case Place::kFree: break;
    }
    std::string name;
    Result<Fd> parent = MakeParent(root_.get(), document.path, &name);
    Status status = parent.status();
    if (status.ok() && cleaned_.insert(directory).second) RemoveUnfinished(parent->get());
    if (status.ok()) status = Write(parent->get(), name, document);
    if (status.code() == Code::kNotFound) {
      report->missing.push_back(trouble(status.message()));
    } else if (status.code() == Code::kExists) {
      report->refused.push_back(trouble(status.message()));
    } else if (!status.ok()) {
      return status.Prepend(document.path);
    } else {
      ++report->files;
      report->bytes += document.size;
    }
    return Status::Ok();
  }

  // Survives a power cut from here on: not only what this run wrote, but also names and directories
  // of one that was stopped, and equal files that somebody else copied. Nobody knows which of these
  // are on disk, so it is asked of the whole file system; Linux tells here what failed to get
  // there.
  Status Sync() {
    RETURN_IF_ERROR(SyncSystemOf(root_.get()));
    for (const std::string& path : directories_) {
      const Result<Fd> fd = tree_->OpenDirectory(path);
      // Of a refused document it may be no directory.
      if (fd.status().code() == Code::kNotFound) continue;
      RETURN_IF_ERROR(fd.status());
      RETURN_IF_ERROR(SyncSystemOf(fd->get()));
    }
    return Status::Ok();
  }

 private:
  // Others may be mounted below the root.
  Status SyncSystemOf(int directory) {
    struct stat facts;
    if (fstat(directory, &facts) != 0) return Errno("look at a directory");
    if (!synced_.insert(facts.st_dev).second) return Status::Ok();
    return syncfs(directory) == 0 ? Status::Ok() : Errno("sync the file system");
  }

  Place Look(const Document& document) const {
    const Result<FileFacts> facts = tree_->Stat(document.path);
    if (!facts.ok()) return facts.status().code() == Code::kNotFound ? Place::kFree : Place::kOther;
    Document there;
    if (facts->size == document.size) {
      const Result<Fd> fd = tree_->OpenFile(document.path);
      const auto nothing = [](const Digest&, const std::string&) { return Status::Ok(); };
      if (fd.ok() && ReadContent(fd->get(), nothing, &there).ok() &&
          there.sha256 == document.sha256) {
        const bool same = (there.mode & kFileModes) == (document.mode & kFileModes) &&
                          there.mtime_ns == document.mtime_ns;
        if (!same && !overwrite_) return Place::kFacts;
        // The content is there; its mode and time are put right without moving it.
        if (same || SetFacts(fd->get(), document).ok()) return Place::kEqual;
      }
    }
    return overwrite_ ? Place::kFree : Place::kOther;
  }

  Status Write(int parent, const std::string& name, const Document& document) {
    std::string unfinished;
    ASSIGN_OR_RETURN(const Fd fd, MakeUnfinished(parent, &unfinished));
    Status status = Fill(fd.get(), document);
    if (status.ok()) status = GiveName(parent, unfinished.c_str(), name.c_str(), overwrite_);
    unlinkat(parent, unfinished.c_str(), 0);  // mostly gone already
    return status;
  }

  // Locked as long as it is open (see RemoveUnfinished).
  Result<Fd> MakeUnfinished(int parent, std::string* name) {
    while (true) {
      *name = kUnfinished + std::to_string(getpid()) + "-" + std::to_string(++count_);
      Fd fd(openat(parent, name->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                   0600));
      if (fd.ok()) {
        flock(fd.get(), LOCK_EX | LOCK_NB);
        return fd;
      }
      // A run in another container may have the same process number.
      if (errno != EEXIST) return Errno("make a file");
    }
  }

  Status Fill(int fd, const Document& document) {
    Hasher whole;
    uint64_t size = 0;
    RETURN_IF_ERROR(fetcher_->Fetch(document, [&](std::string_view bytes) {
      whole.Update(bytes);
      size += bytes.size();
      return WriteAll(fd, bytes);
    }));
    if (size != document.size || whole.Finish() != document.sha256) {
      return Status(Code::kNotFound, "its chunks do not give the document that was recorded");
    }
    RETURN_IF_ERROR(SetFacts(fd, document));
    if (fsync(fd) != 0) return Errno("sync");
    return Status::Ok();
  }

  Fetcher* const fetcher_;
  const Tree* const tree_;
  const Fd root_;
  const bool overwrite_;
  uint64_t count_ = 0;
  std::set<std::string> directories_;  // in which documents stand
  std::set<std::string> cleaned_;      // of unfinished files
  std::set<dev_t> synced_;
};

// An import's attachments never stood in a directory. Of whom it is not said who recorded it, the
// agent takes for its own.
bool IsFromDirectory(const Document& document) {
  return document.source.empty() || document.source.starts_with(kDocumentsSources);
}

uint64_t BytesOf(const std::vector<PlacedDocument>& documents) {
  uint64_t bytes = 0;
  for (const PlacedDocument& placed : documents) bytes += placed.document.size;
  return bytes;
}

}  // namespace

Result<RestoreReport> RestoreDocuments(Fetcher* fetcher,
                                       const std::vector<PlacedDocument>& documents,
                                       const std::string& dir, bool overwrite,
                                       const OnBytes& progress) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  ASSIGN_OR_RETURN(const Tree tree, Tree::Open(dir));
  ASSIGN_OR_RETURN(Fd root, tree.OpenDirectory(""));
  Restorer restorer(fetcher, &tree, std::move(root), overwrite);
  RestoreReport report;
  uint64_t done = 0;
  const uint64_t total = BytesOf(documents);
  for (const PlacedDocument& placed : documents) {
    RETURN_IF_ERROR(restorer.Restore(placed, &report));
    done += placed.document.size;
    progress(done, total);
  }
  RETURN_IF_ERROR(restorer.Sync());
  return report;
}

Result<std::vector<FileFinding>> CompareDocuments(const std::vector<PlacedDocument>& documents,
                                                  const std::string& dir, bool with_extra,
                                                  const OnBytes& progress) {
  ASSIGN_OR_RETURN(const Tree tree, Tree::Open(dir));
  TreeScan scan;
  tree.Scan("", {.skip = IsOwnFile, .entered = {}}, &scan);
  if (!scan.unreadable.empty()) {
    return Status(Code::kIo,
                  "directory " + dir + "/" + scan.unreadable.front() + " cannot be read");
  }
  std::vector<FileFinding> findings;
  uint64_t done = 0;
  const uint64_t total = BytesOf(documents);
  for (const PlacedDocument& placed : documents) {
    const Document& document = placed.document;
    done += document.size;
    progress(done, total);
    if (IsOwnFile(document.path)) continue;
    FileFinding finding{placed.package, document.path, FileState::kMissing, {}};
    if (const auto at = scan.files.find(document.path); at != scan.files.end()) {
      const auto nothing = [](const Digest&, const std::string&) { return Status::Ok(); };
      // What a restore leaves out is no difference.
      FileFacts facts = at->second;
      facts.mode = (facts.mode & kFileModes) | (document.mode & ~kFileModes);
      const Result<std::string> what = Differences(tree, facts, document, nothing);
      finding.what = what.ok() ? *what : "content";
      finding.state = finding.what.empty() ? FileState::kIdentical : FileState::kDiffers;
      scan.files.erase(at);
    } else if (!IsFromDirectory(document)) {
      continue;
    }
    findings.push_back(std::move(finding));
  }
  if (!with_extra) return findings;
  std::set<std::string> extra;
  for (const auto& [path, facts] : scan.files) extra.insert(path);
  for (const std::string& path : extra) findings.push_back({"-", path, FileState::kExtra, {}});
  return findings;
}

}  // namespace kembar::documents
