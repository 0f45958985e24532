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

void Candidates::Add(const std::string& path, int64_t now_ns) {
  if (ready_.contains(path)) return;
  settling_.try_emplace(path, Entry{Settling(settle_ns_), now_ns, {}, false});
}

void Candidates::Touch(const std::string& path, int64_t now_ns) {
  const auto at = ready_.find(path);
  if (at == ready_.end()) return Add(path, now_ns);
  turns_.erase({at->second.turn, path});
  settling_.insert(ready_.extract(at));
}

void Candidates::PutBack(const std::string& path) {
  Touch(path, 0);
  settling_.at(path).last = true;
}

void Candidates::Erase(const std::string& path) {
  settling_.erase(path);
  const auto at = ready_.find(path);
  if (at == ready_.end()) return;
  turns_.erase({at->second.turn, path});
  ready_.erase(at);
}

void Candidates::EraseIf(const std::function<bool(const std::string& path)>& drops) {
  std::erase_if(settling_, [&drops](const auto& entry) { return drops(entry.first); });
  std::erase_if(turns_, [this, &drops](const auto& turn) {
    const bool dropped = drops(turn.second);
    if (dropped) ready_.erase(turn.second);
    return dropped;
  });
}

void Candidates::Judge(const JudgeFn& judge) {
  --round_;
  for (auto at = settling_.begin(); at != settling_.end();) {
    const auto entry = at++;
    const Verdict verdict = judge(entry->first, &entry->second.settling);
    if (verdict == Verdict::kDrop) settling_.erase(entry);
    if (verdict == Verdict::kDrop || verdict == Verdict::kWait) continue;
    const uint64_t round = entry->second.last ? UINT64_MAX : round_;
    entry->second.turn = {round, verdict == Verdict::kLarge};
    turns_.emplace(entry->second.turn, entry->first);
    ready_.insert(settling_.extract(entry));
  }
}

std::vector<std::string> Candidates::Next(size_t most) const {
  std::vector<std::string> paths;
  for (auto at = turns_.begin(); at != turns_.end() && paths.size() < most; ++at) {
    paths.push_back(at->second);
  }
  return paths;
}

bool Candidates::Contains(const std::string& path) const {
  return settling_.contains(path) || ready_.contains(path);
}

int64_t Candidates::NoticedNs(const std::string& path) const {
  const auto at = ready_.find(path);
  return at != ready_.end() ? at->second.noticed_ns : settling_.at(path).noticed_ns;
}

bool Candidates::HasReady(int64_t from_ns, int64_t to_ns) const {
  return std::any_of(ready_.begin(), ready_.end(), [&](const auto& entry) {
    return from_ns <= entry.second.noticed_ns && entry.second.noticed_ns <= to_ns;
  });
}

}  // namespace kembar::documents
