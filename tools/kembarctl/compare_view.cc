// compare_view.cc — see compare_view.h.
#include "tools/kembarctl/compare_view.h"

#include <algorithm>
#include <utility>

#include "tools/kembarctl/format.h"
#include "tools/kembarctl/restore_common.h"
#include "tools/restore/decimal.h"

namespace kembar::ctl {
namespace {

using restore::PackageFinding;
using restore::RowFinding;
using restore::RowState;
using Align = Table::Align;

// Kinds of differences named for one package in a table for people; JSON has all rows.
constexpr size_t kGroupsShown = 6;

std::string StateText(RowState state) {
  switch (state) {
    case RowState::kDiffers: return "differs";
    case RowState::kMissing: return "missing";
    case RowState::kExtra: return "extra";
  }
  return "?";
}

Json RowsJson(const PackageFinding& package) {
  Json rows = Json::array();
  for (const RowFinding& row : package.rows) {
    rows.push_back({{"table", row.table.Display()},
                    {"key", row.key},
                    {"state", StateText(row.state)},
                    {"columns", row.columns}});
  }
  return rows;
}

Json FindingJson(const PackageFinding& package) {
  return {{"package", package.package},
          {"title", package.title},
          {"value", package.value},
          {"rows", RowsJson(package)},
          {"rows_total", package.rows_total}};
}

Json ShareJson(const MissingValue::Share& share) {
  return {{"count", share.count}, {"value", share.value}};
}

Json TableJson(const restore::TableFinding& table) {
  return {{"name", table.name.Display()},
          {"rows", table.rows},
          {"identical", table.identical},
          {"differing", table.differing},
          {"missing", table.missing},
          {"extra", table.extra},
          {"absent", table.absent},
          {"columns_missing", table.columns_missing},
          {"columns_extra", table.columns_extra}};
}

void Add(const PackageFinding& package, MissingValue::Share* share) {
  ++share->count;
  if (restore::IsDecimal(package.value)) {
    share->value = restore::AddDecimals(share->value, package.value);
  }
}

// Rows of one table that differ in the same way are told together.
std::string WhatOf(const PackageFinding& package) {
  struct Group {
    std::string first_key;
    uint64_t rows = 0;
  };
  std::vector<std::pair<std::string, Group>> groups;
  for (const RowFinding& row : package.rows) {
    std::string how = row.state == RowState::kDiffers ? "" : " " + StateText(row.state);
    for (size_t c = 0; c < row.columns.size(); ++c) how += (c == 0 ? ": " : ", ") + row.columns[c];
    const std::string name = row.table.table + "\n" + how;
    auto at = std::find_if(groups.begin(), groups.end(),
                           [&](const auto& group) { return group.first == name; });
    if (at == groups.end()) at = groups.insert(groups.end(), {name, {row.key, 0}});
    ++at->second.rows;
  }
  std::string text;
  for (size_t i = 0; i < std::min(groups.size(), kGroupsShown); ++i) {
    const auto& [name, group] = groups[i];
    const size_t end = name.find('\n');
    text += (i > 0 ? "; " : "") + name.substr(0, end) + " " +
            (group.rows == 1 ? group.first_key : FormatCount(group.rows) + " rows") +
            name.substr(end + 1);
  }
  if (groups.size() > kGroupsShown) text += "; and more";
  return Printable(text);
}

void AddRows(const std::vector<PackageFinding>& packages, const std::string& state, Table* table) {
  for (const PackageFinding& package : packages) {
    const std::string what =
        state == "MISSING" ? FormatCount(package.rows_total) + " rows" : WhatOf(package);
    table->AddRow({Printable(package.package), state, Printable(package.title),
                   FormatRupiah(package.value), what});
  }
}

std::string SchemaText(const restore::CompareReport& report) {
  std::string text;
  const auto list = [](const std::vector<std::string>& columns) {
    std::string names;
    for (const std::string& column : columns) names += " " + Printable(column);
    return names;
  };
  for (const restore::TableFinding& table : report.tables) {
    const std::string name = "table " + Printable(table.name.Display());
    if (table.absent) text += name + " is not in the database\n";
    if (!table.columns_missing.empty()) {
      text += name + " lacks columns" + list(table.columns_missing) + "\n";
    }
    if (!table.columns_extra.empty()) {
      text += name + " has columns that the log does not know:" + list(table.columns_extra) + "\n";
    }
  }
  for (const auto& sequence : report.sequences_behind) {
    text += "sequence " + Printable(sequence.name.Display()) + " stands at " +
            (sequence.database.empty() ? "nothing, it is not there" : sequence.database) +
            ", in the log at " + sequence.log + "\n";
  }
  return text;
}

std::string ShareText(const std::string& what, const MissingValue::Share& share) {
  return "  " + what + FormatCount(share.count) + " packages, " + FormatRupiah(share.value) + "\n";
}

}  // namespace

MissingValue SplitMissing(const restore::CompareReport& report,
                          const restore::Thresholds& thresholds, const std::string& date) {
  MissingValue missing;
  for (const PackageFinding& package : report.missing) {
    if (restore::IsDecimal(package.value)) {
      missing.total = restore::AddDecimals(missing.total, package.value);
    }
    switch (thresholds.Judge(package.value, package.category, date)) {
      case restore::Procurement::kTenderNeeded: Add(package, &missing.tender_needed); break;
      case restore::Procurement::kDirectPossible: Add(package, &missing.direct_possible); break;
      case restore::Procurement::kUnknown: Add(package, &missing.unknown); break;
    }
  }
  return missing;
}

Json CompareJson(const restore::CompareReport& report, const MissingValue& missing) {
  Json json;
  SetBoundary(report.boundary, &json);
  json["identical"] = report.identical;
  for (const char* key : {"differing", "missing", "extra"}) json[key] = Json::array();
  for (const PackageFinding& package : report.differing) {
    json["differing"].push_back(FindingJson(package));
  }
  for (const PackageFinding& package : report.missing) {
    json["missing"].push_back({{"package", package.package},
                               {"title", package.title},
                               {"value", package.value},
                               {"category", package.category},
                               {"rows", package.rows_total},
                               {"whole", true}});
  }
  for (const PackageFinding& package : report.extra) json["extra"].push_back(FindingJson(package));
  uint64_t compared = 0, identical = 0, differing = 0, gone = 0, extra = 0;
  json["tables"] = Json::array();
  for (const restore::TableFinding& table : report.tables) {
    compared += table.rows;
    identical += table.identical;
    differing += table.differing;
    gone += table.missing;
    extra += table.extra;
    json["tables"].push_back(TableJson(table));
  }
  json["tables_not_in_log"] = Json::array();
  for (const auto& name : report.tables_not_in_log) {
    json["tables_not_in_log"].push_back(name.Display());
  }
  json["sequences_behind"] = Json::array();
  for (const auto& sequence : report.sequences_behind) {
    json["sequences_behind"].push_back({{"name", sequence.name.Display()},
                                        {"log", sequence.log},
                                        {"database", sequence.database}});
  }
  json["rows"] = {{"compared", compared},
                  {"identical", identical},
                  {"differing", differing},
                  {"missing", gone},
                  {"extra", extra}};
  json["missing_value"] = {{"total", missing.total},
                           {"tender_needed", ShareJson(missing.tender_needed)},
                           {"direct_procurement_possible", ShareJson(missing.direct_possible)},
                           {"unknown", ShareJson(missing.unknown)}};
  return json;
}

std::string CompareText(const restore::CompareReport& report, const MissingValue& missing) {
  Table table({{"PACKAGE"}, {"STATE"}, {"TITLE"}, {"VALUE", Align::kRight}, {"WHAT"}});
  AddRows(report.missing, "MISSING", &table);
  AddRows(report.differing, "DIFFERS", &table);
  AddRows(report.extra, "EXTRA", &table);
  std::string text;
  if (!table.empty()) {
    text = table.Render({.width = TerminalWidth(), .color = UseColor()}) + "\n";
  }
  text += SchemaText(report);
  uint64_t rows = 0;
  for (const restore::TableFinding& of_table : report.tables) rows += of_table.rows;
  text += "identical " + FormatCount(report.identical) + ", differing " +
          FormatCount(report.differing.size()) + ", missing " + FormatCount(report.missing.size()) +
          ", extra " + FormatCount(report.extra.size()) + " packages; " + FormatCount(rows) +
          " rows compared, as of " + BoundaryText(report.boundary) + "\n";
  if (!report.missing.empty()) {
    text += "missing value " + FormatRupiah(missing.total) + "\n" +
            ShareText("tender needed                ", missing.tender_needed) +
            ShareText("direct procurement possible  ", missing.direct_possible) +
            ShareText("category or value unknown    ", missing.unknown);
  }
  return text;
}

}  // namespace kembar::ctl
