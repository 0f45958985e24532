// compare.cc — see compare.h.
#include "tools/restore/compare.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "tools/postgres/catalog.h"
#include "tools/restore/compare_rows.h"
#include "tools/restore/live_tables.h"
#include "tools/restore/sql.h"
#include "tools/restore/transaction.h"

namespace kembar::restore {
namespace {

bool Contains(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

class Comparer {
 public:
  Comparer(postgres::Connection* connection, LogReader* log, const Boundary& boundary,
           const Captured& captured, const capture::Mapping& mapping,
           const std::vector<std::string>& packages, const OnProgress& progress)
      : connection_(connection),
        log_(log),
        boundary_(boundary),
        captured_(captured),
        mapping_(mapping),
        packages_(packages),
        ledger_(packages),
        placer_(&mapping, &ledger_),
        progress_(progress) {}

  Result<CompareReport> Run() {
    report_.boundary = boundary_;
    RETURN_IF_ERROR(ReadLog());
    RETURN_IF_ERROR(ReadCatalog());
    for (const capture::TableShape* table : InOrder()) {
      RETURN_IF_ERROR(CompareTable(*table).Prepend("table " + table->name.Display()));
    }
    // A misspelt package must not pass for an identical one.
    for (const std::string& package : packages_) {
      if (ledger_.Knows(package)) continue;
      return Status(Code::kNotFound,
                    "package " + package + " is neither in the log nor in " + connection_->where());
    }
    ledger_.Finish(&tables_, &report_);
    for (auto& [name, table] : tables_) {
      table.name = name;
      report_.tables.push_back(std::move(table));
    }
    return std::move(report_);
  }

 private:
  Status ReadLog() {
    const ItemQuery query{.item_prefix = "row/", .as_of = AtIndex(boundary_.index)};
    return log_->List(query, [&](const Version& version) {
      const capture::ItemName name = capture::ParseItem(version.item);
      if (version.deleted || name.kind != capture::ItemKind::kRow || IsOwn(name.table)) {
        return Status::Ok();
      }
      ledger_.AddLogged(version.package, version.item, version.sha256);
      return Status::Ok();
    });
  }

  Status ReadCatalog() {
    ASSIGN_OR_RETURN(const auto tables, postgres::ListTables(connection_));
    const std::vector<std::string> schemas = captured_.Schemas();
    for (const postgres::TableInfo& table : tables) {
      if (IsOwn(table.shape.name)) continue;
      there_.emplace(table.shape.name, table.shape);
      // Its partitions are tables of their own.
      if (!table.has_rows) {
        partitioned_.insert(table.shape.name);
        continue;
      }
      if (!captured_.tables.contains(table.shape.name) &&
          Contains(schemas, table.shape.name.schema)) {
        report_.tables_not_in_log.push_back(table.shape.name);
      }
    }
    return {};
  }

  // Parents before children, so that extra rows find theirs.
  std::vector<const capture::TableShape*> InOrder() const {
    std::vector<const capture::TableShape*> tables;
    for (const auto& [name, table] : captured_.tables) {
      if (!IsOwn(name)) tables.push_back(&table);
    }
    std::stable_sort(tables.begin(), tables.end(), [&](const auto* a, const auto* b) {
      return mapping_.Rank(a->root) < mapping_.Rank(b->root);
    });
    return tables;
  }

  Status CompareTable(const capture::TableShape& table) {
    TableFinding& finding = tables_[table.name];
    const auto there = there_.find(table.name);
    if (there == there_.end()) {
      finding.absent = true;
      return {};
    }
    const std::vector<std::string> logged = PayloadColumns(table);
    const std::vector<std::string> found = PayloadColumns(there->second);
    std::vector<std::string> columns;
    for (const std::string& column : logged) {
      (Contains(found, column) ? columns : finding.columns_missing).push_back(column);
    }
    for (const std::string& column : found) {
      if (!Contains(logged, column)) finding.columns_extra.push_back(column);
    }
    for (const std::string& column : table.key) {
      if (!Contains(columns, column)) finding.absent = true;
    }
    if (finding.absent || partitioned_.contains(table.name)) return {};
    return StreamRows(table, columns, &finding);
  }

  Status StreamRows(const capture::TableShape& table, const std::vector<std::string>& columns,
                    TableFinding* finding) {
    std::vector<size_t> key;
    for (const std::string& column : table.key) {
      key.push_back(
          static_cast<size_t>(std::find(columns.begin(), columns.end(), column) - columns.begin()));
    }
    std::map<Digest, uint64_t> equal_rows;
    std::vector<std::string_view> key_values;
    const std::string list =
        columns.empty() ? "" : " (" + QuoteColumns(*connection_, columns) + ")";
    return connection_->CopyOut(
        "COPY " + QuoteTable(*connection_, table.name) + list + " TO STDOUT",
        [&](std::span<const capture::ValueView> values) -> Status {
          const Digest sha256 = Sha256({capture::EncodeRow(columns, values)});
          key_values.clear();
          for (const size_t i : key) key_values.push_back(values[i].value_or(""));
          const std::string item =
              key.empty() ? capture::KeylessRowItem(table.name, sha256, ++equal_rows[sha256])
                          : capture::RowItem(table.name, key_values);
          ++finding->rows;
          if (progress_) progress_(++done_, ledger_.size());
          return CompareRow(table, columns, values, item, sha256, finding);
        });
  }

  Status CompareRow(const capture::TableShape& table, const std::vector<std::string>& columns,
                    std::span<const capture::ValueView> values, const std::string& item,
                    const Digest& sha256, TableFinding* finding) {
    const RowLedger::Sighting sighting = ledger_.See(item, sha256);
    if (sighting.seen == RowLedger::Seen::kIdentical) {
      ++finding->identical;
      return {};
    }
    capture::Row row{columns, {}};
    for (const capture::ValueView& value : values) row.values.emplace_back(value);
    RowFinding told{RowState::kExtra, table.name, capture::ParseItem(item).key, {}};
    if (sighting.seen == RowLedger::Seen::kExtra) {
      const std::string package = placer_.Place(table, item, row, captured_);
      if (!ledger_.Wanted(package)) return {};
      ++finding->extra;
      ledger_.AddExtra(package, std::move(told));
      return {};
    }
    if (!ledger_.Wanted(sighting.package)) return {};
    ++finding->differing;
    told.state = RowState::kDiffers;
    ASSIGN_OR_RETURN(const std::optional<Version> version,
                     log_->Get(sighting.package, item, AtIndex(boundary_.index)));
    if (!version) return Status(Code::kInternal, "the log does not give item " + item + " again");
    ASSIGN_OR_RETURN(const capture::Row logged, capture::DecodeRow(version->payload));
    told.columns = DifferingColumns(logged, row);
    ledger_.AddDiffering(sighting.package, std::move(told));
    return {};
  }

  postgres::Connection* const connection_;
  LogReader* const log_;
  const Boundary& boundary_;
  const Captured& captured_;
  const capture::Mapping& mapping_;
  const std::vector<std::string>& packages_;
  RowLedger ledger_;
  ExtraPlacer placer_;
  const OnProgress& progress_;
  std::map<capture::TableName, capture::TableShape> there_;
  std::set<capture::TableName> partitioned_;
  std::map<capture::TableName, TableFinding> tables_;
  CompareReport report_;
  uint64_t done_ = 0;
};

// Titles and values as the log knows them.
Status AddTitles(LogReader* log, CompareReport* report) {
  std::map<std::string, std::vector<PackageFinding*>> wanted;
  for (auto* findings : {&report->differing, &report->missing, &report->extra}) {
    for (PackageFinding& finding : *findings) wanted[finding.package].push_back(&finding);
  }
  if (wanted.empty()) return {};
  return log->Packages(AtIndex(report->boundary.index), [&](const PackageFacts& facts) {
    const auto at = wanted.find(facts.package);
    if (at == wanted.end()) return Status::Ok();
    for (PackageFinding* finding : at->second) {
      finding->title = facts.title;
      finding->value = facts.value;
    }
    return Status::Ok();
  });
}

// A missing package's category stands in its own row.
Status AddCategories(LogReader* log, const capture::Mapping& mapping, CompareReport* report) {
  for (PackageFinding& finding : report->missing) {
    for (const capture::PackageTable& table : mapping.packages()) {
      if (table.category.empty() || !finding.package.starts_with(table.prefix)) continue;
      const std::string item =
          capture::RowPrefix(table.table) + finding.package.substr(table.prefix.size());
      ASSIGN_OR_RETURN(const std::optional<Version> version,
                       log->Get(finding.package, item, AtIndex(report->boundary.index)));
      if (!version) continue;
      ASSIGN_OR_RETURN(const capture::Row row, capture::DecodeRow(version->payload));
      const capture::Value* category = row.Find(table.category);
      if (category != nullptr && *category) finding.category = **category;
    }
  }
  return {};
}

}  // namespace

bool CompareReport::Identical() const {
  const bool tables_equal =
      std::all_of(tables.begin(), tables.end(), [](const auto& table) { return table.Equal(); });
  return differing.empty() && missing.empty() && extra.empty() && tables_equal &&
         sequences_behind.empty();
}

Result<CompareReport> CompareDatabase(postgres::Connection* connection, LogReader* log,
                                      const Boundary& boundary, const Captured& captured,
                                      const std::vector<std::string>& packages,
                                      const OnProgress& progress) {
  ASSIGN_OR_RETURN(const capture::Mapping mapping,
                   capture::Mapping::Parse(captured.mapping, "the log's package mapping"));
  ASSIGN_OR_RETURN(
      CompareReport report,
      Comparer(connection, log, boundary, captured, mapping, packages, progress).Run());
  RETURN_IF_ERROR(AddTitles(log, &report));
  RETURN_IF_ERROR(AddCategories(log, mapping, &report));
  if (packages.empty()) {
    ASSIGN_OR_RETURN(report.sequences_behind, SequencesBehind(connection, captured.sequences));
  }
  return report;
}

Result<CompareReport> Compare(LogReader* log, const CompareOptions& options,
                              const OnProgress& progress) {
  ASSIGN_OR_RETURN(const Boundary boundary, FindBoundary(log, options.as_of, options.source));
  ASSIGN_OR_RETURN(const Captured captured, ReadCaptured(log, boundary));
  ASSIGN_OR_RETURN(const auto connection, postgres::Connection::Open({.dsn = options.dsn}));
  Transaction transaction(connection.get());
  RETURN_IF_ERROR(transaction.Begin("ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  return CompareDatabase(connection.get(), log, boundary, captured, options.packages, progress);
}

}  // namespace kembar::restore
