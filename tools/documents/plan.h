// plan.h — what a tree and the log's documents differ in, and whether so many deletions can be
// meant.
//
// A directory that is not mounted, or not the one that it was, looks like a tree in which
// everything was deleted. So deletions are only believed when the tree is known to be the same, and
// never many at once without an operator's word.
//
// Thread-safety: pure functions and values; a DeletionGuard belongs to one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
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

// Sums up deletions against what is new while they wait: a renamed directory loses and wins the
// same number. What was new at other times is no reason to believe in deletions.
class DeletionGuard {
 public:
  explicit DeletionGuard(GuardOptions options) : options_(options) {}

  // A new period begins.
  void Begin() { net_ = 0; }
  // While deletions wait.
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

}  // namespace kembar::documents
