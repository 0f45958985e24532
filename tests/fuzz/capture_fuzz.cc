// capture_fuzz.cc — any bytes, as everything that is read back of a captured database: refused with
// the right code, or a value that has one spelling, which reads the same again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/check.h"
#include "tools/capture/facts.h"
#include "tools/capture/mapping.h"
#include "tools/capture/names.h"
#include "tools/capture/row.h"
#include "tools/postgres/copy_text.h"

namespace kembar::capture {
namespace {

void TryRow(std::string_view bytes) {
  const Result<Row> row = DecodeRow(bytes);
  if (!row.ok()) {
    CHECK(row.status().code() == Code::kCorrupt);
    return;
  }
  CHECK(row->columns.size() == row->values.size());
  const std::string canonical = EncodeRow(*row);
  const Result<Row> again = DecodeRow(canonical);
  CHECK(again.ok() && *again == *row);
  CHECK(EncodeRow(*again) == canonical);
}

void TryCopyRow(std::string_view bytes) {
  std::vector<std::string> storage;
  const auto values = postgres::ParseCopyRow(bytes, &storage);
  if (!values.ok()) {
    CHECK(values.status().code() == Code::kCorrupt);
    return;
  }
  std::string line;
  postgres::AppendCopyRow(*values, &line);
  CHECK(line.ends_with('\n'));
  line.pop_back();
  std::vector<std::string> storage_again;
  const auto again = postgres::ParseCopyRow(line, &storage_again);
  CHECK(again.ok() && *again == *values);
}

// A name that is of one of our forms is what that form's function gives.
void TryItem(std::string_view bytes) {
  const ItemName name = ParseItem(bytes);
  const std::string item(bytes);
  switch (name.kind) {
    case ItemKind::kRow: CHECK(RowPrefix(name.table) + name.key == item); break;
    case ItemKind::kTable: CHECK(TableItem(name.table) == item); break;
    case ItemKind::kSequence: CHECK(SequenceItem(name.table) == item); break;
    case ItemKind::kPreData: CHECK(item == kPreDataItem); break;
    case ItemKind::kPostData: CHECK(item == kPostDataItem); break;
    case ItemKind::kLargeObject: CHECK("large-object/" + name.key == item); break;
    case ItemKind::kMapping: CHECK(MappingItem(name.key) == item); break;
    case ItemKind::kTransaction: CHECK(TransactionItem(name.key, true) == item); break;
    case ItemKind::kTransactionPart: CHECK(TransactionItem(name.key, false) == item); break;
    case ItemKind::kCut: CHECK(CutItem(name.key) == item); break;
    case ItemKind::kAudit: CHECK(AuditItem(name.key) == item); break;
    case ItemKind::kOther: CHECK(name.key.empty()); break;
  }
}

// Any two values as a key: names that a log takes, and read back as the row that they name.
void TryKey(std::string_view bytes) {
  const size_t half = bytes.size() / 2;
  const std::vector<std::string_view> key = {bytes.substr(0, half), bytes.substr(half)};
  const TableName table{"s" + std::string(key[0].substr(0, 20)), "t." + std::string(key[1])};
  const std::string item = RowItem({"public", "paket"}, key);
  CHECK(item.size() <= 1024);
  CHECK(std::none_of(item.begin(), item.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
  CHECK(ParseItem(item).kind == ItemKind::kRow);
  CHECK(ParseItem(TableItem(table)).table == table);
}

template <class T, class Encode>
void TryFact(const Result<T>& fact, Result<T> (*decode)(std::string_view), Encode encode) {
  if (!fact.ok()) {
    CHECK(fact.status().code() == Code::kCorrupt);
    return;
  }
  const std::string canonical = encode(*fact);
  const Result<T> again = decode(canonical);
  CHECK(again.ok() && encode(*again) == canonical);
}

void TryMapping(std::string_view bytes) {
  const Result<Mapping> mapping = Mapping::Parse(bytes, "fuzz");
  if (!mapping.ok()) {
    CHECK(mapping.status().code() == Code::kInvalid);
    CHECK(mapping.status().message().starts_with("fuzz:"));
    return;
  }
  std::vector<TableName> tables = {{"public", "none"}};
  for (const PackageTable& package : mapping->packages()) tables.push_back(package.table);
  CHECK(mapping->InOrder(tables).size() == tables.size());
  CHECK(mapping->InOrder(tables).back() == tables.front());
  const PackageIndex index(&*mapping);
  for (const TableName& table : tables) {
    const Placement placement = index.Place({.name = table, .root = table, .key = {"id"}},
                                            RowPrefix(table) + "1", Row{{"id"}, {"1"}});
    CHECK((placement.package == "-") == (table == tables.front()));
  }
}

}  // namespace
}  // namespace kembar::capture

// The first byte chooses what the rest is read as.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kembar::capture;  // NOLINT(google-build-using-namespace)
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
    case 0: TryRow(bytes); break;
    case 1: TryCopyRow(bytes); break;
    case 2: TryItem(bytes); break;
    case 3: TryKey(bytes); break;
    case 4: TryFact(DecodeMarker(bytes), DecodeMarker, EncodeMarker); break;
    case 5: TryFact(DecodeTable(bytes), DecodeTable, EncodeTable); break;
    case 6: TryFact(DecodeSequence(bytes), DecodeSequence, EncodeSequence); break;
    case 7: TryMapping(bytes); break;
    default: break;
  }
  return 0;
}
