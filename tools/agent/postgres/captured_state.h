// captured_state.h — what the agent remembers of what the log holds of a database, so that a change
// that brings only a key can be written down whole.
//
// Belongs to one session: rebuilt from the log at its start, changed only by what is then handed
// to the log. Thread-safety: none.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "replicator/base/digest.h"
#include "tools/capture/facts.h"
#include "tools/capture/mapping.h"

namespace kembar::agent {

using capture::Lsn;
using capture::Marker;
using capture::TableName;
using capture::TableShape;

struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t hash = 0;
    for (size_t i = 0; i < sizeof hash; ++i) hash = hash << 8 | digest[i];
    return hash;
  }
};

// How often each equal row stands in the tables without a key.
class Multiset {
 public:
  uint64_t Count(const TableName& table, const Digest& row) const;
  uint64_t Add(const TableName& table, const Digest& row);  // the new count
  // The count before; 0: there was none.
  uint64_t Remove(const TableName& table, const Digest& row);
  void AtLeast(const TableName& table, const Digest& row, uint64_t count);
  void Clear(const TableName& table) { counts_.erase(table); }
  // Clears, and returns the counts of those rows that `keep` names.
  std::unordered_map<Digest, uint64_t, DigestHash> Take(
      const TableName& table, const std::function<bool(const Digest&)>& keep);

 private:
  std::map<TableName, std::unordered_map<Digest, uint64_t, DigestHash>> counts_;
};

// The newest payloads of wide rows, the least recently used forgotten first: where the values stand
// that the server does not send again because an update left them alone (TOAST).
class WideRows {
 public:
  static constexpr size_t kWideBytes = 1'024;  // shorter rows are not stored out of line
  explicit WideRows(size_t bytes_max = size_t{32} << 20) : bytes_max_(bytes_max) {}

  const std::string* Find(const std::string& item);
  void Put(const std::string& item, const std::string& payload);
  void Forget(const std::string& item);
  void Clear();

 private:
  struct Entry {
    std::string item;
    std::string payload;
  };
  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // the most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_item_;
};

struct CapturedState {
  explicit CapturedState(const capture::Mapping* mapping) : packages(mapping) {}

  capture::PackageIndex packages;
  Multiset keyless;
  WideRows wide;
  std::map<TableName, TableShape> tables;  // as recorded by table/ items
  std::set<TableName> pending;             // to be reconciled; recorded by pending/SOURCE
  // postgres::TableInfo::storage of the rows that the log has; recorded by storage/SOURCE.
  std::map<TableName, std::string> storage;
};

// The SHA-256 and number of a keyless row's item key "~SHA256/N"; nullopt: a row with a key.
struct KeylessKey {
  Digest digest{};
  uint64_t n = 0;
};
std::optional<KeylessKey> ParseKeylessKey(std::string_view key);

// "pending/SOURCE": JSON list of the tables whose rows may differ from the log until the next
// reconciliation. Total: what is not such a list gives nullopt.
std::string PendingItem(const std::string& source);
std::string EncodePending(const std::set<TableName>& tables);
std::optional<std::set<TableName>> DecodePending(std::string_view payload);

// "storage/SOURCE": JSON list of tables, each with its storage. Total, as above; then it is empty,
// and every table counts as changed.
std::string StorageItem(const std::string& source);
std::string EncodeStorage(const std::map<TableName, std::string>& storage);
std::map<TableName, std::string> DecodeStorage(std::string_view payload);

}  // namespace kembar::agent
