// inventory.cc — see inventory.h.
#include "node/inventory.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "node/blob/document.h"

namespace kembar {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;

// The living documents of all packages, read when one is first asked for.
class AllDocuments {
 public:
  AllDocuments(const Store& store, const InventoryScope& scope) : store_(store), scope_(scope) {}

  // The record of the newest document of this DocumentKey; 0: there is none, or status() says why
  // that is not known.
  uint64_t Find(const std::string& key) {
    if (!read_) status_ = Read();
    read_ = true;
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? 0 : found->second;
  }
  const Status& status() const { return status_; }

 private:
  Status Read() {
    const ItemRange range{.package = {}, .item_prefix = kDocumentPrefix, .as_of = scope_.as_of};
    return store_.VisitItems(scope_.log, range, [this](const ItemVersion& newest) {
      if (newest.kind != RecordKind::kDelete) {
        uint64_t& index = by_key_[DocumentKey(newest.item)];
        index = std::max(index, newest.index);
      }
      return Visit::kNextItem;
    });
  }

  const Store& store_;
  const InventoryScope& scope_;
  bool read_ = false;
  Status status_;
  std::unordered_map<std::string, uint64_t> by_key_;
};

// The documents of one package and those that its rows refer to: which are missing here, and
// whether other sites hold them. Its items come in order: documents before the references to them.
class PackageDocuments {
 public:
  PackageDocuments(const InventoryScope* scope, AllDocuments* all)
      : scope_(scope), all_(all), whole_at_(scope->others.sites.size(), true) {}

  // Whether this living item is a document that is not whole here, or refers to one that its own
  // package does not have and that is not whole here, or nowhere.
  bool Add(const ItemVersion& living) {
    if (IsDocument(living.item)) {
      own_.insert(DocumentKey(living.item));
      return !IsWhole(living.index);
    }
    if (!IsReference(living.item)) return false;
    const std::string key = DocumentKey(living.item);
    if (own_.contains(key)) return false;  // it is counted itself
    const uint64_t elsewhere = all_->Find(key);
    return elsewhere == 0 || !IsWhole(elsewhere);
  }

  // One of them has not been looked at yet here.
  bool unchecked() const { return unchecked_; }

  // Whether as many other sites as are needed hold them all, and the log up to `last_index`.
  bool HeldElsewhere(uint64_t last_index) const {
    size_t holding = 0;
    for (size_t i = 0; i < whole_at_.size(); ++i) {
      if (whole_at_[i] && scope_->others.sites[i].records_to >= last_index) ++holding;
    }
    return holding >= scope_->others.needed;
  }

 private:
  // Whether a document's record is whole here, or may be.
  bool IsWhole(uint64_t index) {
    for (size_t i = 0; i < whole_at_.size(); ++i) {
      const SiteHolds& site = scope_->others.sites[i];
      const bool whole = site.documents != nullptr && site.documents->Holds(index);
      if (!whole || site.records_to < index) whole_at_[i] = false;
    }
    const DocumentsHere& here = scope_->documents;
    if (here.missing != nullptr && here.missing->contains(index)) return false;
    if (index > here.checked_to) unchecked_ = true;
    return true;
  }

  const InventoryScope* scope_;
  AllDocuments* all_;
  std::vector<bool> whole_at_;  // by site
  bool unchecked_ = false;
  std::set<std::string> own_;  // by DocumentKey
};

// The latest of what records said of one thing; empty says nothing.
class LatestStatement {
 public:
  void Take(const std::string& said, uint64_t index, std::string* known) {
    if (said.empty() || index <= index_) return;
    index_ = index;
    *known = said;
  }

 private:
  uint64_t index_ = 0;
};

// Folds the versions of one package, which come in order.
class PackageFold {
 public:
  PackageFold(const std::string& package, const InventoryScope* scope, AllDocuments* all)
      : documents_(scope, all) {
    info_.package = package;
  }

  void Add(const ItemVersion& version, bool latest_of_item) {
    if (latest_of_item && version.kind != RecordKind::kDelete) AddLiving(version);
    if (version.index > info_.last_index) {
      info_.last_index = version.index;
      info_.last_time_us = version.time_us;
    }
    title_.Take(version.title, version.index, &info_.title);
    value_.Take(version.value, version.index, &info_.value);
    unit_.Take(version.unit, version.index, &info_.unit);
  }

  PackageInfo Finish() {
    if (info_.missing_documents > 0) {
      info_.state = PackageState::kIncomplete;
    } else if (!documents_.unchecked() && documents_.HeldElsewhere(info_.last_index)) {
      info_.state = PackageState::kComplete;
    } else {
      info_.state = PackageState::kAtRisk;
    }
    return info_;
  }

  bool empty() const { return info_.last_index == 0; }
  bool living() const { return living_; }
  const std::string& package() const { return info_.package; }

 private:
  void AddLiving(const ItemVersion& version) {
    living_ = true;
    if (documents_.Add(version)) ++info_.missing_documents;
    if (IsDocument(version.item)) {
      ++info_.documents;
    } else if (!IsReference(version.item)) {
      ++info_.items;
    }
  }

  PackageInfo info_;
  bool living_ = false;
  PackageDocuments documents_;
  LatestStatement title_;
  LatestStatement value_;
  LatestStatement unit_;
};

bool InContact(const ReplicaStatus& status) {
  return status.state != LogState::kNoPrimary && status.primary_contact_ms_ago >= 0;
}

uint64_t PeerHolds(const PeerStatus& peer, const ReplicaStatus& status) {
  if (peer.connected && peer.contact_ms_ago >= 0) return peer.durable_index;
  const auto acked = status.hard.acked_by.find(peer.name);
  const uint64_t remembered = acked == status.hard.acked_by.end() ? 0 : acked->second;
  return std::max(peer.durable_index, std::min(remembered, status.last_index));
}

ItemRange RangeOf(const InventoryScope& scope, const std::string& package) {
  return {.package = package, .item_prefix = {}, .as_of = scope.as_of};
}

// The indices of a package's item records, ascending.
Result<std::vector<uint64_t>> IndicesOf(const Store& store, const InventoryScope& scope,
                                        const std::string& package) {
  std::vector<uint64_t> indices;
  RETURN_IF_ERROR(
      store.VisitItems(scope.log, RangeOf(scope, package), [&indices](const ItemVersion& version) {
        indices.push_back(version.index);
        return Visit::kNext;
      }));
  std::sort(indices.begin(), indices.end());
  return indices;
}

}  // namespace

OtherSites OtherSitesOf(const ReplicaStatus& status, const Told& told) {
  const auto said = [&told](const std::string& node) {
    const auto found = told.find(node);
    return found == told.end() ? nullptr : found->second;
  };
  const Config& config = status.control.config;
  if (status.role == Role::kMirror) {
    const bool quorum = config.RequiredMirrors() > 0;
    const uint64_t held = quorum || InContact(status) ? status.commit_index : 0;
    return {.sites = {{held, said(status.primary)}}, .needed = 1};
  }
  OtherSites others{.needed = std::max(1U, config.MirrorsOfQuorum())};
  for (const PeerStatus& peer : status.peers) {
    if (peer.member) others.sites.push_back({PeerHolds(peer, status), said(peer.name)});
  }
  return others;
}

Status ForEachPackage(const Store& store, const InventoryScope& scope,
                      const std::function<bool(const PackageInfo&)>& each) {
  AllDocuments all(store, scope);
  PackageFold fold{std::string(), &scope, &all};
  std::string item;
  bool going = true;
  // Hands on the package that has just ended.
  const auto finish = [&] {
    if (fold.empty()) return;
    if (fold.living()) going = each(fold.Finish());
  };
  RETURN_IF_ERROR(store.VisitItems(scope.log, RangeOf(scope, {}), [&](const ItemVersion& version) {
    if (version.package == kNoPackage) return Visit::kNextPackage;
    const bool next_package = fold.empty() || version.package != fold.package();
    if (next_package) {
      finish();
      if (!going) return Visit::kStop;
      fold = PackageFold(version.package, &scope, &all);
    }
    fold.Add(version, next_package || version.item != item);
    item = version.item;
    return all.status().ok() ? Visit::kNext : Visit::kStop;
  }));
  RETURN_IF_ERROR(all.status());
  if (going) finish();
  return Status::Ok();
}

Result<PackageInfo> FindPackage(const Store& store, const InventoryScope& scope,
                                const std::string& package) {
  AllDocuments all(store, scope);
  PackageFold fold(package, &scope, &all);
  std::string item;
  if (!package.empty() && package != kNoPackage) {
    RETURN_IF_ERROR(
        store.VisitItems(scope.log, RangeOf(scope, package), [&](const ItemVersion& version) {
          fold.Add(version, fold.empty() || version.item != item);
          item = version.item;
          return Visit::kNext;
        }));
  }
  RETURN_IF_ERROR(all.status());
  if (fold.empty()) {
    return Status(Code::kNotFound, "log " + scope.log + " has no package " + package +
                                       " as of index " + std::to_string(scope.as_of));
  }
  return fold.Finish();
}

Status ForEachItem(const Store& store, const InventoryScope& scope, const std::string& package,
                   const std::function<bool(const ItemInfo&)>& each) {
  AllDocuments all(store, scope);
  std::optional<ItemInfo> current;
  PackageDocuments documents(&scope, &all);
  bool going = true;
  RETURN_IF_ERROR(
      store.VisitItems(scope.log, RangeOf(scope, package), [&](const ItemVersion& version) {
        const bool same_package = current && current->latest.package == version.package;
        if (same_package && current->latest.item == version.item) {
          ++current->versions;
          return Visit::kNext;
        }
        if (current) going = each(*current);
        if (!same_package) documents = PackageDocuments(&scope, &all);
        const bool living = version.kind != RecordKind::kDelete;
        current = ItemInfo{version, 1, living && documents.Add(version)};
        return going && all.status().ok() ? Visit::kNext : Visit::kStop;
      }));
  RETURN_IF_ERROR(all.status());
  if (going && current) each(*current);
  return Status::Ok();
}

Status ForEachVersion(const Store& store, const InventoryScope& scope, const ItemQuery& query,
                      const std::function<bool(const ItemVersion&)>& each) {
  std::string package;
  std::string item;
  uint64_t given = 0;  // versions of this item that were passed
  const ItemRange range{
      .package = query.package, .item_prefix = query.item_prefix, .as_of = scope.as_of};
  return store.VisitItems(scope.log, range, [&](const ItemVersion& version) {
    if (!version.package.starts_with(query.package_prefix)) {
      return version.package < query.package_prefix ? Visit::kNextPackage : Visit::kStop;
    }
    if (given == 0 || version.item != item || version.package != package) {
      package = version.package;
      item = version.item;
      given = 0;
    }
    if (!each(version)) return Visit::kStop;
    return ++given < query.versions_max ? Visit::kNext : Visit::kNextItem;
  });
}

Result<ItemVersion> FindItem(const Store& store, const InventoryScope& scope,
                             const std::string& package, const std::string& item) {
  if (package.empty() || item.empty()) {
    return Status(Code::kInvalid, "a package and an item must be named");
  }
  std::optional<ItemVersion> found;
  const ItemRange range{.package = package, .item_prefix = item, .as_of = scope.as_of};
  RETURN_IF_ERROR(store.VisitItems(scope.log, range, [&](const ItemVersion& version) {
    if (version.item == item) found = version;  // it comes before those it is a prefix of
    return Visit::kStop;
  }));
  if (found) return *std::move(found);
  return Status(Code::kNotFound, "log " + scope.log + " has no item " + item + " in package " +
                                     package + " as of index " + std::to_string(scope.as_of));
}

Status ForEachRecord(const Store& store, const InventoryScope& scope, const std::string& package,
                     const std::function<bool(const Record&)>& each) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> indices, IndicesOf(store, scope, package));
  for (size_t at = 0; at < indices.size();) {
    // A run of neighbours is read at once.
    size_t run_end = at + 1;
    while (run_end < indices.size() && indices[run_end] == indices[run_end - 1] + 1) ++run_end;
    ASSIGN_OR_RETURN(const FrameBatch batch,
                     store.Read(scope.log, indices[at], indices[run_end - 1], kReadBytes));
    for (const std::string& frame : batch.frames) {
      ASSIGN_OR_RETURN(const Record record, DecodeRecord(frame));
      if (!each(record)) return Status::Ok();
      ++at;
    }
  }
  return Status::Ok();
}

Result<Record> ReadRecord(const Store& store, const std::string& log, uint64_t index) {
  ASSIGN_OR_RETURN(const FrameBatch batch, store.Read(log, index, index, 1));
  return DecodeRecord(batch.frames.front());
}

Result<uint64_t> IndexAtTime(const Store& store, const std::string& log, uint64_t last,
                             int64_t time_us) {
  uint64_t at_or_before = 0;  // the answer is at least this
  uint64_t after = last + 1;  // and less than this
  while (at_or_before + 1 < after) {
    const uint64_t middle = at_or_before + (after - at_or_before) / 2;
    ASSIGN_OR_RETURN(const Record record, ReadRecord(store, log, middle));
    (record.time_us <= time_us ? at_or_before : after) = middle;
  }
  return at_or_before;
}

}  // namespace kembar
