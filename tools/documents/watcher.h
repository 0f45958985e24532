// watcher.h — inotify over a whole tree: which paths to look at again.
//
// Events are hints, never facts: the watcher tells where something may have happened, and whoever
// asked looks for himself. When hints were lost (a full queue, a watch that could not be set) it
// says so, and only looking at everything helps.
//
// Directories are watched from the moment in which they are entered by a scan: set Watch as
// Tree::Visitor::entered, so that nothing comes between watching and reading.
//
// Thread-safety: used by one thread; Wake may be called from any.
#pragma once

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "replicator/base/status.h"
#include "tools/documents/fd.h"

struct inotify_event;

namespace kembar::documents {

struct Hints {
  std::set<std::string> files;  // relative paths: changed, made, or gone
  std::set<std::string>
      directories;         // to be scanned, watches included; may be gone. "" is the root
  bool lost = false;       // look at everything
  bool root_gone = false;  // the root was moved, deleted or unmounted
};

class Watcher {
 public:
  // kIo: the kernel gives no inotify.
  static Result<std::unique_ptr<Watcher>> Make();

  // Watches the open directory `fd`, which is `path`. Not being able to is counted.
  void Watch(const std::string& path, int fd);
  // Forgets all watches: before the tree is entered anew.
  Status Reset();

  // Waits up to `wait` for events or Wake, then takes what there is.
  void Wait(std::chrono::milliseconds wait, Hints* hints);
  void Wake();

  size_t watches() const { return paths_.size(); }
  // Directories that could not be watched since Reset (fs.inotify.max_user_watches).
  uint64_t unwatched() const { return unwatched_; }

 private:
  Watcher(Fd inotify, Fd wake) : inotify_(std::move(inotify)), wake_(std::move(wake)) {}

  void Take(Hints* hints);
  void Handle(const inotify_event& event, Hints* hints);
  void Forget(const std::string& directory);

  Fd inotify_;
  Fd wake_;
  std::unordered_map<int, std::string> paths_;  // watch -> directory
  uint64_t unwatched_ = 0;
};

}  // namespace kembar::documents
