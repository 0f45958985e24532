// recorder.h — files into the log: contents first, then records, each exactly once
// (docs/documents.md, "Order of events").
//
// What the log holds is read from the primary and kept here; batches count their positions from
// what the primary has of this source. A batch that finds its position taken was decided on an old
// state: everything is read again.
//
// Thread-safety: none; used by one thread. Stopping is asked for by the stop token.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "tools/capture/mapping.h"
#include "tools/client/cluster.h"
#include "tools/client/follower.h"
#include "tools/documents/plan.h"
#include "tools/documents/upload.h"

namespace kembar::documents {

struct RecorderOptions {
  std::vector<std::string> nodes;
  std::string log;     // empty: the only one
  std::string source;  // "documents/NAME"
  UploadOptions upload;
};

class Recorder {
 public:
  // `mapping` outlives the recorder.
  Recorder(RecorderOptions options, const capture::Mapping* mapping, std::stop_token stop);

  // Reads what the log holds. After it, and until loaded() is false again, known() is right.
  Status Load();
  bool loaded() const { return loaded_; }
  const KnownFiles& known() const { return known_; }
  // Records of documents, of whichever source, that could not be read then.
  uint64_t unreadable() const { return unreadable_; }
  // The package that a path belongs to now.
  std::string PackageOf(const std::string& path) const;
  // Brings the log's references in step with its rows. True: documents may belong elsewhere now.
  Result<bool> SyncReferences();

  struct Recorded {
    std::vector<std::string> recorded;
    std::vector<std::string> changed;     // while they were read: try again
    std::vector<std::string> gone;        // not there any more
    std::vector<std::string> unreadable;  // permissions, bad disk
  };
  // Records as many of `paths`, from the first, as make a batch; the result tells of these only.
  // An error says that none of them was recorded, as far as is known.
  Status Record(const Tree& tree, const std::vector<std::string>& paths, Recorded* result);
  // Records that these known files are gone.
  Status Delete(const std::vector<std::string>& paths);

  // Records the result of an audit, as item audit/SOURCE.
  Status RecordAudit(const std::string& payload);
  // What is known turned out to be wrong: loaded() is false, and Load is to be called.
  void Forget() { loaded_ = false; }

  UploadTotals totals() const { return uploader_ ? uploader_->totals() : UploadTotals(); }
  // Told why nothing goes on, while Record and Delete wait for the log; an OK: it goes on.
  std::function<void(const Status&)> on_waiting;

 private:
  struct Batch {
    v1::AppendRequest request;
    std::vector<std::pair<std::string, std::optional<Known>>> changes;  // nothing: gone
  };

  Status Connect();
  Status ReadOne(const Tree& tree, const std::string& path, Document* document);
  void Put(const Document& document, Batch* batch);
  void AddDelete(const std::string& path, const std::string& package, Batch* batch) const;
  Status Append(Batch batch);

  const RecorderOptions options_;
  const capture::Mapping* const mapping_;
  const std::stop_token stop_;
  client::Cluster cluster_;
  std::unique_ptr<client::PrimaryFollower> follower_;
  std::unique_ptr<Uploader> uploader_;
  bool loaded_ = false;
  uint64_t position_ = 0;
  KnownFiles known_;
  uint64_t unreadable_ = 0;
  std::set<std::pair<std::string, std::string>> unwanted_references_;  // in the last round
  std::map<std::string, std::string> references_;                      // item -> package
};

}  // namespace kembar::documents
