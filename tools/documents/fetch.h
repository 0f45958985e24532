// fetch.h — documents out of a log: listed, their chunks fetched from whichever node has them, and
// written as files or compared with files.
//
// Every chunk is checked against its name before it is used. A chunk that one node lacks, or has
// damaged, is asked of the next.
//
// Thread-safety: none; used by one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "kembar/v1/tender.pb.h"
#include "tools/client/channel.h"
#include "tools/client/deadline.h"
#include "tools/documents/document.h"
#include "tools/documents/tree.h"

namespace kembar::documents {

struct PlacedDocument {
  std::string package;
  uint64_t index = 0;  // of its record
  Document document;
};

// Of a document, why it is not as it should be.
struct Trouble {
  std::string package;
  std::string path;  // bytes
  std::string why;
};

// What the names of sources begin with that capture an uploads directory.
inline constexpr std::string_view kDocumentsSources = "documents/";

// The living documents of these packages (none given: of all), in order of path. Of two of one
// path, as there are while a document moves from one package to another, the newer. kNotFound: the
// log does not know one of the packages as of then; "-", what belongs to none, it always knows.
// Those whose record cannot be read are added to `unreadable` (null: passed over): anybody may
// append one, and it must not keep all others from being read.
Result<std::vector<PlacedDocument>> ListDocuments(client::NodeStubs* node, const std::string& log,
                                                  const v1::AsOf& as_of,
                                                  const std::vector<std::string>& packages,
                                                  std::vector<Trouble>* unreadable = nullptr);
// Likewise, only those that `source` recorded, or of which it is not said who did. `unreadable`
// (may be null) gets how many records, of whichever source, cannot be read. kCancelled: it was told
// to stop.
Result<std::vector<PlacedDocument>> ListDocumentsOf(client::NodeStubs* node, const std::string& log,
                                                    const v1::AsOf& as_of,
                                                    const std::string& source,
                                                    const std::stop_token& stop,
                                                    uint64_t* unreadable = nullptr);

using Nodes = std::vector<std::shared_ptr<client::NodeStubs>>;

// Fetches chunks in order, a few at a time, from the first node that has them.
class Fetcher {
 public:
  // A line that brings less than one chunk (1 MiB) in this time is as good as none.
  static constexpr client::Millis kSilence{30'000};

  explicit Fetcher(Nodes nodes, client::Millis silence = kSilence)
      : nodes_(std::move(nodes)), silence_(silence) {}

  // Gives each chunk's bytes in the document's order. kNotFound: some are at no node that answers
  // (says how many). kTimeout: no other has them, and a node that may well have fell silent or
  // away.
  Status Fetch(const Document& document, const std::function<Status(std::string_view)>& each);

 private:
  std::string Ask(client::NodeStubs* node, const std::vector<Digest>& wanted,
                  std::map<Digest, std::string>* got);

  const Nodes nodes_;
  const client::Millis silence_;
  size_t first_ = 0;  // the node that is asked first: not one that fell silent
};

// Done so far, in bytes.
using OnBytes = std::function<void(uint64_t done, uint64_t total)>;

struct RestoreReport {
  uint64_t files = 0;            // written
  uint64_t bytes = 0;            // in these
  uint64_t skipped = 0;          // there already
  std::vector<Trouble> missing;  // could not be had from any node
  std::vector<Trouble> refused;  // something else stands there
};

// Writes documents below `dir`, which is made if it is not there. Each file is whole, synced, and
// has its mode (0777 of it) and time before it gets its name. What differs, if only in these, is
// only replaced when `overwrite`. When it returns a report, all that is there survives a power cut.
// An error is one of the directory, or kTimeout of a node that fell silent: what is written so far
// stays, and the same call goes on.
Result<RestoreReport> RestoreDocuments(Fetcher* fetcher,
                                       const std::vector<PlacedDocument>& documents,
                                       const std::string& dir, bool overwrite,
                                       const OnBytes& progress);

enum class FileState { kIdentical, kDiffers, kMissing, kExtra };
struct FileFinding {
  std::string package;
  std::string path;
  FileState state = FileState::kIdentical;
  std::string what;  // of kDiffers: "size", "content", "mode", "time"; may be several
};

// The tree below `dir` beside documents; of a mode only 0777. Files that the agent keeps for itself
// (.kembar-*) are left out. What was not captured out of a directory, such as an import's
// attachments, may be there or not. With `with_extra` false, files that no document names are not
// told.
Result<std::vector<FileFinding>> CompareDocuments(const std::vector<PlacedDocument>& documents,
                                                  const std::string& dir, bool with_extra,
                                                  const OnBytes& progress);

// ".kembar-…" in any directory: the agent's own, and what a restore has not finished.
bool IsOwnFile(std::string_view path);
inline constexpr char kCanaryFile[] = ".kembar-canary";

}  // namespace kembar::documents
