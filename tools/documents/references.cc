// references.cc — see references.h.
#include "tools/documents/references.h"

#include <algorithm>

#include "tools/capture/json_text.h"
#include "tools/capture/names.h"
#include "tools/capture/path.h"
#include "tools/capture/row.h"
#include "tools/client/reader.h"

namespace kembar::documents {
namespace {

using capture::TableShape;

// Whether a row of a mapped table put it there, now or under an earlier mapping.
bool IsOfRows(const std::string& payload) { return !payload.starts_with("{\"table\":\"manual\""); }

}  // namespace

Result<ReferenceItems> ReadReferences(client::NodeStubs* node, const std::string& log,
                                      const v1::AsOf& as_of) {
  ReferenceItems held;
  RETURN_IF_ERROR(client::ForEachLiving(
      node, log, as_of, "", capture::kReferencePrefix, [&held](const v1::ItemVersion& version) {
        held[{version.package(), version.item()}] = version.payload();
        return Status::Ok();
      }));
  return held;
}

Result<ReferenceItems> WantedReferences(client::NodeStubs* node, const std::string& log,
                                        const capture::Mapping& mapping, std::stop_token stop,
                                        const v1::AsOf& as_of) {
  ReferenceItems wanted;
  if (mapping.document_columns().empty()) return wanted;
  std::vector<TableShape> tables;
  RETURN_IF_ERROR(client::ForEachLiving(
      node, log, as_of, "", "table/", [&](const v1::ItemVersion& version) -> Status {
        ASSIGN_OR_RETURN(TableShape table, capture::DecodeTable(version.payload()));
        if (mapping.NamesDocuments(table)) tables.push_back(std::move(table));
        return Status::Ok();
      }));
  for (const TableShape& table : tables) {
    const auto take = [&](const v1::ItemVersion& version) -> Status {
      if (stop.stop_requested()) return Status(Code::kCancelled, "stopping");
      ASSIGN_OR_RETURN(const capture::Row row, capture::DecodeRow(version.payload()));
      for (capture::Reference& reference : mapping.References(table, version.item(), row)) {
        wanted.try_emplace({version.package(), std::move(reference.item)},
                           std::move(reference.payload));
      }
      return Status::Ok();
    };
    RETURN_IF_ERROR(
        client::ForEachLiving(node, log, as_of, "", capture::RowPrefix(table.name), take));
  }
  return wanted;
}

Result<std::map<std::string, std::string>> ReferencesAsOf(client::NodeStubs* node,
                                                          const std::string& log,
                                                          const v1::AsOf& as_of) {
  std::vector<capture::Mapping> mappings;
  const std::string prefix = capture::MappingItem({});
  RETURN_IF_ERROR(
      client::ForEachLiving(node, log, as_of, "", prefix, [&](const v1::ItemVersion& version) {
        Result<capture::Mapping> mapping =
            capture::Mapping::Parse(version.payload(), version.item());
        if (!mapping.ok()) return mapping.status();
        if (!mapping->document_columns().empty()) mappings.push_back(*std::move(mapping));
        return Status::Ok();
      }));
  std::map<std::string, std::string> references;
  for (const capture::Mapping& mapping : mappings) {
    ASSIGN_OR_RETURN(const ReferenceItems wanted, WantedReferences(node, log, mapping, {}, as_of));
    for (const auto& [key, payload] : wanted) references.emplace(key.second, key.first);
  }
  ASSIGN_OR_RETURN(const ReferenceItems held, ReadReferences(node, log, as_of));
  for (const auto& [key, payload] : held) {
    if (mappings.empty() || !IsOfRows(payload)) references.emplace(key.second, key.first);
  }
  return references;
}

std::vector<v1::Draft> ReferenceChanges(const ReferenceItems& held, const ReferenceItems& wanted,
                                        const capture::Mapping& mapping) {
  std::vector<v1::Draft> changes;
  const auto add = [&changes](v1::RecordKind kind, const auto& key, const std::string& payload) {
    v1::Draft& draft = changes.emplace_back();
    draft.set_kind(kind);
    draft.set_package(key.first);
    draft.set_item(key.second);
    draft.set_payload(payload);
  };
  // Without a mapping nobody knows what rows refer to: what an agent with one has written stays.
  for (const auto& [key, payload] : held) {
    const bool gone = !mapping.document_columns().empty() && !wanted.contains(key);
    if (gone && IsOfRows(payload)) add(v1::RECORD_KIND_DELETE, key, {});
  }
  for (const auto& [key, payload] : wanted) {
    if (!held.contains(key)) add(v1::RECORD_KIND_PUT, key, payload);
  }
  return changes;
}

}  // namespace kembar::documents
