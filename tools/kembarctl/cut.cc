// cut.cc — see cut.h.
#include "tools/kembarctl/cut.h"

#include <algorithm>

#include "tools/capture/names.h"
#include "tools/capture/path.h"
#include "tools/client/reader.h"
#include "tools/kembarctl/parse.h"

namespace kembar::ctl {
namespace {

constexpr uint32_t kCutsTried = 32;

// What the node itself counts: documents of which it lacks a chunk, references to none.
Status CountMissing(client::NodeStubs* node, const std::string& log, Cut* cut) {
  v1::ListPackagesRequest request;
  request.set_log(log);
  request.mutable_as_of()->set_index(cut->index);
  return client::ListPackages(
      node, request, client::Deadline::Never(), [cut](const v1::Package& package) {
        if (package.missing_documents() > 0 && cut->example.empty()) {
          cut->example = package.package() + ": " + FormatCount(package.missing_documents()) +
                         " documents missing";
        }
        cut->missing_documents += package.missing_documents();
        return true;
      });
}

// What the rows themselves refer to: the node's count follows them with a little delay.
Status AskRows(client::NodeStubs* node, const std::string& log, Cut* cut) {
  v1::AsOf as_of;
  as_of.set_index(cut->index);
  ASSIGN_OR_RETURN(const auto living, documents::ListDocuments(node, log, as_of, {}));
  ASSIGN_OR_RETURN(const documents::Referenced referenced,
                   documents::FindReferenced(node, log, as_of, {}, living));
  cut->missing_documents = referenced.documents.size() + referenced.dangling.size();
  if (!referenced.dangling.empty()) {
    const documents::Trouble& trouble = referenced.dangling.front();
    cut->example = trouble.package + ": " + trouble.path + ", " + trouble.why;
  } else if (!referenced.documents.empty()) {
    const documents::PlacedDocument& placed = referenced.documents.front();
    cut->example = placed.package + ": " + placed.document.path + ", not recorded at that moment";
  }
  return {};
}

}  // namespace

Status CheckCut(Context* context, const std::string& at, Cut* cut) {
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  ASSIGN_OR_RETURN(const auto node, context->Reader(at));
  cut->missing_documents = 0;
  cut->example.clear();
  RETURN_IF_ERROR(CountMissing(node.get(), log, cut).Prepend("list packages"));
  if (cut->missing_documents == 0) RETURN_IF_ERROR(AskRows(node.get(), log, cut));
  cut->whole = cut->missing_documents == 0;
  return {};
}

Result<std::vector<Cut>> ListCuts(Context* context, const std::string& at,
                                  const std::string& source, uint32_t count) {
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, at));
  std::vector<Cut> cuts;
  const restore::ItemQuery query{.package = "-",
                                 .item_prefix = capture::CutItem(source),
                                 .as_of = {},
                                 .versions_max = count,
                                 .with_payload = true};
  RETURN_IF_ERROR(log->List(query, [&](const restore::Version& version) -> Status {
    const capture::ItemName name = capture::ParseItem(version.item);
    if (version.deleted || name.kind != capture::ItemKind::kCut) return {};
    if (!source.empty() && name.key != source) return {};
    ASSIGN_OR_RETURN(const capture::Marker marker, capture::DecodeMarker(version.payload));
    // The transaction's marker is the record behind it, in the same batch.
    cuts.push_back({.source = name.key,
                    .index = version.index + 1,
                    .time_us = marker.committed_us != 0 ? marker.committed_us : version.time_us,
                    .lsn = marker.lsn,
                    .example = {}});
    return {};
  }));
  std::sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) { return a.index > b.index; });
  if (cuts.size() > count) cuts.resize(count);
  return cuts;
}

Result<Cut> FindWholeCut(Context* context, const std::string& at, const std::string& source) {
  ASSIGN_OR_RETURN(std::vector<Cut> cuts, ListCuts(context, at, source, kCutsTried));
  for (Cut& cut : cuts) {
    RETURN_IF_ERROR(CheckCut(context, at, &cut));
    if (cut.whole) return cut;
  }
  if (cuts.empty()) {
    return Status(Code::kNotFound, "the log holds no cut",
                  "kembar-agent records one every canary_every_s of [postgres]");
  }
  return Status(Code::kNotFound,
                "none of the newest " + std::to_string(cuts.size()) +
                    " cuts is whole; the newest lacks " + cuts.front().example,
                "--as-of INDEX restores as of any moment and names what is missing");
}

Result<v1::AsOf> ResolveAsOf(Context* context, const std::string& as_of, const std::string& at,
                             const std::string& source) {
  if (as_of != "cut") return ParseAsOf(as_of);
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, at));
  ASSIGN_OR_RETURN(const auto newest, restore::FindBoundary(log.get(), v1::AsOf(), source));
  ASSIGN_OR_RETURN(const Cut cut, FindWholeCut(context, at, newest.source));
  Note("as of the cut at record " + FormatCount(cut.index) + ", " + FormatTime(cut.time_us));
  v1::AsOf resolved;
  resolved.set_index(cut.index);
  return resolved;
}

Result<DocumentsOfMoment> ListDocumentsOfMoment(Context* context, const DocumentsOptions& options) {
  DocumentsOfMoment found;
  ASSIGN_OR_RETURN(found.log, context->Log());
  ASSIGN_OR_RETURN(const v1::AsOf as_of,
                   ResolveAsOf(context, options.as_of, options.at, options.source));
  ASSIGN_OR_RETURN(found.node, context->Reader(options.at));
  ASSIGN_OR_RETURN(found.documents, documents::ListDocuments(found.node.get(), found.log, as_of,
                                                             options.packages, &found.unreadable));
  ASSIGN_OR_RETURN(found.referenced, documents::FindReferenced(found.node.get(), found.log, as_of,
                                                               options.packages, found.documents));
  found.documents.insert(found.documents.end(), found.referenced.documents.begin(),
                         found.referenced.documents.end());
  return found;
}

std::string JsonPath(const std::string& path) {
  return capture::IsPlainPath(path) ? capture::EncodePath(path) : path;
}

}  // namespace kembar::ctl
