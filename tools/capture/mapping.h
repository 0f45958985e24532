// mapping.h — which package a captured row belongs to (docs/capture.md, "Packages").
//
// Mapping is the configuration: pure and constant. PackageIndex remembers the package of every row
// that has one, because a delete brings only the key, a child only its parent's key, and a row that
// changes its package must be ended in the old one. Memory: some 100 bytes a mapped row.
//
// Thread-safety: a const Mapping may be read from many threads; a PackageIndex belongs to one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "replicator/base/status.h"
#include "tools/capture/facts.h"
#include "tools/capture/path.h"
#include "tools/capture/row.h"

namespace kembar::capture {

struct PackageTable {
  TableName table;
  std::string prefix;    // "paket/": package = prefix + key as in the item name
  std::string title;     // column, may be empty
  std::string value;     // column, may be empty; a decimal
  std::string category;  // column, may be empty
  std::string unit;      // column, may be empty; see UnitTable
};
struct MemberTable {
  TableName table;
  std::string column;
  TableName parent;
  std::string unit;  // column, may be empty; see UnitTable
};
// Work units by name: what a `unit` column holds is the key of a row here, whose `name` is told
// instead. Without such a table, or such a row, the column's own value is.
struct UnitTable {
  TableName table;
  std::string name;  // column
};

// Documents by their path (docs/documents.md, "Mapping").
struct DocumentRule {
  PathPattern path;
  std::string package;  // "{key}" in it stands for what the pattern's has matched
};
// A column whose rows refer to documents.
struct DocumentColumn {
  TableName table;
  std::string column;
  std::string base;  // what the column's paths begin with and documents' paths do not
};
// That a row refers to a document: to be written next to the row, in its package.
struct Reference {
  std::string item;  // "reference/PATH"
  std::string payload;
  bool operator==(const Reference&) const = default;
};

class Mapping {
 public:
  // kInvalid names `name`, line and key: unknown keys, a table twice, a parent that is neither, a
  // cycle.
  static Result<Mapping> Parse(std::string_view toml, const std::string& name);

  const PackageTable* FindPackage(const TableName& table) const;
  const MemberTable* FindMember(const TableName& table) const;
  const std::vector<PackageTable>& packages() const { return packages_; }
  // Parents before children, packages first, then all others in the given order.
  std::vector<TableName> InOrder(std::vector<TableName> tables) const;
  const std::optional<UnitTable>& unit_table() const { return unit_table_; }
  // Whether rows of this table (of a partition: its root) say something of their package.
  bool States(const TableName& root) const;
  // The same as a number, for partitions, of which only TableShape::root is mapped: 0 for packages,
  // then 1, 2, … for members by the length of their chain, kUnmapped for all others.
  static constexpr size_t kUnmapped = SIZE_MAX;
  size_t Rank(const TableName& root) const;
  // The order in which a first copy reads tables: what others are found by comes first.
  size_t CopyRank(const TableName& root) const;
  bool IsUnitTable(const TableName& root) const {
    return unit_table_ && unit_table_->table == root;
  }
  // Whether rows of this table refer to documents.
  bool NamesDocuments(const TableShape& table) const;
  const std::vector<DocumentColumn>& document_columns() const { return document_columns_; }
  // The package of a document by the first pattern that matches its path (bytes, relative); nothing
  // when none does.
  std::optional<std::string> PackageOfDocument(std::string_view path) const;
  // What this row, whose item is called `item`, refers to; in order, each once. Values that are no
  // path below the uploads directory refer to nothing.
  std::vector<Reference> References(const TableShape& table, const std::string& item,
                                    const Row& row) const;
  // The text that was parsed.
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<PackageTable> packages_;
  std::vector<MemberTable> members_;
  std::vector<DocumentRule> documents_;
  std::vector<DocumentColumn> document_columns_;
  std::optional<UnitTable> unit_table_;
};

// What one row says of its package.
struct Placement {
  std::string package;  // "-": none
  std::string title;    // of the package's own row, at most 1,024 bytes, cut at a character
  std::string unit;     // the work unit's name, likewise
  std::string value;    // exact decimal as the log takes it; empty when the column holds none
};

class PackageIndex {
 public:
  explicit PackageIndex(const Mapping* mapping) : mapping_(mapping) {}

  // Tells of a partition, under whose name its rows are remembered, while children name its root.
  // Call it for every table before the index is filled from a log; Place does so by itself.
  void Learn(const TableShape& table) const;

  // Remembers the name of a work unit, which a row of the mapping's unit table says.
  void NoteUnit(const std::string& item, const Row& row);

  // Where this row belongs now. `item` is its name. Does not remember it: see Set.
  Placement Place(const TableShape& table, const std::string& item, const Row& row) const;
  // The package the item was last in; "-" when it was in none.
  std::string Of(const std::string& item) const;
  void Set(const std::string& item, const std::string& package);  // "-" forgets
  // All remembered items of a table (for truncate), in order.
  std::vector<std::string> ItemsOf(const TableName& table) const;
  size_t size() const { return packages_.size(); }

 private:
  std::string OfParent(const MemberTable& member, const std::string& value) const;
  std::string UnitOf(const std::string* value) const;

  const Mapping* const mapping_;
  mutable std::map<TableName, std::set<TableName>> partitions_;  // root -> those with other names
  std::unordered_map<std::string, std::string> packages_;        // item -> package
  std::unordered_map<std::string, std::string> units_;           // item -> name
};

}  // namespace kembar::capture
