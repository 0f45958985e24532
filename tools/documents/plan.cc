// plan.cc — see plan.h.
#include "tools/documents/plan.h"

#include <algorithm>

#include "tools/documents/clock.h"

namespace kembar::documents {

bool IsBelow(const std::string& path, const std::string& directory) {
  return directory.empty() || path == directory ||
         (path.size() > directory.size() && path.starts_with(directory) &&
          path[directory.size()] == '/');
}

bool IsAsKnown(const Known& known, const FileFacts& facts) {
  return known.size == facts.size && known.mode == facts.mode && known.mtime_ns == facts.mtime_ns;
}

std::vector<std::string> Vanished(const KnownFiles& known, const std::string& directory,
                                  const TreeScan& scan) {
  std::vector<std::string> vanished;
  for (auto at = known.lower_bound(directory); at != known.end(); ++at) {
    const std::string& path = at->first;
    // Names such as "a-b" stand between "a" and "a/b".
    if (!path.starts_with(directory)) break;
    if (!IsBelow(path, directory) || scan.files.contains(path)) continue;
    const bool hidden =
        std::any_of(scan.unreadable.begin(), scan.unreadable.end(),
                    [&path](const std::string& unreadable) { return IsBelow(path, unreadable); });
    if (!hidden) vanished.push_back(path);
  }
  return vanished;
}

void DeletionGuard::Deleted(uint64_t files) {
  net_ = std::max<int64_t>(net_ + static_cast<int64_t>(files), 0);
}

bool DeletionGuard::Allows(uint64_t files, uint64_t known) const {
  const int64_t after = net_ + static_cast<int64_t>(files);
  if (after < static_cast<int64_t>(options_.at_least)) return true;
  return static_cast<uint64_t>(after) * 100 <= known * options_.percent;
}

bool Settling::IsStable(const FileFacts& facts, int64_t now_ns, int64_t wall_ns) {
  if (since_ns_ == 0 || !(facts == seen_)) {
    seen_ = facts;
    since_ns_ = now_ns;
  }
  // The kernel sets ctime at every change, so an old one needs no watching.
  const bool old = facts.ctime_ns <= wall_ns && wall_ns - facts.ctime_ns >= settle_ns_;
  return old || now_ns - since_ns_ >= settle_ns_;
}

bool Settling::IsLongStable(int64_t now_ns) const {
  return now_ns - since_ns_ >= std::max(10 * settle_ns_, 30 * kSecondNs);
}

}  // namespace kembar::documents
