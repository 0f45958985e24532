// plan.h — what a tree and the log's documents differ in, and whether so many deletions can be
// meant.
//
// A directory that is not mounted, or not the one that it was, looks like a tree in which
// everything was deleted. So deletions are only believed when the tree is known to be the same, and
// never many at once without an operator's word.
//
// Thread-safety: pure functions and values; a DeletionGuard belongs to one thread.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tools/documents/document.h"
#include "tools/documents/tree.h"

namespace kembar::documents {

// What the log holds of one file, without its chunks.
struct Known {
  std::string package;
  uint64_t size = 0;
  uint32_t mode = 0;
  int64_t mtime_ns = 0;
};
using KnownFiles = std::map<std::string, Known>;  // by path, so that a directory is a range

// Whether the file is as the log has it, as far as one can tell without reading it.
bool IsAsKnown(const Known& known, const FileFacts& facts);

// Whether `path` is `directory` ("": the root) or stands somewhere in it.
bool IsBelow(const std::string& path, const std::string& directory);

// The known paths below `directory` ("": all) that `scan` has not found and that do not stand in
// something unreadable.
std::vector<std::string> Vanished(const KnownFiles& known, const std::string& directory,
                                  const TreeScan& scan);

struct GuardOptions {
  uint64_t percent = 20;    // of all known files
  uint64_t at_least = 100;  // fewer are always believed
};

// Sums up deletions against what came with them: a renamed directory loses and wins the same
// number. What was new at other times is no reason to believe in deletions.
class DeletionGuard {
 public:
  explicit DeletionGuard(GuardOptions options) : options_(options) {}

  // A new period begins, while no deletions wait.
  void Begin() { net_ = 0; }
  // Noticed about when the deletions were that wait.
  void Added(uint64_t files) { net_ -= static_cast<int64_t>(files); }
  // They are recorded; none waits any more.
  void Deleted(uint64_t files);
  // Whether so many more deletions may be recorded, of so many known files.
  bool Allows(uint64_t files, uint64_t known) const;

 private:
  const GuardOptions options_;
  int64_t net_ = 0;
};

// A file that may have changed, until it is stable.
class Settling {
 public:
  explicit Settling(int64_t settle_ns) : settle_ns_(settle_ns) {}

  // Looks at `facts` at `now_ns` (steady) and `wall_ns`. True: nobody has touched it for long
  // enough.
  bool IsStable(const FileFacts& facts, int64_t now_ns, int64_t wall_ns);
  // Unchanged for much longer: it is taken even if somebody still has it open.
  bool IsLongStable(int64_t now_ns) const;

 private:
  const int64_t settle_ns_;
  FileFacts seen_;
  int64_t since_ns_ = 0;  // steady; 0: never seen
};

// The files that may have changed: those that are to come to rest, and those that are ready to be
// recorded. What gets ready later is taken earlier, so that nobody's bid waits behind a backlog of
// weeks; of what gets ready together, small files first.
class Candidates {
 public:
  explicit Candidates(int64_t settle_ns) : settle_ns_(settle_ns) {}

  // One that is there already stays as it is: neither its rest nor its turn begins anew.
  void Add(const std::string& path, int64_t now_ns);
  // Likewise, but it was touched: if it was ready, it has to rest again.
  void Touch(const std::string& path, int64_t now_ns);
  // Likewise, and then it is taken last: it changed while it was read, and reading may take long.
  void PutBack(const std::string& path);
  void Erase(const std::string& path);
  void EraseIf(const std::function<bool(const std::string& path)>& drops);

  enum class Verdict : uint8_t { kDrop, kWait, kSmall, kLarge };
  using JudgeFn = std::function<Verdict(const std::string& path, Settling* settling)>;
  // Asks about each that is not ready. What gets ready now is taken before what was.
  void Judge(const JudgeFn& judge);
  // The next that are ready, at most so many.
  std::vector<std::string> Next(size_t most) const;

  bool Contains(const std::string& path) const;
  // When it was added; `path` is there.
  int64_t NoticedNs(const std::string& path) const;
  // Whether one that is ready was added in this time.
  bool HasReady(int64_t from_ns, int64_t to_ns) const;
  bool has_ready() const { return !ready_.empty(); }
  size_t size() const { return settling_.size() + ready_.size(); }
  bool empty() const { return size() == 0; }

 private:
  struct Turn {
    uint64_t round = 0;  // counts down: later rounds come first
    bool large = false;
    auto operator<=>(const Turn&) const = default;
  };
  struct Entry {
    Settling settling;
    int64_t noticed_ns = 0;
    Turn turn;  // when ready
    bool last = false;
  };

  const int64_t settle_ns_;
  std::map<std::string, Entry> settling_;
  std::map<std::string, Entry> ready_;
  std::set<std::pair<Turn, std::string>> turns_;  // of the ready ones
  uint64_t round_ = UINT64_MAX;
};

}  // namespace kembar::documents
