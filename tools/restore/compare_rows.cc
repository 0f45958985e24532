// compare_rows.cc — see compare_rows.h.
#include "tools/restore/compare_rows.h"

#include <algorithm>
#include <span>
#include <utility>

namespace kembar::restore {
namespace {

void Add(RowFinding finding, PackageFinding* package) {
  ++package->rows_total;
  if (package->rows.size() < kRowsListed) package->rows.push_back(std::move(finding));
}

void Sort(PackageFinding* package) {
  std::sort(package->rows.begin(), package->rows.end(),
            [](const RowFinding& a, const RowFinding& b) {
              return std::tie(a.table, a.key) < std::tie(b.table, b.key);
            });
}

}  // namespace

uint32_t RowLedger::PackageNumber(const std::string& package) {
  const auto [at, added] = numbers_.emplace(package, static_cast<uint32_t>(packages_.size()));
  if (added) packages_.push_back({.name = package});
  return at->second;
}

void RowLedger::AddLogged(const std::string& package, const std::string& item,
                          const Digest& sha256) {
  const uint32_t number = PackageNumber(package);
  ++packages_[number].logged;
  rows_.insert_or_assign(item, Entry{.sha256 = sha256, .package = number});
}

RowLedger::Sighting RowLedger::See(const std::string& item, const Digest& sha256) {
  const auto at = rows_.find(item);
  if (at == rows_.end()) return {};
  at->second.seen = true;
  return {at->second.sha256 == sha256 ? Seen::kIdentical : Seen::kDiffers,
          packages_[at->second.package].name};
}

std::optional<std::string> RowLedger::PackageOf(const std::string& item) const {
  const auto at = rows_.find(item);
  if (at == rows_.end()) return std::nullopt;
  return packages_[at->second.package].name;
}

void RowLedger::AddDiffering(const std::string& package, RowFinding finding) {
  Add(std::move(finding), &packages_[PackageNumber(package)].differing);
}

void RowLedger::AddExtra(const std::string& package, RowFinding finding) {
  Add(std::move(finding), &packages_[PackageNumber(package)].extra);
}

void RowLedger::Finish(std::map<capture::TableName, TableFinding>* tables, CompareReport* report) {
  for (const auto& [item, entry] : rows_) {
    if (entry.seen) continue;
    PackageState& package = packages_[entry.package];
    if (!Wanted(package.name)) continue;
    const capture::ItemName name = capture::ParseItem(item);
    ++package.missing;
    ++(*tables)[name.table].missing;
    Add({RowState::kMissing, name.table, name.key, {}}, &package.differing);
  }
  std::sort(packages_.begin(), packages_.end(),
            [](const PackageState& a, const PackageState& b) { return a.name < b.name; });
  for (PackageState& package : packages_) {
    if (!Wanted(package.name)) continue;
    package.differing.package = package.extra.package = package.name;
    Sort(&package.differing);
    Sort(&package.extra);
    const bool differs = package.differing.rows_total > 0;
    const bool extra = package.extra.rows_total > 0;
    if (!differs && !extra && package.name != "-") ++report->identical;
    // Reference rows are no package: what is missing of them is told row by row.
    const bool gone = package.logged > 0 && package.missing == package.logged;
    if (differs) {
      (gone && package.name != "-" ? report->missing : report->differing)
          .push_back(std::move(package.differing));
    }
    if (extra) report->extra.push_back(std::move(package.extra));
  }
}

std::string ExtraPlacer::Place(const capture::TableShape& table, const std::string& item,
                               const capture::Row& row, const Captured& captured) {
  index_.Learn(table);
  if (const capture::MemberTable* member = mapping_->FindMember(table.root)) {
    const capture::Value* value = row.Find(member->column);
    if (value != nullptr && *value) LearnParent(*member, **value, captured);
  }
  std::string package = index_.Place(table, item, row).package;
  index_.Set(item, package);
  return package;
}

void ExtraPlacer::LearnParent(const capture::MemberTable& member, std::string_view value,
                              const Captured& captured) {
  for (const auto& [name, shape] : captured.tables) {
    if (name != member.parent && shape.root != member.parent) continue;
    const std::string item = capture::RowItem(name, std::span(&value, 1));
    index_.Learn(shape);
    if (const std::optional<std::string> package = ledger_->PackageOf(item)) {
      index_.Set(item, *package);
    }
  }
}

}  // namespace kembar::restore
