// inventory.cc — see inventory.h.
#include "node/inventory.h"

#include <algorithm>
#include <set>

#include "node/blob/document.h"

namespace kembar {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;

// What is missing of one package's documents. Its items come in order: documents before the
// references to them.
class MissingDocuments {
 public:
  explicit MissingDocuments(const DocumentsHere* here) : here_(here) {}

  // Whether this living item is a document that is not whole here, or refers to one that the
  // package does not have.
  bool Add(const ItemVersion& living) {
    if (IsReference(living.item)) return !documents_.contains(DocumentKey(living.item));
    if (!IsDocument(living.item)) return false;
    documents_.insert(DocumentKey(living.item));
    return here_->missing != nullptr && here_->missing->contains(living.index);
  }

 private:
  const DocumentsHere* here_;
  std::set<std::string> documents_;  // by DocumentKey
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
  PackageFold(const std::string& package, const DocumentsHere* here) : here_(here), missing_(here) {
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

  PackageInfo Finish(uint64_t mirrored_index) {
    if (info_.missing_documents > 0) {
      info_.state = PackageState::kIncomplete;
    } else if (info_.last_index <= mirrored_index && !unchecked_) {
      info_.state = PackageState::kComplete;
    } else {
      info_.state = PackageState::kAtRisk;
    }
    return info_;
  }

  bool empty() const { return info_.last_index == 0; }
  const std::string& package() const { return info_.package; }

 private:
  void AddLiving(const ItemVersion& version) {
    const bool missing = missing_.Add(version);
    if (missing) ++info_.missing_documents;
    if (IsDocument(version.item)) {
      ++info_.documents;
      if (!missing && version.index > here_->checked_to) unchecked_ = true;
    } else if (!IsReference(version.item)) {
      ++info_.items;
    }
  }

  const DocumentsHere* here_;
  PackageInfo info_;
  MissingDocuments missing_;
  bool unchecked_ = false;
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

uint64_t MirroredIndex(const ReplicaStatus& status) {
  if (status.role == Role::kMirror) {
    const bool quorum = status.control.config.RequiredMirrors() > 0;
    return quorum || InContact(status) ? status.commit_index : 0;
  }
  uint64_t highest = 0;
  for (const PeerStatus& peer : status.peers) {
    if (peer.member) highest = std::max(highest, PeerHolds(peer, status));
  }
  return highest;
}

Status ForEachPackage(const Store& store, const InventoryScope& scope,
                      const std::function<bool(const PackageInfo&)>& each) {
  PackageFold fold{std::string(), &scope.documents};
  std::string item;
  bool going = true;
  // Hands on the package that has just ended.
  const auto finish = [&] {
    if (fold.empty()) return;
    const PackageInfo info = fold.Finish(scope.mirrored_index);
    const bool living = info.items > 0 || info.documents > 0 || info.missing_documents > 0;
    if (living) going = each(info);
  };
  RETURN_IF_ERROR(store.VisitItems(scope.log, RangeOf(scope, {}), [&](const ItemVersion& version) {
    if (version.package == kNoPackage) return Visit::kNextPackage;
    const bool next_package = fold.empty() || version.package != fold.package();
    if (next_package) {
      finish();
      if (!going) return Visit::kStop;
      fold = PackageFold(version.package, &scope.documents);
    }
    fold.Add(version, next_package || version.item != item);
    item = version.item;
    return Visit::kNext;
  }));
  if (going) finish();
  return Status::Ok();
}

Result<PackageInfo> FindPackage(const Store& store, const InventoryScope& scope,
                                const std::string& package) {
  PackageFold fold(package, &scope.documents);
  std::string item;
  if (!package.empty() && package != kNoPackage) {
    RETURN_IF_ERROR(
        store.VisitItems(scope.log, RangeOf(scope, package), [&](const ItemVersion& version) {
          fold.Add(version, fold.empty() || version.item != item);
          item = version.item;
          return Visit::kNext;
        }));
  }
  if (fold.empty()) {
    return Status(Code::kNotFound, "log " + scope.log + " has no package " + package +
                                       " as of index " + std::to_string(scope.as_of));
  }
  return fold.Finish(scope.mirrored_index);
}

Status ForEachItem(const Store& store, const InventoryScope& scope, const std::string& package,
                   const std::function<bool(const ItemInfo&)>& each) {
  std::optional<ItemInfo> current;
  MissingDocuments missing(&scope.documents);
  bool going = true;
  RETURN_IF_ERROR(
      store.VisitItems(scope.log, RangeOf(scope, package), [&](const ItemVersion& version) {
        const bool same_package = current && current->latest.package == version.package;
        if (same_package && current->latest.item == version.item) {
          ++current->versions;
          return Visit::kNext;
        }
        if (current) going = each(*current);
        if (!same_package) missing = MissingDocuments(&scope.documents);
        const bool living = version.kind != RecordKind::kDelete;
        current = ItemInfo{version, 1, living && missing.Add(version)};
        return going ? Visit::kNext : Visit::kStop;
      }));
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
