// boundary.cc — see boundary.h.
#include "tools/restore/boundary.h"

#include <map>
#include <optional>
#include <utility>

namespace kembar::restore {
namespace {

Result<Boundary> ToBoundary(const Version& version) {
  Result<capture::Marker> marker = capture::DecodeMarker(version.payload);
  if (!marker.ok()) {
    return marker.status().Prepend("record " + std::to_string(version.index) + ", " + version.item);
  }
  return Boundary{.source = capture::ParseItem(version.item).key,
                  .index = version.index,
                  .marker = *marker,
                  .time_us = marker->committed_us != 0 ? marker->committed_us : version.time_us};
}

ItemQuery Markers(const std::string& prefix) {
  return {.package = "-", .item_prefix = prefix, .with_payload = true};
}

}  // namespace

Result<Boundary> FindBoundary(LogReader* log, const v1::AsOf& as_of, const std::string& source) {
  ItemQuery query = Markers("transaction/");
  query.as_of = as_of;
  std::map<std::string, Version> found;
  RETURN_IF_ERROR(log->List(query, [&](Version version) {
    const capture::ItemName name = capture::ParseItem(version.item);
    if (name.kind != capture::ItemKind::kTransaction || version.deleted) return Status::Ok();
    if (source.empty() || name.key == source) found.emplace(name.key, std::move(version));
    return Status::Ok();
  }));
  if (found.empty()) {
    return Status(Code::kNotFound,
                  "the log holds no captured database" +
                      (source.empty() ? std::string() : " of source " + source) + " at that moment",
                  "kembar-agent must have captured it, and --as-of must not be earlier");
  }
  if (found.size() > 1) {
    std::string names;
    for (const auto& [name, version] : found) names += (names.empty() ? "" : ", ") + name;
    return Status(Code::kInvalid, "the log holds several captured databases: " + names,
                  "choose one with --source");
  }
  return ToBoundary(found.begin()->second);
}

Result<Boundary> FindBoundaryAtLsn(LogReader* log, const std::string& source, capture::Lsn lsn) {
  // Versions come newest first; their number asked for grows, so that a near one is found quickly.
  for (uint32_t versions = 64;; versions *= 16) {
    ItemQuery query = Markers(capture::TransactionItem(source, true));
    query.versions_max = versions;
    std::optional<Boundary> found;
    uint64_t seen = 0;
    RETURN_IF_ERROR(log->List(query, [&](const Version& version) -> Status {
      if (version.item != capture::TransactionItem(source, true) || version.deleted) return {};
      ++seen;
      if (found) return {};
      ASSIGN_OR_RETURN(Boundary boundary, ToBoundary(version));
      if (boundary.marker.lsn <= lsn) found = std::move(boundary);
      return {};
    }));
    if (found) return *found;
    if (seen < versions) break;
    if (versions > (1u << 24)) break;
  }
  return Status(Code::kNotFound, "the log holds no transaction of source " + source +
                                     " at or before " + capture::FormatLsn(lsn));
}

}  // namespace kembar::restore
