// fetch.cc — see fetch.h: listing documents and fetching their chunks.
#include "tools/documents/fetch.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include "tools/capture/path.h"
#include "tools/client/reader.h"

namespace kembar::documents {
namespace {

constexpr size_t kAtOnce = 16;  // chunks of one call, so at most 16 MiB in memory
constexpr char kNoPackage[] = "-";

using ByPath = std::map<std::string, PlacedDocument>;

// `source`: only what it recorded; null: everybody's. False: the record cannot be read.
bool TakeVersion(const v1::ItemVersion& version, const std::string* source, ByPath* by_path) {
  Result<Document> document = DecodeDocument(version.payload());
  if (!document.ok()) return false;
  const std::string& by = document->source;
  if (source != nullptr && !by.empty() && by != *source) return true;
  PlacedDocument& placed = (*by_path)[document->path];
  if (placed.index < version.index()) {
    placed = {version.package(), version.index(), *std::move(document)};
  }
  return true;
}

// By its item, for nothing else is known of it.
Trouble UnreadableRecord(const v1::ItemVersion& version) {
  std::string_view name = version.item();
  if (name.starts_with(capture::kDocumentPrefix))
    name.remove_prefix(capture::kDocumentPrefix.size());
  const std::optional<std::string> path = capture::DecodePath(name);
  return {version.package(), path.value_or(version.item()), "its record cannot be read"};
}

// Gives the living documents of a package ("": of all); `each` may fail.
Status EachDocument(client::NodeStubs* node, const std::string& log, const v1::AsOf& as_of,
                    const std::string& package,
                    const std::function<Status(const v1::ItemVersion&)>& each) {
  return client::ForEachLiving(node, log, as_of, package, capture::kDocumentPrefix, each)
      .Prepend("list documents");
}

// A misspelt package must not pass for one without documents.
Status CheckKnown(client::NodeStubs* node, const std::string& log, const v1::AsOf& as_of,
                  const std::string& package) {
  bool known = package == kNoPackage;
  if (!known && !package.empty()) {
    v1::ListItemsRequest request;
    request.set_log(log);
    if (as_of.at_case() != v1::AsOf::AT_NOT_SET) *request.mutable_as_of() = as_of;
    request.set_package(package);
    const Status status = client::ListItems(node, request, client::Deadline::Never(),
                                            [&known](const v1::ItemVersion&) {
                                              known = true;
                                              return false;
                                            });
    RETURN_IF_ERROR(status.Prepend("look for package " + package));
  }
  if (known) return Status::Ok();
  const bool then = as_of.at_case() != v1::AsOf::AT_NOT_SET;
  return Status(Code::kNotFound,
                "log " + log + " has no package \"" + package + "\"" + (then ? " as of then" : ""),
                "see kembarctl package list; what belongs to no package is -");
}

std::vector<PlacedDocument> InOrder(ByPath by_path) {
  std::vector<PlacedDocument> documents;
  documents.reserve(by_path.size());
  for (auto& [path, placed] : by_path) documents.push_back(std::move(placed));
  return documents;
}

// The answers to one Get, as they come. gRPC's deadline is for the whole call, and on a slow line
// the chunks of one call take longer than any node should be silent: so the wait is limited for
// each answer by itself.
class ChunkStream {
 public:
  ChunkStream(client::NodeStubs* node, const v1::GetRequest& request, client::Millis silence)
      : silence_(silence), reader_(node->blob->PrepareAsyncGet(&context_, request, &queue_)) {
    reader_->StartCall(this);
    going_ = Await();
  }
  ~ChunkStream() {
    queue_.Shutdown();
    while (Next()) {
    }
  }
  ChunkStream(const ChunkStream&) = delete;
  ChunkStream& operator=(const ChunkStream&) = delete;

  // False: there are no more.
  bool Read(v1::GetResponse* response) {
    if (!going_) return false;
    reader_->Read(response, this);
    going_ = Await();
    return going_;
  }
  // Once, after the last Read.
  grpc::Status Finish() {
    grpc::Status status;
    reader_->Finish(&status, this);
    Next();
    return status;
  }
  bool silent() const { return silent_; }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  // Whether what was begun has succeeded.
  bool Await() {
    void* tag = nullptr;
    bool ok = false;
    const auto end = std::chrono::system_clock::now() + silence_;
    if (queue_.AsyncNext(&tag, &ok, end) != grpc::CompletionQueue::TIMEOUT) return ok;
    silent_ = true;
    context_.TryCancel();
    Next();
    return false;
  }

  const client::Millis silence_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  const std::unique_ptr<grpc::ClientAsyncReader<v1::GetResponse>> reader_;
  bool going_ = false;
  bool silent_ = false;
};

}  // namespace

Result<std::vector<PlacedDocument>> ListDocuments(client::NodeStubs* node, const std::string& log,
                                                  const v1::AsOf& as_of,
                                                  const std::vector<std::string>& packages,
                                                  std::vector<Trouble>* unreadable) {
  ByPath by_path;
  const std::vector<std::string> all = {""};
  for (const std::string& package : packages) {
    RETURN_IF_ERROR(CheckKnown(node, log, as_of, package));
  }
  for (const std::string& package : packages.empty() ? all : packages) {
    RETURN_IF_ERROR(EachDocument(node, log, as_of, package, [&](const v1::ItemVersion& version) {
      const bool read = TakeVersion(version, nullptr, &by_path);
      if (!read && unreadable != nullptr) unreadable->push_back(UnreadableRecord(version));
      return Status::Ok();
    }));
  }
  return InOrder(std::move(by_path));
}

Result<std::vector<PlacedDocument>> ListDocumentsOf(client::NodeStubs* node, const std::string& log,
                                                    const v1::AsOf& as_of,
                                                    const std::string& source,
                                                    const std::stop_token& stop,
                                                    uint64_t* unreadable) {
  ByPath by_path;
  uint64_t odd = 0;
  RETURN_IF_ERROR(EachDocument(node, log, as_of, "", [&](const v1::ItemVersion& version) {
    if (stop.stop_requested()) return Status(Code::kCancelled, "stopping");
    if (!TakeVersion(version, &source, &by_path)) ++odd;
    return Status::Ok();
  }));
  if (unreadable != nullptr) *unreadable = odd;
  return InOrder(std::move(by_path));
}

// Asks one node; what it lacks, or sends damaged, is simply not in `got`. Gives what kept it from
// telling; empty: nothing did.
std::string Fetcher::Ask(client::NodeStubs* node, const std::vector<Digest>& wanted,
                         std::map<Digest, std::string>* got) {
  // A damaged or missing chunk ends a node's answer: go on behind it.
  for (size_t begin = 0; begin < wanted.size();) {
    v1::GetRequest request;
    for (size_t i = begin; i < wanted.size(); ++i) {
      request.add_digests(std::string(AsBytes(wanted[i])));
    }
    ChunkStream stream(node, request, silence_);
    v1::GetResponse response;
    size_t answers = 0;
    while (stream.Read(&response)) {
      ++answers;
      const Digest digest = Sha256({response.chunk()});
      if (AsBytes(digest) == response.digest()) {
        got->insert_or_assign(digest, std::move(*response.mutable_chunk()));
      }
    }
    const grpc::Status status = stream.Finish();
    if (stream.silent()) {
      const auto seconds = std::chrono::ceil<std::chrono::seconds>(silence_).count();
      return "node " + node->address + " has been silent for " + std::to_string(seconds) + " s";
    }
    switch (status.error_code()) {
      case grpc::StatusCode::OK:
      case grpc::StatusCode::UNIMPLEMENTED: return {};  // a version that keeps no documents
      case grpc::StatusCode::NOT_FOUND:
      case grpc::StatusCode::DATA_LOSS: begin += answers + 1; break;
      default: return "node " + node->address + ": " + status.error_message();
    }
  }
  return {};
}

Status Fetcher::Fetch(const Document& document,
                      const std::function<Status(std::string_view)>& each) {
  for (size_t begin = 0; begin < document.chunks.size(); begin += kAtOnce) {
    const size_t end = std::min(document.chunks.size(), begin + kAtOnce);
    std::map<Digest, std::string> got;
    std::string trouble;
    const size_t first = first_;
    for (size_t turn = 0; turn < nodes_.size(); ++turn) {
      std::vector<Digest> wanted;
      std::set<Digest> seen;
      for (size_t i = begin; i < end; ++i) {
        const Digest& digest = document.chunks[i];
        if (!got.contains(digest) && seen.insert(digest).second) wanted.push_back(digest);
      }
      if (wanted.empty()) break;
      const size_t node = (first + turn) % nodes_.size();
      const std::string told = Ask(nodes_[node].get(), wanted, &got);
      if (told.empty()) continue;
      trouble = told;
      if (node == first_) first_ = (node + 1) % nodes_.size();
    }
    uint64_t lacking = 0;
    for (size_t i = begin; i < end; ++i) {
      if (!got.contains(document.chunks[i])) ++lacking;
    }
    if (lacking > 0) {
      const std::string what =
          std::to_string(lacking) + " of " + std::to_string(document.chunks.size()) + " chunks ";
      // What is not known to be missing is not told as missing.
      return trouble.empty() ? Status(Code::kNotFound, what + "are at no node that answers")
                             : Status(Code::kTimeout, what + "did not come: " + trouble);
    }
    for (size_t i = begin; i < end; ++i) RETURN_IF_ERROR(each(got.at(document.chunks[i])));
  }
  return Status::Ok();
}

bool IsOwnFile(std::string_view path) {
  return path.substr(path.rfind('/') + 1).starts_with(".kembar-");
}

}  // namespace kembar::documents
