// content.h — a file's bytes, read once: cut into chunks, hashed, and checked not to have changed
// meanwhile.
//
// Thread-safety: functions may be called from many threads; a Hasher belongs to one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"
#include "tools/documents/document.h"
#include "tools/documents/tree.h"

namespace kembar::documents {

// SHA-256 of what comes piece by piece.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void Update(std::string_view bytes);
  Digest Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Takes the bytes of one chunk and its SHA-256. A failure ends the reading.
using ChunkFn = std::function<Status(const Digest& digest, std::string bytes)>;

// Reads `fd` from its beginning to its end. Fills in all of `document` but path and source.
// kUnavailable: the file changed while it was read; try again later.
Status ReadContent(int fd, const ChunkFn& each, Document* document);

// In what the file `document.path`, of which `facts` are known, is not what was recorded: "size",
// "content", "mode", "time", or several of them; empty: it is equal. Reads it whole, unless its
// size says enough. Errors: of OpenFile, ReadContent and `each`.
Result<std::string> Differences(const Tree& tree, const FileFacts& facts, const Document& document,
                                const ChunkFn& each);

// Whether somebody has the file open for writing. False also when it can't be known.
bool IsOpenForWriting(int fd);

}  // namespace kembar::documents
