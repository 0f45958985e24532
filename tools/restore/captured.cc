// captured.cc — see captured.h.
#include "tools/restore/captured.h"

#include <charconv>
#include <set>
#include <utility>

namespace kembar::restore {
namespace {

using capture::ItemKind;

Status Take(Version version, const std::string& source, Captured* captured) {
  const capture::ItemName name = capture::ParseItem(version.item);
  switch (name.kind) {
    case ItemKind::kTable: {
      ASSIGN_OR_RETURN(capture::TableShape table, capture::DecodeTable(version.payload));
      captured->tables.insert_or_assign(name.table, std::move(table));
      break;
    }
    case ItemKind::kSequence: {
      ASSIGN_OR_RETURN(capture::SequenceState state, capture::DecodeSequence(version.payload));
      captured->sequences.insert_or_assign(name.table, std::move(state));
      break;
    }
    case ItemKind::kPreData: captured->pre_data = std::move(version.payload); break;
    case ItemKind::kPostData: captured->post_data = std::move(version.payload); break;
    case ItemKind::kMapping:
      if (name.key == source) captured->mapping = std::move(version.payload);
      break;
    default: break;
  }
  return {};
}

Status ReadLargeObjects(LogReader* log, const Boundary& boundary, Captured* captured) {
  std::set<uint32_t> oids;
  const ItemQuery query{
      .package = "-", .item_prefix = "large-object/", .as_of = AtIndex(boundary.index)};
  RETURN_IF_ERROR(log->List(query, [&](const Version& version) {
    const capture::ItemName name = capture::ParseItem(version.item);
    uint32_t oid = 0;
    if (name.kind == ItemKind::kLargeObject && !version.deleted &&
        std::from_chars(name.key.data(), name.key.data() + name.key.size(), oid).ec ==
            std::errc()) {
      oids.insert(oid);
    }
    return Status::Ok();
  }));
  captured->large_objects.assign(oids.begin(), oids.end());
  return {};
}

}  // namespace

std::vector<std::string> Captured::Schemas() const {
  std::set<std::string> schemas;
  for (const auto& [name, table] : tables) schemas.insert(name.schema);
  for (const auto& [name, state] : sequences) schemas.insert(name.schema);
  return {schemas.begin(), schemas.end()};
}

Result<Captured> ReadCaptured(LogReader* log, const Boundary& boundary) {
  Captured captured;
  // Each form by itself: package "-" also holds all rows that belong nowhere.
  for (const char* prefix : {"table/", "sequence/", "schema/", "mapping/"}) {
    const ItemQuery query{.package = "-",
                          .item_prefix = prefix,
                          .as_of = AtIndex(boundary.index),
                          .with_payload = true};
    RETURN_IF_ERROR(log->List(query, [&](Version version) {
      if (version.deleted) return Status::Ok();
      const std::string which = "record " + std::to_string(version.index) + ", " + version.item;
      return Take(std::move(version), boundary.source, &captured).Prepend(which);
    }));
  }
  RETURN_IF_ERROR(ReadLargeObjects(log, boundary, &captured));
  return captured;
}

}  // namespace kembar::restore
