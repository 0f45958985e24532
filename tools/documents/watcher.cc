// watcher.cc — see watcher.h.
#include "tools/documents/watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace kembar::documents {
namespace {

constexpr uint32_t kMask = IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE |
                           IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |
                           IN_EXCL_UNLINK;
constexpr size_t kBufferBytes = size_t{64} << 10;

Result<Fd> NewInotify() {
  Fd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd.ok()) {
    return Status(Code::kIo, std::string("inotify: ") + std::strerror(errno),
                  errno == EMFILE ? "raise fs.inotify.max_user_instances" : "");
  }
  return fd;
}

bool IsInside(const std::string& path, const std::string& directory) {
  return path == directory || (path.size() > directory.size() && path.starts_with(directory) &&
                               path[directory.size()] == '/');
}

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::Make() {
  ASSIGN_OR_RETURN(Fd inotify, NewInotify());
  Fd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.ok()) return Status(Code::kIo, std::string("eventfd: ") + std::strerror(errno));
  return std::unique_ptr<Watcher>(new Watcher(std::move(inotify), std::move(wake)));
}

void Watcher::Watch(const std::string& path, int fd) {
  // Through the open directory, so that what is watched is what is read, whatever its name is now.
  const std::string name = "/proc/self/fd/" + std::to_string(fd);
  const int watch = inotify_add_watch(inotify_.get(), name.c_str(), kMask);
  if (watch < 0) {
    ++unwatched_;
  } else {
    paths_[watch] = path;
  }
}

Status Watcher::Reset() {
  ASSIGN_OR_RETURN(inotify_, NewInotify());
  paths_.clear();
  unwatched_ = 0;
  return Status::Ok();
}

void Watcher::Wake() {
  const uint64_t one = 1;
  // Fails only when the count is full: then it is awake anyway.
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

void Watcher::Wait(std::chrono::milliseconds wait, Hints* hints) {
  std::array<pollfd, 2> fds = {{{.fd = inotify_.get(), .events = POLLIN, .revents = 0},
                                {.fd = wake_.get(), .events = POLLIN, .revents = 0}}};
  const auto most = std::clamp<int64_t>(wait.count(), 0, 3'600'000);
  poll(fds.data(), fds.size(), static_cast<int>(most));
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof count);
  Take(hints);
}

void Watcher::Take(Hints* hints) {
  std::vector<char> buffer(kBufferBytes);
  while (true) {
    const ssize_t size = read(inotify_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    for (size_t at = 0; at < static_cast<size_t>(size);) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      // The name stands behind the fixed part: the event is handled where it lies.
      Handle(*reinterpret_cast<const inotify_event*>(buffer.data() + at), hints);
      at += sizeof event + event.len;
    }
  }
}

void Watcher::Handle(const inotify_event& event, Hints* hints) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    hints->lost = true;
    return;
  }
  const auto at = paths_.find(event.wd);
  if (at == paths_.end()) return;  // of a watch that was given up
  const std::string directory = at->second;
  if ((event.mask & IN_IGNORED) != 0) {
    paths_.erase(at);
    return;
  }
  constexpr uint32_t kGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT;
  if ((event.mask & kGone) != 0) {
    // Of others their parent tells, too.
    if (directory.empty()) hints->root_gone = true;
    if ((event.mask & IN_UNMOUNT) != 0) hints->lost = true;
    return;
  }
  if (event.len == 0) return;
  const std::string path = (directory.empty() ? "" : directory + "/") + std::string(event.name);
  if ((event.mask & IN_ISDIR) == 0) {
    hints->files.insert(path);
    return;
  }
  // A directory that went away keeps its watches, under a name that is not its own any more.
  if ((event.mask & (IN_MOVED_FROM | IN_DELETE)) != 0) Forget(path);
  constexpr uint32_t kScan = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
  if ((event.mask & kScan) != 0) hints->directories.insert(path);
}

void Watcher::Forget(const std::string& directory) {
  for (auto at = paths_.begin(); at != paths_.end();) {
    if (IsInside(at->second, directory)) {
      inotify_rm_watch(inotify_.get(), at->first);
      at = paths_.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace kembar::documents
