// inventory.h — a log seen as tender packages: what each holds, since when, and whether other sites
// hold it too. Folded from the item versions of a Store each time it is asked; nothing is kept.
//
// A package's title, value and unit are the latest that any of its records stated, as of the moment
// asked for. Its items are those whose latest version is not a deletion. A package all of whose
// items are deleted is gone: ForEachPackage leaves it out, FindPackage still shows it with 0 items,
// because its history remains. Records of "-" belong to no package.
//
// Documents are counted apart (docs/documents.md): living `document/` items, and of these and of
// what living `reference/` items name, those that are not whole here. A reference is to the
// document of its path in its own package, else to the newest one in any. What the tracker has not
// looked at yet counts as at risk, and so does what too few other sites are known to hold whole.
//
// Memory is that of one package's fold, whatever the size of the log; only a reference that its own
// package does not resolve has the names of all living documents read, once a call. Visitors are
// called while the store's iterator is open, so they should not take long.
//
// Thread-safety: pure functions over a Store, which may be read from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "node/blob/holdings.h"
#include "node/blob/tracker.h"
#include "replicator/base/status.h"
#include "replicator/core/replica.h"
#include "replicator/log/store.h"

namespace kembar {

enum class PackageState : uint8_t {
  kComplete,    // all of it, and all that its rows refer to, is whole here and at other sites
  kIncomplete,  // a document of it, or that its rows refer to, is missing or not whole here
  kAtRisk,      // not known to be whole at other sites, or its documents not looked at yet here
};

struct PackageInfo {
  std::string package;
  std::string title;
  std::string value;
  std::string unit;
  uint64_t items = 0;              // without documents and references
  uint64_t documents = 0;          // living ones
  uint64_t missing_documents = 0;  // referred to but not there, or not whole here
  uint64_t last_index = 0;
  int64_t last_time_us = 0;
  PackageState state = PackageState::kAtRisk;
};

// The latest version of one item, and how many there are.
struct ItemInfo {
  ItemVersion latest;
  uint64_t versions = 0;
  // A document that is not whole here, or a reference to one of another package that is not, or to
  // one that is nowhere.
  bool missing = false;
};

// Another site, as far as this node has been told.
struct SiteHolds {
  uint64_t records_to = 0;  // up to here it holds the log durably
  SharedHolding documents;  // null: nothing is known of its documents
  bool operator==(const SiteHolds&) const = default;
};
struct OtherSites {
  std::vector<SiteHolds> sites;
  size_t needed = 1;  // a package is complete if so many of them hold it whole
  bool operator==(const OtherSites&) const = default;
};

// What part of a log is looked at.
struct InventoryScope {
  std::string log;
  uint64_t as_of = 0;       // records up to this index; at most the commit index
  OtherSites others;        // default: none is known
  DocumentsHere documents;  // as the tracker knows; default: nothing has been looked at
};

// The primary counts its mirrors, of which as many are needed as a write is meant to reach, at
// least one. What a mirror acknowledged and `told` counts also while it is not connected, until a
// failover leaves it out. A mirror counts the primary: what is committed under a quorum with a
// mirror is durable there; without such a quorum only while the primary is in contact.
OtherSites OtherSitesOf(const ReplicaStatus& status, const Told& told);

// In order of package name. `each` returns false to stop.
Status ForEachPackage(const Store& store, const InventoryScope& scope,
                      const std::function<bool(const PackageInfo&)>& each);

// kNotFound: no record of this package then, or it is "-".
Result<PackageInfo> FindPackage(const Store& store, const InventoryScope& scope,
                                const std::string& package);

// The latest version of every item, deleted ones too, of `package` (of all, "-" included, when it
// is empty), in order of package and item. `each` returns false to stop.
Status ForEachItem(const Store& store, const InventoryScope& scope, const std::string& package,
                   const std::function<bool(const ItemInfo&)>& each);

// Which versions of which items are wanted. Empty fields: no condition.
struct ItemQuery {
  std::string package;         // exactly this one ("-" too); the others are not even passed
  std::string package_prefix;  // those whose name begins so
  std::string item_prefix;
  uint64_t versions_max = 1;  // the newest of each item
};
// In order of package, item and then newest first; deletions too. `each` returns false to stop.
Status ForEachVersion(const Store& store, const InventoryScope& scope, const ItemQuery& query,
                      const std::function<bool(const ItemVersion&)>& each);

// The latest version of one item, which may be a deletion. kInvalid: `package` or `item` is empty.
// kNotFound: never there (then).
Result<ItemVersion> FindItem(const Store& store, const InventoryScope& scope,
                             const std::string& package, const std::string& item);

// Every item record of a package, oldest first. `each` returns false to stop.
Status ForEachRecord(const Store& store, const InventoryScope& scope, const std::string& package,
                     const std::function<bool(const Record&)>& each);

// One record. kNotFound: beyond the end.
Result<Record> ReadRecord(const Store& store, const std::string& log, uint64_t index);

// The index of the last record up to `last` that was appended at or before `time_us`; 0 if none.
// A binary search over the records' times: exact where they do not go backwards, which they do only
// when a failover moves a log to a node whose clock is behind. There it finds one of the moments at
// which the clock showed that time.
Result<uint64_t> IndexAtTime(const Store& store, const std::string& log, uint64_t last,
                             int64_t time_us);

}  // namespace kembar
