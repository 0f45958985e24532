// referenced.cc — see referenced.h.
#include "tools/documents/referenced.h"

#include <algorithm>
#include <set>
#include <utility>

#include "tools/capture/path.h"
#include "tools/client/reader.h"
#include "tools/documents/references.h"

namespace kembar::documents {
namespace {

std::string ReferenceTo(const Document& document) {
  return capture::ReferenceItem(capture::EncodePath(document.path));
}

bool IsBefore(const v1::AsOf& as_of, const v1::ItemVersion& version) {
  switch (as_of.at_case()) {
    case v1::AsOf::kIndex: return version.index() <= as_of.index();
    case v1::AsOf::kTimeUs: return version.time_us() <= as_of.time_us();
    case v1::AsOf::AT_NOT_SET: break;
  }
  return true;
}

struct Candidate {
  bool before = false;
  PlacedDocument placed;  // index 0: none yet
};

bool IsNearer(bool before, uint64_t index, const Candidate& than) {
  if (than.placed.index == 0) return true;
  if (before != than.before) return before;
  return before ? index > than.placed.index : index < than.placed.index;
}

using Wanted = std::map<std::string, std::pair<std::string, Candidate>>;  // by reference item

// Looks through all versions of all documents. One that cannot be read is none: it stays among the
// versions for ever, whatever is done about it.
Status FindNearest(client::NodeStubs* node, const std::string& log, const v1::AsOf& as_of,
                   Wanted* wanted) {
  v1::ListItemsRequest request;
  request.set_log(log);
  request.set_item_prefix(std::string(capture::kDocumentPrefix));
  request.set_versions_max(UINT32_MAX);
  request.set_with_payload(true);
  const auto take = [&](const v1::ItemVersion& version) {
    if (version.kind() != v1::RECORD_KIND_PUT) return true;
    Result<Document> document = DecodeDocument(version.payload());
    if (!document.ok()) return true;
    const auto at = wanted->find(ReferenceTo(*document));
    if (at == wanted->end()) return true;
    Candidate& best = at->second.second;
    const bool before = IsBefore(as_of, version);
    if (IsNearer(before, version.index(), best)) {
      best = {before, {version.package(), version.index(), *std::move(document)}};
    }
    return true;
  };
  return client::ListItems(node, request, client::Deadline::Never(), take)
      .Prepend("list all versions of documents");
}

std::string PathOf(const std::string& reference) {
  const std::string encoded = reference.substr(capture::kReferencePrefix.size());
  return capture::DecodePath(encoded).value_or(encoded);
}

}  // namespace

Result<Referenced> FindReferenced(client::NodeStubs* node, const std::string& log,
                                  const v1::AsOf& as_of, const std::vector<std::string>& packages,
                                  const std::vector<PlacedDocument>& living) {
  std::set<std::string> there;
  for (const PlacedDocument& placed : living) there.insert(ReferenceTo(placed.document));
  Result<std::map<std::string, std::string>> references = ReferencesAsOf(node, log, as_of);
  if (!references.ok()) return references.status().Prepend("read what rows refer to");
  Wanted wanted;
  for (const auto& [item, package] : *references) {
    const bool asked =
        packages.empty() || std::find(packages.begin(), packages.end(), package) != packages.end();
    if (asked && !there.contains(item)) wanted[item].first = package;
  }
  Referenced found;
  if (wanted.empty()) return found;
  RETURN_IF_ERROR(FindNearest(node, log, as_of, &wanted));
  for (auto& [item, entry] : wanted) {
    auto& [package, best] = entry;
    if (best.placed.index > 0) {
      found.documents.push_back(std::move(best.placed));
    } else {
      found.dangling.push_back({package, PathOf(item), "the log never had it"});
    }
  }
  return found;
}

}  // namespace kembar::documents
