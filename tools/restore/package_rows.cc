// package_rows.cc — see package_rows.h.
#include "tools/restore/package_rows.h"

#include <utility>

namespace kembar::restore {
namespace {

Result<LoggedRow> ToRow(const Version& put, const Captured& captured) {
  LoggedRow logged;
  logged.item = put.item;
  logged.package = put.package;
  logged.name = capture::ParseItem(put.item);
  logged.sha256 = put.sha256;
  ASSIGN_OR_RETURN(logged.row, capture::DecodeRow(put.payload));
  const auto table = captured.tables.find(logged.name.table);
  if (table == captured.tables.end()) {
    return Status(Code::kCorrupt, "the log does not describe table " + logged.name.table.Display());
  }
  logged.key.columns = table->second.key;
  ASSIGN_OR_RETURN(logged.key.values, KeyOf(logged.row, logged.key.columns));
  return logged;
}

Status Which(const Status& status, const Version& version) {
  return status.Prepend("record " + std::to_string(version.index) + ", " + version.item);
}

bool IsRow(const Version& version) {
  return capture::ParseItem(version.item).kind == capture::ItemKind::kRow;
}

// All versions of a package's rows, newest first, without payload.
using Versions = std::map<std::string, std::vector<Version>>;

Result<Versions> ReadVersions(LogReader* log, const Boundary& boundary,
                              const std::string& package) {
  Versions versions;
  const ItemQuery query{.package = package,
                        .item_prefix = "row/",
                        .as_of = AtIndex(boundary.index),
                        .versions_max = kAllVersions};
  RETURN_IF_ERROR(log->List(query, [&](Version version) {
    if (IsRow(version)) versions[version.item].push_back(std::move(version));
    return Status::Ok();
  }));
  return versions;
}

void AddOlder(const std::vector<Version>& versions, LoggedRow* row) {
  for (const Version& version : versions) {
    if (!version.deleted && version.sha256 != row->sha256) row->older.insert(version.sha256);
  }
}

}  // namespace

Result<std::vector<LoggedRow>> ReadPackageRows(LogReader* log, const Boundary& boundary,
                                               const Captured& captured,
                                               const std::string& package) {
  ASSIGN_OR_RETURN(const Versions versions, ReadVersions(log, boundary, package));
  if (versions.empty()) {
    return Status(Code::kNotFound, "package " + package + " has no rows in the log at that moment",
                  "see kembarctl package list");
  }
  std::vector<LoggedRow> rows;
  const ItemQuery query{.package = package,
                        .item_prefix = "row/",
                        .as_of = AtIndex(boundary.index),
                        .with_payload = true};
  RETURN_IF_ERROR(log->List(query, [&](const Version& version) -> Status {
    if (version.deleted || !versions.contains(version.item)) return {};
    Result<LoggedRow> row = ToRow(version, captured);
    if (!row.ok()) return Which(row.status(), version);
    AddOlder(versions.at(version.item), &*row);
    rows.push_back(*std::move(row));
    return {};
  }));
  for (const auto& [item, of_item] : versions) {
    if (!of_item.front().deleted) continue;
    // The key stands in the last payload that there was.
    for (const Version& version : of_item) {
      if (version.deleted) continue;
      ASSIGN_OR_RETURN(const std::optional<Version> put,
                       log->Get(package, item, AtIndex(version.index)));
      if (!put) break;
      Result<LoggedRow> row = ToRow(*put, captured);
      // A table that is gone by now has no rows to look for.
      if (!row.ok() && row.status().code() == Code::kCorrupt &&
          !captured.tables.contains(capture::ParseItem(item).table)) {
        break;
      }
      if (!row.ok()) return Which(row.status(), version);
      row->deleted = true;
      AddOlder(of_item, &*row);
      rows.push_back(*std::move(row));
      break;
    }
  }
  return rows;
}

Result<std::optional<LoggedRow>> ReadRow(LogReader* log, const Boundary& boundary,
                                         const Captured& captured, const std::string& item) {
  ASSIGN_OR_RETURN(std::optional<Version> found, log->Get("-", item, AtIndex(boundary.index)));
  if (!found) {
    const ItemQuery query{
        .item_prefix = item, .as_of = AtIndex(boundary.index), .with_payload = true};
    RETURN_IF_ERROR(log->List(query, [&](Version version) {
      if (version.item == item && !version.deleted) found = std::move(version);
      return Status::Ok();
    }));
  }
  if (!found) return std::optional<LoggedRow>();
  Result<LoggedRow> row = ToRow(*found, captured);
  if (!row.ok()) return Which(row.status(), *found);
  return std::optional<LoggedRow>(*std::move(row));
}

Result<std::map<std::string, Elsewhere>> ReadElsewhere(LogReader* log, const Boundary& boundary,
                                                       const std::set<std::string>& items) {
  std::map<std::string, Elsewhere> known;
  if (items.empty()) return known;
  const ItemQuery query{
      .item_prefix = "row/", .as_of = AtIndex(boundary.index), .versions_max = kAllVersions};
  // Newest first within a package: the first version of each says whether the item lives there.
  std::string last_package, last_item;
  RETURN_IF_ERROR(log->List(query, [&](const Version& version) {
    const bool newest = version.package != last_package || version.item != last_item;
    if (newest) {
      last_package = version.package;
      last_item = version.item;
    }
    if (!items.contains(version.item)) return Status::Ok();
    Elsewhere& known_of = known[version.item];
    if (newest && !version.deleted) known_of.alive = true;
    if (!version.deleted) known_of.versions.insert(version.sha256);
    return Status::Ok();
  }));
  return known;
}

}  // namespace kembar::restore
