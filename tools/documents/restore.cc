// restore.cc — see fetch.h: documents as files.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "tools/documents/content.h"
#include "tools/documents/fetch.h"

namespace kembar::documents {
namespace {

constexpr mode_t kDirectoryMode = 0755;

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
  if (fchmod(fd, document.mode & 07777U) != 0) return Errno("set the mode");
  if (futimens(fd, times) != 0) return Errno("set the time");
  return Status::Ok();
}

// What stands at a document's place.
enum class Place { kFree, kEqual, kOther };

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
    switch (Look(document)) {
      case Place::kEqual: ++report->skipped; return Status::Ok();
      case Place::kOther:
        report->refused.push_back(trouble("something else stands there"));
        return Status::Ok();
      case Place::kFree: break;
    }
    std::string name;
    Result<Fd> parent = MakeParent(root_.get(), document.path, &name);
    Status status = parent.status();
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
      const size_t slash = document.path.rfind('/');
      written_.insert(slash == std::string::npos ? "" : document.path.substr(0, slash));
    }
    return Status::Ok();
  }

  // The names of the files, too, survive a power cut from here on.
  Status SyncDirectories() {
    for (const std::string& path : written_) {
      ASSIGN_OR_RETURN(const Fd fd, tree_->OpenDirectory(path));
      if (fsync(fd.get()) != 0) return Errno("sync a directory");
    }
    return Status::Ok();
  }

 private:
  Place Look(const Document& document) const {
    const Result<FileFacts> facts = tree_->Stat(document.path);
    if (!facts.ok()) return facts.status().code() == Code::kNotFound ? Place::kFree : Place::kOther;
    Document there;
    if (facts->size == document.size) {
      const Result<Fd> fd = tree_->OpenFile(document.path);
      const auto nothing = [](const Digest&, const std::string&) { return Status::Ok(); };
      if (fd.ok() && ReadContent(fd->get(), nothing, &there).ok() &&
          there.sha256 == document.sha256) {
        const bool same = there.mode == document.mode && there.mtime_ns == document.mtime_ns;
        // The content is there; its mode and time are put right without moving it.
        if (same || SetFacts(fd->get(), document).ok()) return Place::kEqual;
      }
    }
    return overwrite_ ? Place::kFree : Place::kOther;
  }

  Status Write(int parent, const std::string& name, const Document& document) {
    const std::string temporary =
        ".kembar-restore-" + std::to_string(getpid()) + "-" + std::to_string(++count_);
    Fd fd(openat(parent, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 0600));
    if (!fd.ok()) return Errno("make a file");
    Status status = Fill(fd.get(), document);
    if (status.ok() && renameat(parent, temporary.c_str(), parent, name.c_str()) != 0) {
      status = errno == EISDIR ? Status(Code::kExists, "a directory stands there")
                               : Errno("give the file its name");
    }
    if (!status.ok()) unlinkat(parent, temporary.c_str(), 0);
    return status;
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
  std::set<std::string> written_;  // directories
};

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
  RETURN_IF_ERROR(restorer.SyncDirectories());
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
      const Result<std::string> what = Differences(tree, at->second, document, nothing);
      finding.what = what.ok() ? *what : "content";
      finding.state = finding.what.empty() ? FileState::kIdentical : FileState::kDiffers;
      scan.files.erase(at);
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
