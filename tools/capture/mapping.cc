// mapping.cc — see mapping.h. The one file of this directory that knows TOML.
#include "tools/capture/mapping.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include <toml++/toml.h>

#include "replicator/base/config_text.h"
#include "replicator/base/decimal.h"
#include "tools/capture/json_text.h"
#include "tools/capture/names.h"
#include "tools/capture/utf8.h"

namespace kembar::capture {
namespace {

constexpr char kNone[] = "-";           // the package of what belongs to none
constexpr size_t kTextBytesMax = 1024;  // of a package's name, title and value in a log
constexpr size_t kPrefixBytesMax = 256;
constexpr std::string_view kKey = "{key}";
constexpr size_t kTextTomlBytesMax = size_t{1} << 20;

using Words = std::vector<std::string_view>;

// A name without blanks or line ends in the way: what a log takes as (part of) a package's name.
bool IsNameText(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0 || IsControlCharacter(text.substr(0, length))) return false;
    text.remove_prefix(length);
  }
  return true;
}

// Takes texts out of one [[package]] or [[member]] and remembers the first error.
class Entry {
 public:
  Entry(const std::string& file, std::string_view section, const toml::table& table)
      : file_(file), section_(section), table_(table) {}

  std::string Text(std::string_view key, bool required) {
    const toml::node* node = table_.get(key);
    if (node == nullptr) {
      if (required) Fail(key, "is missing", "write " + std::string(key) + " = \"…\"");
      return {};
    }
    const auto value = node->value_exact<std::string>();
    if (!value) {
      std::ostringstream type;
      type << node->type();
      Fail(key, "must be a string in quotes, not " + type.str());
      return {};
    }
    if (required && value->empty()) Fail(key, "is empty");
    if (!IsNameText(*value)) Fail(key, "has a control character in it");
    return *value;
  }

  TableName Table(std::string_view key) {
    const std::string text = Text(key, true);
    if (text.empty()) return {};
    const Result<TableName> name = ParseTableName(text);
    if (name.ok()) return *name;
    Fail(key, name.status().message(), name.status().hint());
    return {};
  }

  void Fail(std::string_view key, const std::string& what, std::string hint = {}) {
    if (!error_.ok()) return;
    const toml::node* node = table_.get(key);
    const auto line = node == nullptr ? table_.source().begin.line : node->source().begin.line;
    error_ = Status(Code::kInvalid,
                    file_ + ":" + std::to_string(line) + ": " + std::string(section_) + "." +
                        std::string(key) + ": " + what,
                    std::move(hint));
  }

  // The first error. A misspelt key comes first: it is why another one is missing.
  Status Finish(const Words& known) const {
    for (auto&& [key, node] : table_) {
      const std::string_view name = key.str();
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      return {Code::kInvalid,
              file_ + ":" + std::to_string(key.source().begin.line) + ": " + std::string(section_) +
                  "." + std::string(name) + ": unknown key",
              DidYouMean(name, known)};
    }
    return error_;
  }

 private:
  const std::string& file_;
  const std::string_view section_;
  const toml::table& table_;
  Status error_;
};

// Parses the sections into the lists; checks what concerns more than one entry.
class Reader {
 public:
  Reader(const std::string& file, std::vector<PackageTable>* packages,
         std::vector<MemberTable>* members, std::vector<DocumentRule>* documents,
         std::vector<DocumentColumn>* document_columns, std::optional<UnitTable>* unit)
      : file_(file),
        packages_(packages),
        members_(members),
        documents_(documents),
        document_columns_(document_columns),
        unit_(unit) {}

  Status Read(const toml::table& root) {
    const Words sections = {"package", "member", "unit", "document", "document_column"};
    for (auto&& [key, node] : root) {
      const std::string_view name = key.str();
      const std::string where =
          file_ + ":" + std::to_string(key.source().begin.line) + ": " + std::string(name);
      if (std::find(sections.begin(), sections.end(), name) == sections.end()) {
        return {Code::kInvalid, where + ": unknown section", DidYouMean(name, sections)};
      }
      if (!IsListOfTables(node)) {
        return {Code::kInvalid, where + ": must be a list of sections",
                "write [[" + std::string(name) + "]]"};
      }
    }
    if (const toml::node* list = root.get("package")) {
      for (auto&& node : *list->as_array()) RETURN_IF_ERROR(ReadPackage(*node.as_table()));
    }
    const toml::array none;
    const toml::node* list = root.get("member");
    const toml::array& members = list == nullptr ? none : *list->as_array();
    for (auto&& node : members) RETURN_IF_ERROR(ReadMember(*node.as_table()));
    for (size_t i = 0; i < members_->size(); ++i) {
      RETURN_IF_ERROR(CheckParent(i, *members[i].as_table()));
    }
    if (const toml::node* units = root.get("unit")) {
      for (auto&& node : *units->as_array()) RETURN_IF_ERROR(ReadUnit(*node.as_table()));
    }
    if (const toml::node* rules = root.get("document")) {
      for (auto&& node : *rules->as_array()) RETURN_IF_ERROR(ReadDocument(*node.as_table()));
    }
    if (const toml::node* columns = root.get("document_column")) {
      for (auto&& node : *columns->as_array()) RETURN_IF_ERROR(ReadColumn(*node.as_table()));
    }
    return Status::Ok();
  }

 private:
  static bool IsListOfTables(const toml::node& node) {
    const toml::array* list = node.as_array();
    return list != nullptr && std::all_of(list->begin(), list->end(),
                                          [](const toml::node& entry) { return entry.is_table(); });
  }

  void CheckFirst(const TableName& table, Entry* entry) {
    if (table.table.empty() || tables_.insert(table).second) return;
    entry->Fail("table", table.Display() + " stands twice");
  }

  Status ReadPackage(const toml::table& table) {
    Entry entry(file_, "package", table);
    PackageTable package;
    package.table = entry.Table("table");
    package.prefix = entry.Text("prefix", true);
    package.title = entry.Text("title", false);
    package.value = entry.Text("value", false);
    package.category = entry.Text("category", false);
    package.unit = entry.Text("unit", false);
    CheckFirst(package.table, &entry);
    if (package.prefix.size() > kPrefixBytesMax) {
      entry.Fail("prefix", "is longer than " + std::to_string(kPrefixBytesMax) + " bytes");
    }
    for (const PackageTable& other : *packages_) {
      // Two tables with one prefix would put rows with the same key into one package.
      if (other.prefix == package.prefix) {
        entry.Fail("prefix", "\"" + package.prefix + "\" is that of " + other.table.Display());
      }
    }
    RETURN_IF_ERROR(entry.Finish({"table", "prefix", "title", "value", "category", "unit"}));
    packages_->push_back(std::move(package));
    return Status::Ok();
  }

  Status ReadMember(const toml::table& table) {
    Entry entry(file_, "member", table);
    MemberTable member;
    member.table = entry.Table("table");
    member.column = entry.Text("column", true);
    member.parent = entry.Table("parent");
    member.unit = entry.Text("unit", false);
    CheckFirst(member.table, &entry);
    RETURN_IF_ERROR(entry.Finish({"table", "column", "parent", "unit"}));
    members_->push_back(std::move(member));
    return Status::Ok();
  }

  Status ReadUnit(const toml::table& table) {
    Entry entry(file_, "unit", table);
    UnitTable unit;
    unit.table = entry.Table("table");
    unit.name = entry.Text("name", true);
    if (unit_->has_value()) entry.Fail("table", "is the second; work units have one table");
    RETURN_IF_ERROR(entry.Finish({"table", "name"}));
    *unit_ = std::move(unit);
    return Status::Ok();
  }

  Status ReadDocument(const toml::table& table) {
    Entry entry(file_, "document", table);
    DocumentRule rule;
    const std::string path = entry.Text("path", true);
    rule.package = entry.Text("package", true);
    RETURN_IF_ERROR(entry.Finish({"path", "package"}));
    Result<PathPattern> pattern = PathPattern::Parse(path);
    if (!pattern.ok()) {
      entry.Fail("path", pattern.status().message(), pattern.status().hint());
    } else if (!pattern->has_key() && rule.package.find(kKey) != std::string::npos) {
      entry.Fail("package", "names {key}, which the path does not have");
    } else if (rule.package.size() > kPrefixBytesMax) {
      entry.Fail("package", "is longer than " + std::to_string(kPrefixBytesMax) + " bytes");
    }
    RETURN_IF_ERROR(entry.Finish({"path", "package"}));
    rule.path = *std::move(pattern);
    documents_->push_back(std::move(rule));
    return Status::Ok();
  }

  Status ReadColumn(const toml::table& table) {
    Entry entry(file_, "document_column", table);
    DocumentColumn column;
    column.table = entry.Table("table");
    column.column = entry.Text("column", true);
    column.base = entry.Text("base", false);
    RETURN_IF_ERROR(entry.Finish({"table", "column", "base"}));
    document_columns_->push_back(std::move(column));
    return Status::Ok();
  }

  const MemberTable* Member(const TableName& table) const {
    const auto at = std::find_if(members_->begin(), members_->end(),
                                 [&table](const MemberTable& m) { return m.table == table; });
    return at == members_->end() ? nullptr : &*at;
  }

  Status CheckParent(size_t index, const toml::table& table) const {
    const MemberTable& member = (*members_)[index];
    Entry entry(file_, "member", table);
    if (!tables_.contains(member.parent)) {
      std::vector<std::string> names;
      for (const TableName& name : tables_) {
        if (name != member.table) names.push_back(name.Display());
      }
      entry.Fail("parent", member.parent.Display() + " is neither a package nor a member",
                 DidYouMean(member.parent.Display(), Words(names.begin(), names.end())));
    }
    size_t steps = 0;
    const MemberTable* at = &member;
    while (at != nullptr && steps++ <= members_->size()) at = Member(at->parent);
    if (at != nullptr) {
      entry.Fail("parent",
                 member.parent.Display() + " goes round in a circle and never reaches a package");
    }
    return entry.Finish({"table", "column", "parent", "unit"});
  }

  const std::string& file_;
  std::vector<PackageTable>* const packages_;
  std::vector<MemberTable>* const members_;
  std::vector<DocumentRule>* const documents_;
  std::vector<DocumentColumn>* const document_columns_;
  std::optional<UnitTable>* const unit_;
  std::set<TableName> tables_;
};

// Blanks for what a log or a terminal would not take; cut at a character.
std::string OneLine(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view character = text.substr(0, std::max<size_t>(length, 1));
    const bool odd = length == 0 || IsControlCharacter(character);
    const std::string_view taken = odd ? " " : character;
    if (out.size() + taken.size() > kTextBytesMax) break;
    out.append(taken);
    text.remove_prefix(character.size());
  }
  return out;
}

std::string PackageName(const std::string& prefix, const std::string& key) {
  if (prefix.size() + key.size() <= kTextBytesMax) return prefix + key;
  return prefix + "~" + ToHex(Sha256({key}));
}

// What column `name` holds; null when it is NULL or there is no such column.
const std::string* Text(const Row& row, const std::string& name) {
  if (name.empty()) return nullptr;
  const Value* value = row.Find(name);
  return value == nullptr || !value->has_value() ? nullptr : &**value;
}

const TableName& Mapped(const TableShape& table) {
  return table.root.table.empty() ? table.name : table.root;
}

std::string ItemOf(const TableName& table, std::string_view key) {
  return RowItem(table, std::span(&key, 1));
}

}  // namespace

Result<Mapping> Mapping::Parse(std::string_view text, const std::string& name) {
  if (text.size() > kTextTomlBytesMax) {
    return Status(Code::kInvalid, name + ": larger than 1MiB");
  }
  toml::table root;
  try {
    root = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return Status(Code::kInvalid, name + ":" + std::to_string(error.source().begin.line) +
                                      ": not TOML: " + std::string(error.description()));
  }
  Mapping mapping;
  mapping.text_ = text;
  RETURN_IF_ERROR(Reader(name, &mapping.packages_, &mapping.members_, &mapping.documents_,
                         &mapping.document_columns_, &mapping.unit_table_)
                      .Read(root));
  return mapping;
}

const PackageTable* Mapping::FindPackage(const TableName& table) const {
  const auto at = std::find_if(packages_.begin(), packages_.end(),
                               [&table](const PackageTable& p) { return p.table == table; });
  return at == packages_.end() ? nullptr : &*at;
}

const MemberTable* Mapping::FindMember(const TableName& table) const {
  const auto at = std::find_if(members_.begin(), members_.end(),
                               [&table](const MemberTable& m) { return m.table == table; });
  return at == members_.end() ? nullptr : &*at;
}

std::optional<std::string> Mapping::PackageOfDocument(std::string_view path) const {
  for (const DocumentRule& rule : documents_) {
    std::string key;
    if (!rule.path.Matches(path, &key)) continue;
    // As rows name their package: the key encoded like that of a row.
    const std::string encoded = ParseItem(ItemOf({"-", "-"}, key)).key;
    const size_t at = rule.package.find(kKey);
    if (at == std::string::npos) return rule.package;
    const std::string prefix = rule.package.substr(0, at);
    return PackageName(prefix, encoded + rule.package.substr(at + kKey.size()));
  }
  return std::nullopt;
}

bool Mapping::NamesDocuments(const TableShape& table) const {
  return std::any_of(
      document_columns_.begin(), document_columns_.end(),
      [&table](const DocumentColumn& column) { return column.table == Mapped(table); });
}

std::vector<Reference> Mapping::References(const TableShape& table, const std::string& item,
                                           const Row& row) const {
  std::vector<Reference> references;
  for (const DocumentColumn& column : document_columns_) {
    if (column.table != Mapped(table)) continue;
    const std::string* value = Text(row, column.column);
    if (value == nullptr) continue;
    const std::optional<std::string> path = CleanPath(*value, column.base);
    if (!path) continue;
    Reference reference{ReferenceItem(EncodePath(*path)), "{\"table\":"};
    AppendJsonText(column.table.Display(), &reference.payload);
    reference.payload += ",\"key\":";
    AppendJsonText(ParseItem(item).key, &reference.payload);
    reference.payload += '}';
    const bool again = std::any_of(references.begin(), references.end(),
                                   [&](const Reference& r) { return r.item == reference.item; });
    if (!again) references.push_back(std::move(reference));
  }
  return references;
}

size_t Mapping::Rank(const TableName& root) const {
  size_t steps = 0;
  const TableName* table = &root;
  while (const MemberTable* member = FindMember(*table)) {
    ++steps;
    table = &member->parent;  // Parse has made sure that this ends, at a package
  }
  return FindPackage(*table) == nullptr ? kUnmapped : steps;
}

size_t Mapping::CopyRank(const TableName& root) const {
  if (IsUnitTable(root)) return 0;
  const size_t rank = Rank(root);
  return rank == kUnmapped ? kUnmapped : rank + 1;
}

bool Mapping::States(const TableName& root) const {
  const MemberTable* member = FindMember(root);
  return FindPackage(root) != nullptr || (member != nullptr && !member->unit.empty());
}

std::vector<TableName> Mapping::InOrder(std::vector<TableName> tables) const {
  std::vector<std::pair<size_t, TableName>> ranked;
  ranked.reserve(tables.size());
  for (TableName& table : tables) {
    const size_t rank = CopyRank(table);
    ranked.emplace_back(rank, std::move(table));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < tables.size(); ++i) tables[i] = std::move(ranked[i].second);
  return tables;
}

void PackageIndex::Learn(const TableShape& table) const {
  const TableName& root = Mapped(table);
  if (root != table.name) partitions_[root].insert(table.name);
}

std::string PackageIndex::OfParent(const MemberTable& member, const std::string& value) const {
  if (const PackageTable* package = mapping_->FindPackage(member.parent)) {
    return PackageName(package->prefix, ParseItem(ItemOf(member.parent, value)).key);
  }
  std::string direct = Of(ItemOf(member.parent, value));
  const auto partitions = partitions_.find(member.parent);
  if (direct != kNone || partitions == partitions_.end()) return direct;
  for (const TableName& partition : partitions->second) {
    if (std::string found = Of(ItemOf(partition, value)); found != kNone) return found;
  }
  return kNone;
}

void PackageIndex::NoteUnit(const std::string& item, const Row& row) {
  const std::string* name = Text(row, mapping_->unit_table()->name);
  if (name != nullptr) units_.insert_or_assign(item, OneLine(*name));
}

std::string PackageIndex::UnitOf(const std::string* value) const {
  if (value == nullptr) return {};
  if (mapping_->unit_table()) {
    const auto named = units_.find(ItemOf(mapping_->unit_table()->table, *value));
    if (named != units_.end()) return named->second;
  }
  return OneLine(*value);
}

Placement PackageIndex::Place(const TableShape& table, const std::string& item,
                              const Row& row) const {
  Learn(table);
  Placement placement{.package = kNone, .title = {}, .unit = {}, .value = {}};
  if (const PackageTable* package = mapping_->FindPackage(Mapped(table))) {
    // Without a key nothing tells one row, and so one package, from another.
    if (table.key.empty()) return placement;
    placement.package = PackageName(package->prefix, ParseItem(item).key);
    if (const std::string* title = Text(row, package->title)) placement.title = OneLine(*title);
    if (const std::string* value = Text(row, package->value);
        value && value->size() <= kTextBytesMax && IsDecimal(*value)) {
      placement.value = *value;
    }
    placement.unit = UnitOf(Text(row, package->unit));
  } else if (const MemberTable* member = mapping_->FindMember(Mapped(table))) {
    if (const std::string* value = Text(row, member->column)) {
      placement.package = OfParent(*member, *value);
    }
    if (placement.package != kNone) placement.unit = UnitOf(Text(row, member->unit));
  }
  return placement;
}

std::string PackageIndex::Of(const std::string& item) const {
  const auto at = packages_.find(item);
  return at == packages_.end() ? kNone : at->second;
}

void PackageIndex::Set(const std::string& item, const std::string& package) {
  if (package == kNone) {
    packages_.erase(item);
  } else {
    packages_.insert_or_assign(item, package);
  }
}

std::vector<std::string> PackageIndex::ItemsOf(const TableName& table) const {
  const std::string prefix = RowPrefix(table);
  std::vector<std::string> items;
  for (const auto& [item, package] : packages_) {
    if (item.starts_with(prefix)) items.push_back(item);
  }
  std::sort(items.begin(), items.end());
  return items;
}

}  // namespace kembar::capture
