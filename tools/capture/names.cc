// names.cc — see names.h.
#include "tools/capture/names.h"

#include <algorithm>
#include <optional>

#include "tools/capture/percent.h"

namespace kembar::capture {
namespace {

constexpr size_t kNameBytesMax = 1024;  // what a log takes as an item's name

constexpr std::string_view kRow = "row/";
constexpr std::string_view kTable = "table/";
constexpr std::string_view kSequence = "sequence/";
constexpr std::string_view kLargeObject = "large-object/";
constexpr std::string_view kMapping = "mapping/";
constexpr std::string_view kTransaction = "transaction/";
constexpr std::string_view kTransactionPart = "transaction-part/";
constexpr std::string_view kCut = "cut/";
constexpr std::string_view kAudit = "audit/";

std::optional<std::string> Decode(std::string_view text) { return PercentDecode(text, {}); }

std::optional<TableName> DecodeTableName(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  std::optional<std::string> schema = Decode(text.substr(0, dot));
  std::optional<std::string> table = Decode(text.substr(dot + 1));
  if (!schema || !table || schema->empty() || table->empty()) return std::nullopt;
  return TableName{*std::move(schema), *std::move(table)};
}

bool TakePrefix(std::string_view prefix, std::string_view* text) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

ItemName OfTable(ItemKind kind, std::string_view rest) {
  std::optional<TableName> table = DecodeTableName(rest);
  return table ? ItemName{kind, *std::move(table), {}} : ItemName{};
}

ItemName OfRow(std::string_view rest) {
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return {};
  std::optional<TableName> table = DecodeTableName(rest.substr(0, slash));
  if (!table) return {};
  return {ItemKind::kRow, *std::move(table), std::string(rest.substr(slash + 1))};
}

ItemName OfLargeObject(std::string_view rest) {
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos || !IsDigits(rest.substr(0, slash)) ||
      !IsDigits(rest.substr(slash + 1))) {
    return {};
  }
  return {ItemKind::kLargeObject, {}, std::string(rest)};
}

ItemName OfSource(ItemKind kind, std::string_view source) {
  return source.empty() ? ItemName{} : ItemName{kind, {}, std::string(source)};
}

std::string Joined(std::string_view prefix, std::string_view rest) {
  std::string out(prefix);
  out.append(rest);
  return out;
}

}  // namespace

std::string TableName::Encoded() const {
  return PercentEncode(schema, {}) + "." + PercentEncode(table, {});
}

Result<TableName> ParseTableName(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == text.size()) {
    return Status(Code::kInvalid, "\"" + std::string(text) + "\" is not SCHEMA.TABLE",
                  "write e.g. \"public.paket\"");
  }
  return TableName{std::string(text.substr(0, dot)), std::string(text.substr(dot + 1))};
}

ItemName ParseItem(std::string_view item) {
  std::string_view rest = item;
  if (rest == kPreDataItem) return {ItemKind::kPreData, {}, {}};
  if (rest == kPostDataItem) return {ItemKind::kPostData, {}, {}};
  if (TakePrefix(kRow, &rest)) return OfRow(rest);
  if (TakePrefix(kTable, &rest)) return OfTable(ItemKind::kTable, rest);
  if (TakePrefix(kSequence, &rest)) return OfTable(ItemKind::kSequence, rest);
  if (TakePrefix(kLargeObject, &rest)) return OfLargeObject(rest);
  if (TakePrefix(kMapping, &rest)) return OfSource(ItemKind::kMapping, rest);
  if (TakePrefix(kTransaction, &rest)) return OfSource(ItemKind::kTransaction, rest);
  if (TakePrefix(kTransactionPart, &rest)) return OfSource(ItemKind::kTransactionPart, rest);
  if (TakePrefix(kCut, &rest)) return OfSource(ItemKind::kCut, rest);
  if (TakePrefix(kAudit, &rest)) return OfSource(ItemKind::kAudit, rest);
  return {};
}

std::string RowItem(const TableName& table, std::span<const std::string_view> key) {
  std::string item = RowPrefix(table);
  const size_t key_at = item.size();
  for (size_t i = 0; i < key.size(); ++i) {
    if (i > 0) item += '/';
    item += PercentEncode(key[i], {});
  }
  if (item.size() > kNameBytesMax) {
    const Digest digest = Sha256({std::string_view(item).substr(key_at)});
    item.resize(key_at);
    item += '~' + ToHex(digest);
  }
  return item;
}

std::string KeylessRowItem(const TableName& table, const Digest& payload_sha256, uint64_t n) {
  return RowPrefix(table) + "~" + ToHex(payload_sha256) + "/" + std::to_string(n);
}

std::string RowPrefix(const TableName& table) { return Joined(kRow, table.Encoded()) + "/"; }
std::string TableItem(const TableName& table) { return Joined(kTable, table.Encoded()); }
std::string SequenceItem(const TableName& sequence) {
  return Joined(kSequence, sequence.Encoded());
}

std::string LargeObjectItem(uint32_t oid, uint64_t part) {
  return Joined(kLargeObject, std::to_string(oid)) + "/" + std::to_string(part);
}

std::string MappingItem(std::string_view source) { return Joined(kMapping, source); }
std::string TransactionItem(std::string_view source, bool last) {
  return Joined(last ? kTransaction : kTransactionPart, source);
}
std::string CutItem(std::string_view source) { return Joined(kCut, source); }
std::string AuditItem(std::string_view source) { return Joined(kAudit, source); }

}  // namespace kembar::capture
