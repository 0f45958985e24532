// names.h — the items of a captured database: how they are called (docs/capture.md).
//
// Thread-safety: pure functions and values.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"

namespace kembar::capture {

struct TableName {
  std::string schema;
  std::string table;

  // "public.paket", each part percent-encoded: as in item names.
  std::string Encoded() const;
  // The same for people and configuration, not encoded.
  std::string Display() const { return schema + "." + table; }
  auto operator<=>(const TableName&) const = default;
};
// "schema.table" as written in configuration: split at the first dot. kInvalid without one.
Result<TableName> ParseTableName(std::string_view text);

enum class ItemKind : uint8_t {
  kRow,
  kTable,
  kPreData,
  kPostData,
  kSequence,
  kLargeObject,
  kMapping,
  kTransaction,
  kTransactionPart,
  kCut,
  kAudit,
  kOther,  // of another source: an import, an operator's append
};

struct ItemName {
  ItemKind kind = ItemKind::kOther;
  TableName table;  // rows, tables, sequences
  std::string key;  // rows: K as it stands. Large objects: "OID/N". Otherwise the SOURCE
};
// Total: what is not of the forms is kOther.
ItemName ParseItem(std::string_view item);

// "row/S.T/K" by the values of the key's columns, none NULL.
std::string RowItem(const TableName& table, std::span<const std::string_view> key);
// "row/S.T/~SHA256/n" of a table without key; `n` counts equal rows from 1.
std::string KeylessRowItem(const TableName& table, const Digest& payload_sha256, uint64_t n);
// "row/S.T/": what the items of all rows of a table begin with.
std::string RowPrefix(const TableName& table);
std::string TableItem(const TableName& table);
std::string SequenceItem(const TableName& sequence);
std::string LargeObjectItem(uint32_t oid, uint64_t part);
std::string MappingItem(std::string_view source);
std::string TransactionItem(std::string_view source, bool last);
std::string CutItem(std::string_view source);
std::string AuditItem(std::string_view source);
inline constexpr char kPreDataItem[] = "schema/pre-data";
inline constexpr char kPostDataItem[] = "schema/post-data";

}  // namespace kembar::capture
