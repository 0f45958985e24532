// fetch.cc — see fetch.h: listing documents and fetching their chunks.
#include "tools/documents/fetch.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <set>

#include "tools/capture/path.h"
#include "tools/client/reader.h"

namespace kembar::documents {
namespace {

constexpr size_t kAtOnce = 16;  // chunks of one call, so at most 16 MiB in memory
constexpr client::Millis kSilence(30'000);

using ByPath = std::map<std::string, PlacedDocument>;

// `source`: only what it recorded; null: everybody's.
Status TakeVersion(const v1::ItemVersion& version, const std::string* source, ByPath* by_path) {
  Result<Document> document = DecodeDocument(version.payload());
  if (!document.ok()) {
    return document.status().Prepend("record " + std::to_string(version.index()) + ", item " +
                                     version.item());
  }
  const std::string& by = document->source;
  if (source != nullptr && !by.empty() && by != *source) return Status::Ok();
  PlacedDocument& placed = (*by_path)[document->path];
  if (placed.index < version.index()) {
    placed = {version.package(), version.index(), *std::move(document)};
  }
  return Status::Ok();
}

// Gives the living documents of a package ("": of all); `each` may fail.
Status EachDocument(client::NodeStubs* node, const std::string& log, const v1::AsOf& as_of,
                    const std::string& package,
                    const std::function<Status(const v1::ItemVersion&)>& each) {
  v1::ListItemsRequest request;
  request.set_log(log);
  if (as_of.at_case() != v1::AsOf::AT_NOT_SET) *request.mutable_as_of() = as_of;
  request.set_item_prefix(std::string(capture::kDocumentPrefix));
  request.set_with_payload(true);
  request.set_package(package);
  return client::ForEachLiving(node, request, client::Deadline::Never(), each)
      .Prepend("list documents");
}

std::vector<PlacedDocument> InOrder(ByPath by_path) {
  std::vector<PlacedDocument> documents;
  documents.reserve(by_path.size());
  for (auto& [path, placed] : by_path) documents.push_back(std::move(placed));
  return documents;
}

}  // namespace

Result<std::vector<PlacedDocument>> ListDocuments(client::NodeStubs* node, const std::string& log,
                                                  const v1::AsOf& as_of,
                                                  const std::vector<std::string>& packages) {
  ByPath by_path;
  const std::vector<std::string> all = {""};
  for (const std::string& package : packages.empty() ? all : packages) {
    RETURN_IF_ERROR(
        EachDocument(node, log, as_of, package, [&by_path](const v1::ItemVersion& version) {
          return TakeVersion(version, nullptr, &by_path);
        }));
  }
  return InOrder(std::move(by_path));
}

Result<std::vector<PlacedDocument>> ListDocumentsOf(client::NodeStubs* node, const std::string& log,
                                                    const v1::AsOf& as_of,
                                                    const std::string& source,
                                                    const std::stop_token& stop) {
  ByPath by_path;
  RETURN_IF_ERROR(EachDocument(node, log, as_of, "", [&](const v1::ItemVersion& version) {
    if (stop.stop_requested()) return Status(Code::kCancelled, "stopping");
    return TakeVersion(version, &source, &by_path);
  }));
  return InOrder(std::move(by_path));
}

// Asks one node; what it lacks, or sends damaged, is simply not in `got`.
void Fetcher::Ask(client::NodeStubs* node, const std::vector<Digest>& wanted,
                  std::map<Digest, std::string>* got) {
  // A damaged or missing chunk ends a node's answer: go on behind it.
  for (size_t begin = 0; begin < wanted.size();) {
    v1::GetRequest request;
    for (size_t i = begin; i < wanted.size(); ++i) {
      request.add_digests(std::string(AsBytes(wanted[i])));
    }
    grpc::ClientContext context;
    client::Deadline::After(kSilence).ApplyTo(&context);
    const auto reader = node->blob->Get(&context, request);
    v1::GetResponse response;
    size_t answers = 0;
    while (reader->Read(&response)) {
      ++answers;
      const Digest digest = Sha256({response.chunk()});
      if (AsBytes(digest) == response.digest()) {
        got->insert_or_assign(digest, std::move(*response.mutable_chunk()));
      }
    }
    const grpc::Status status = reader->Finish();
    const bool of_a_chunk = status.error_code() == grpc::StatusCode::NOT_FOUND ||
                            status.error_code() == grpc::StatusCode::DATA_LOSS;
    if (status.ok() || !of_a_chunk) return;
    begin += answers + 1;
  }
}

Status Fetcher::Fetch(const Document& document,
                      const std::function<Status(std::string_view)>& each) {
  for (size_t begin = 0; begin < document.chunks.size(); begin += kAtOnce) {
    const size_t end = std::min(document.chunks.size(), begin + kAtOnce);
    std::map<Digest, std::string> got;
    for (size_t turn = 0; turn < nodes_.size(); ++turn) {
      std::vector<Digest> wanted;
      std::set<Digest> seen;
      for (size_t i = begin; i < end; ++i) {
        const Digest& digest = document.chunks[i];
        if (!got.contains(digest) && seen.insert(digest).second) wanted.push_back(digest);
      }
      if (wanted.empty()) break;
      const size_t node = (first_ + turn) % nodes_.size();
      Ask(nodes_[node].get(), wanted, &got);
    }
    uint64_t lacking = 0;
    for (size_t i = begin; i < end; ++i) {
      if (!got.contains(document.chunks[i])) ++lacking;
    }
    if (lacking > 0) {
      return Status(Code::kNotFound, std::to_string(lacking) + " of " +
                                         std::to_string(document.chunks.size()) +
                                         " chunks are at no node that answers");
    }
    for (size_t i = begin; i < end; ++i) RETURN_IF_ERROR(each(got.at(document.chunks[i])));
  }
  return Status::Ok();
}

bool IsOwnFile(std::string_view path) {
  return path.substr(path.rfind('/') + 1).starts_with(".kembar-");
}

}  // namespace kembar::documents
