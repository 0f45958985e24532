// touches.h — what the stream changed since a snapshot was asked for.
//
// The stream goes on while the server makes a snapshot (commits may be waiting for that), so that
// it can be past the snapshot's LSN when that becomes known. What was touched at or after that LSN
// is newer in the log than in the snapshot, and a comparison leaves it alone.
//
// Thread-safety: none; written by the capturer, read by the reconciler, on one thread.
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "replicator/base/digest.h"
#include "tools/agent/postgres/captured_state.h"

namespace kembar::agent {

class Touches {
 public:
  void Row(const std::string& item, Lsn commit) {
    rows_[item] = commit;
    // Equal rows without key are numbered: touching one may renumber the others.
    const capture::ItemName name = capture::ParseItem(item);
    if (const auto key = ParseKeylessKey(name.key)) equal_[name.table][key->digest] = commit;
  }
  // The log lacked something at this commit, or the table's shape changed there.
  void Pending(const TableName& table, Lsn commit) { pending_[table] = commit; }

  bool HasRow(const std::string& item, Lsn since) const {
    const auto found = rows_.find(item);
    return found != rows_.end() && found->second >= since;
  }
  bool HasEqual(const TableName& table, const Digest& row, Lsn since) const {
    const auto rows = equal_.find(table);
    if (rows == equal_.end()) return false;
    const auto found = rows->second.find(row);
    return found != rows->second.end() && found->second >= since;
  }
  bool IsPending(const TableName& table, Lsn since) const {
    const auto found = pending_.find(table);
    return found != pending_.end() && found->second >= since;
  }

 private:
  // Each with the last commit that touched it.
  std::unordered_map<std::string, Lsn> rows_;
  std::map<TableName, std::unordered_map<Digest, Lsn, DigestHash>> equal_;
  std::map<TableName, Lsn> pending_;
};

}  // namespace kembar::agent
