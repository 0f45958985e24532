// captured_state.cc — see captured_state.h.
#include "tools/agent/postgres/captured_state.h"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

namespace kembar::agent {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

uint64_t Multiset::Count(const TableName& table, const Digest& row) const {
  const auto rows = counts_.find(table);
  if (rows == counts_.end()) return 0;
  const auto found = rows->second.find(row);
  return found == rows->second.end() ? 0 : found->second;
}

uint64_t Multiset::Add(const TableName& table, const Digest& row) { return ++counts_[table][row]; }

uint64_t Multiset::Remove(const TableName& table, const Digest& row) {
  const auto rows = counts_.find(table);
  if (rows == counts_.end()) return 0;
  const auto found = rows->second.find(row);
  if (found == rows->second.end()) return 0;
  const uint64_t before = found->second--;
  if (found->second == 0) rows->second.erase(found);
  return before;
}

void Multiset::AtLeast(const TableName& table, const Digest& row, uint64_t count) {
  uint64_t& known = counts_[table][row];
  known = std::max(known, count);
}

std::unordered_map<Digest, uint64_t, DigestHash> Multiset::Take(
    const TableName& table, const std::function<bool(const Digest&)>& keep) {
  std::unordered_map<Digest, uint64_t, DigestHash> rows;
  const auto found = counts_.find(table);
  if (found == counts_.end()) return rows;
  rows.swap(found->second);
  counts_.erase(found);
  std::erase_if(rows, [&](const auto& row) { return !keep(row.first); });
  return rows;
}

const std::string* WideRows::Find(const std::string& item) {
  const auto found = by_item_.find(item);
  if (found == by_item_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &found->second->payload;
}

void WideRows::Put(const std::string& item, const std::string& payload) {
  Forget(item);
  if (payload.size() < kWideBytes || payload.size() > bytes_max_) return;
  entries_.push_front({item, payload});
  by_item_[item] = entries_.begin();
  bytes_ += payload.size();
  while (bytes_ > bytes_max_) Forget(std::string(entries_.back().item));
}

void WideRows::Forget(const std::string& item) {
  const auto found = by_item_.find(item);
  if (found == by_item_.end()) return;
  bytes_ -= found->second->payload.size();
  entries_.erase(found->second);
  by_item_.erase(found);
}

void WideRows::Clear() {
  entries_.clear();
  by_item_.clear();
  bytes_ = 0;
}

std::optional<KeylessKey> ParseKeylessKey(std::string_view key) {
  KeylessKey parsed;
  constexpr size_t kHexChars = 2 * sizeof(Digest);
  // "~", the hash, "/", the number.
  if (key.size() < kHexChars + 3 || key[0] != '~' || key[kHexChars + 1] != '/') return {};
  for (size_t i = 0; i < parsed.digest.size(); ++i) {
    const int high = HexDigit(key[1 + 2 * i]);
    const int low = HexDigit(key[2 + 2 * i]);
    if (high < 0 || low < 0) return {};
    parsed.digest[i] = static_cast<uint8_t>(high << 4 | low);
  }
  const std::string_view number = key.substr(kHexChars + 2);
  const char* const end = number.data() + number.size();
  const auto [at, error] = std::from_chars(number.data(), end, parsed.n);
  if (error != std::errc() || at != end || parsed.n == 0) return {};
  return parsed;
}

std::string PendingItem(const std::string& source) { return "pending/" + source; }

std::string EncodePending(const std::set<TableName>& tables) {
  nlohmann::json list = nlohmann::json::array();
  for (const TableName& table : tables) list.push_back({table.schema, table.table});
  return nlohmann::json{{"tables", std::move(list)}}.dump(-1, ' ', false,
                                                          nlohmann::json::error_handler_t::replace);
}

std::optional<std::set<TableName>> DecodePending(std::string_view payload) {
  const nlohmann::json json = nlohmann::json::parse(payload, nullptr, false);
  if (!json.is_object() || !json.contains("tables") || !json["tables"].is_array()) return {};
  std::set<TableName> tables;
  for (const nlohmann::json& name : json["tables"]) {
    if (!name.is_array() || name.size() != 2 || !name[0].is_string() || !name[1].is_string()) {
      return {};
    }
    tables.insert({name[0].get<std::string>(), name[1].get<std::string>()});
  }
  return tables;
}

std::string StorageItem(const std::string& source) { return "storage/" + source; }

std::string EncodeStorage(const std::map<TableName, std::string>& storage) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [table, text] : storage) list.push_back({table.schema, table.table, text});
  return nlohmann::json{{"tables", std::move(list)}}.dump(-1, ' ', false,
                                                          nlohmann::json::error_handler_t::replace);
}

std::map<TableName, std::string> DecodeStorage(std::string_view payload) {
  const nlohmann::json json = nlohmann::json::parse(payload, nullptr, false);
  if (!json.is_object() || !json.contains("tables") || !json["tables"].is_array()) return {};
  std::map<TableName, std::string> storage;
  for (const nlohmann::json& entry : json["tables"]) {
    const bool whole = entry.is_array() && entry.size() == 3 &&
                       std::all_of(entry.begin(), entry.end(),
                                   [](const nlohmann::json& part) { return part.is_string(); });
    if (!whole) return {};
    storage[{entry[0].get<std::string>(), entry[1].get<std::string>()}] =
        entry[2].get<std::string>();
  }
  return storage;
}

}  // namespace kembar::agent
