// manual_log.cc — see manual_log.h.
#include "tools/kembarctl/manual_log.h"

#include <optional>
#include <set>

#include "replicator/base/digest.h"
#include "tools/capture/path.h"
#include "tools/client/reader.h"
#include "tools/documents/tree.h"
#include "tools/kembarctl/context.h"

namespace kembar::ctl {
namespace {

using documents::Document;

// One source a record, because positions are those of its versions.
std::string SourceOf(const ManualKey& key) {
  const Digest digest = Sha256({key.first, std::string_view("\0", 1), key.second});
  return "manual/" + ToHex(digest).substr(0, 32);
}

std::string NameOf(const ManualKey& key) { return key.second + " of package " + key.first; }

// Where an attachment stands among the documents: below "manual/", by package and contract.
std::string DocumentPath(const ManualKey& key, const std::string& name) {
  const std::string contract = key.second.substr(import::kManualPrefix.size());
  const std::string package =
      capture::IsPlainPath(key.first)
          ? key.first
          : import::ManualItem(key.first).substr(import::kManualPrefix.size());
  return "manual/" + package + "/" + contract + "/" + name;
}

Status OddAttachment(const std::string& what) {
  return {Code::kInvalid, "column \"attachments\": " + what};
}

ManualVersion ToManual(const v1::ItemVersion& version) {
  ManualVersion manual;
  manual.index = version.index();
  manual.time_us = version.time_us();
  manual.living = version.kind() == v1::RECORD_KIND_PUT;
  if (!manual.living) return manual;
  manual.payload = version.payload();
  Result<import::StoredManual> stored = import::DecodeManual(version.payload());
  if (stored.ok()) {
    manual.stored = *std::move(stored);
    manual.stored.record.package = version.package();
  } else {
    const Status why =
        stored.status().Prepend("item " + version.item() + " of package " + version.package() +
                                ": record " + std::to_string(version.index()));
    manual.odd = Status(why.code(), why.message(), "see kembarctl package history");
  }
  return manual;
}

// Whether the log holds what was to be appended: then it was we who were faster.
Status CheckHolds(client::PrimaryFollower* follower, const ManualKey& key,
                  const v1::AppendRequest& request, const client::Deadline& deadline) {
  for (const v1::Draft& draft : request.drafts()) {
    const Result<v1::ItemVersion> held =
        ReadLatest(follower, {draft.package(), draft.item()}, deadline);
    if (!held.ok() && held.status().code() != Code::kNotFound) return held.status();
    const bool same =
        held.ok() && held->kind() == v1::RECORD_KIND_PUT && held->payload() == draft.payload();
    if (!same) return ManualChanged(key);
  }
  return Status::Ok();
}

}  // namespace

ManualKey ManualKeyOf(const std::string& package, std::string_view contract_number) {
  return {package, import::ManualItem(contract_number)};
}

// ---- Into the log ------------------------------------------------------------------------------

Status ReadAttachment(const std::string& folder, const std::string& file,
                      const documents::ChunkFn& each, Document* document) {
  ASSIGN_OR_RETURN(const documents::Tree tree,
                   documents::Tree::Open(folder.empty() ? "." : folder));
  // Looked at before it is opened: so a link is told as what it is.
  const Result<documents::FileFacts> facts = tree.Stat(file);
  if (facts.status().code() == Code::kInvalid) {
    return Status(Code::kInvalid, facts.status().message() + " (symbolic links are not followed)");
  }
  RETURN_IF_ERROR(facts.status());
  ASSIGN_OR_RETURN(const documents::Fd fd, tree.OpenFile(file));
  return documents::ReadContent(fd.get(), each, document).Prepend(file);
}

Result<PreparedManual> PrepareManual(const import::ManualRecord& record,
                                     const std::string& folder) {
  PreparedManual prepared;
  prepared.stored.record = record;
  prepared.stored.recorded_by = Context::Actor();
  const ManualKey key = ManualKeyOf(record.package, record.contract_number);
  std::set<std::string> paths;
  for (const std::string& name : record.attachments) {
    const std::optional<std::string> file = capture::CleanPath(name, "");
    if (!file || name.starts_with('/')) return OddAttachment(name + " is no file beside the CSV");
    Document document;
    document.path = DocumentPath(key, file->substr(file->rfind('/') + 1));
    document.source = "import/manual";
    if (!capture::IsPlainPath(document.path)) {
      return OddAttachment(name + " makes no path with this package and contract");
    }
    if (!paths.insert(document.path).second) {
      return OddAttachment(name + " has the name of another attachment");
    }
    const Status status = ReadAttachment(
        folder, *file, [](const Digest&, const std::string&) { return Status::Ok(); }, &document);
    if (!status.ok()) return OddAttachment(status.message());
    prepared.stored.attachments.push_back(
        {name, capture::EncodePath(document.path), document.size, ToHex(document.sha256)});
    prepared.documents.push_back(std::move(document));
    prepared.files.push_back(*file);
  }
  return prepared;
}

// ---- In the log --------------------------------------------------------------------------------

Result<ManualVersions> ReadManuals(client::NodeStubs* node, const std::string& log) {
  v1::ListItemsRequest request;
  request.set_log(log);
  request.set_item_prefix(std::string(import::kManualPrefix));
  request.set_with_payload(true);
  ManualVersions all;
  const Status status = client::ListItems(
      node, request, client::Deadline::Never(), [&all](const v1::ItemVersion& version) {
        if (version.item().starts_with(import::kManualPrefix)) {
          all[{version.package(), version.item()}] = ToManual(version);
        }
        return true;
      });
  RETURN_IF_ERROR(status.Prepend("read manual procurement"));
  return all;
}

std::vector<std::string> ManualWarnings(const ManualVersions& all) {
  std::vector<std::string> warnings;
  for (const auto& [key, version] : all) {
    if (!version.odd.ok()) warnings.push_back("warning: " + version.odd.message());
  }
  return warnings;
}

Result<v1::ItemVersion> ReadLatest(client::PrimaryFollower* follower, const ManualKey& key,
                                   const client::Deadline& deadline) {
  ASSIGN_OR_RETURN(const auto node, follower->Get(deadline));
  v1::GetItemRequest request;
  request.set_log(follower->log());
  request.set_package(key.first);
  request.set_item(key.second);
  v1::ItemVersion version;
  RETURN_IF_ERROR(client::GetItem(node.get(), request, deadline, &version));
  return version;
}

Result<ManualPlace> ReadManual(client::PrimaryFollower* follower, const ManualKey& key,
                               client::Millis timeout) {
  const client::Deadline deadline = client::Deadline::After(timeout);
  // The position first: what is appended after this line is then found to be in our place.
  ASSIGN_OR_RETURN(const v1::SourcePositionResponse last,
                   client::ReadSourcePosition(follower, SourceOf(key), deadline));
  ManualPlace place{.position = last.position()};
  const Result<v1::ItemVersion> version = ReadLatest(follower, key, deadline);
  if (version.status().code() == Code::kNotFound) return place;
  RETURN_IF_ERROR(version.status());
  place.version = ToManual(*version);
  RETURN_IF_ERROR(place.version.odd);
  return place;
}

v1::Draft ManualDraft(const ManualKey& key, const std::string& payload) {
  v1::Draft draft;
  draft.set_kind(v1::RECORD_KIND_PUT);
  draft.set_package(key.first);
  draft.set_item(key.second);
  draft.set_payload(payload);
  return draft;
}

Status ManualChanged(const ManualKey& key) {
  return {Code::kDiverged, NameOf(key) + " was changed by somebody else meanwhile",
          "look at it with kembarctl manual list --all, then try again"};
}

Status AppendManual(client::PrimaryFollower* follower, const ManualKey& key, uint64_t position,
                    std::vector<v1::Draft> drafts, client::Millis timeout) {
  v1::AppendRequest request;
  request.set_log(follower->log());
  request.set_source(SourceOf(key));
  request.set_position(position + 1);
  for (v1::Draft& draft : drafts) *request.add_drafts() = std::move(draft);
  const Result<v1::AppendResponse> response = client::AppendOnce(follower, request, timeout);
  // kGap: somebody left this position out. Versions of kembarctl before this one counted in
  // indices.
  const bool taken = response.ok() ? response->duplicate() : response.status().code() == Code::kGap;
  if (!taken) return response.status();
  // There already: by our own repetition, or with other contents by somebody else's.
  return CheckHolds(follower, key, request, client::Deadline::After(timeout));
}

}  // namespace kembar::ctl
