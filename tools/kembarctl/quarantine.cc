// quarantine.cc — see quarantine.h.
#include "tools/kembarctl/quarantine.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <charconv>

#include "tools/client/reader.h"
#include "tools/client/rpc_status.h"

namespace kembar::ctl {
namespace {

constexpr char kSourcePrefix[] = "quarantine/";

bool IsRow(const v1::Record& record) {
  return record.kind() == v1::RECORD_KIND_PUT || record.kind() == v1::RECORD_KIND_DELETE;
}

bool IsResubmitted(const v1::Record& record) { return record.source().starts_with(kSourcePrefix); }

// Epoch and index in the history that was left: of two, the greater was written later.
using Origin = std::pair<uint64_t, uint64_t>;

Origin OriginOf(const SetAsideBatch& batch) { return {batch.epoch, batch.index}; }

Origin OriginOf(const v1::Record& resubmitted) {
  const std::string& source = resubmitted.source();
  const char* begin = source.data() + source.rfind('/') + 1;
  uint64_t epoch = 0;
  std::from_chars(begin, source.data() + source.size(), epoch);
  return {epoch, resubmitted.position()};
}

bool SamePlace(const v1::Record& a, const v1::Record& b) {
  return a.source() == b.source() && a.position() == b.position();
}

bool SameRow(const v1::Record& a, const v1::Record& b) {
  return a.kind() == b.kind() && a.package() == b.package() && a.item() == b.item() &&
         a.payload() == b.payload();
}

}  // namespace

std::string ResubmitSource(const SetAside& aside, const SetAsideBatch& batch) {
  return kSourcePrefix + aside.node + "/" + std::to_string(aside.entry.id()) + "/" +
         std::to_string(batch.epoch);
}

void AddRecords(const std::vector<v1::Record>& records, SetAside* aside) {
  SetAsideBatch batch;
  for (const v1::Record& record : records) {
    batch.index = record.index();
    batch.epoch = record.epoch();
    if (IsRow(record)) {
      batch.records.push_back(record);
    } else {
      ++aside->control_records;
    }
    if (!record.batch_end()) continue;
    if (!batch.records.empty()) aside->batches.push_back(std::move(batch));
    batch = {};
  }
  // A batch that was cut before its end was never acknowledged; what is there is shown and offered.
  if (!batch.records.empty()) aside->batches.push_back(std::move(batch));
}

Standing StandingOf(const SetAsideBatch& batch, const std::vector<v1::Record>& since) {
  const bool present =
      std::all_of(batch.records.begin(), batch.records.end(), [&](const auto& row) {
        return std::any_of(since.begin(), since.end(), [&](const v1::Record& held) {
          return SameRow(row, held) &&
                 (IsResubmitted(held) ? OriginOf(held) == OriginOf(batch) : SamePlace(row, held));
        });
      });
  if (present) return Standing::kPresent;
  const bool superseded =
      std::any_of(batch.records.begin(), batch.records.end(), [&](const auto& row) {
        return std::any_of(since.begin(), since.end(), [&](const v1::Record& held) {
          // What was resubmitted may be older, though it stands later in the log.
          const bool newer = !IsResubmitted(held) || OriginOf(held) > OriginOf(batch);
          return newer && held.package() == row.package() && held.item() == row.item();
        });
      });
  return superseded ? Standing::kSuperseded : Standing::kAbsent;
}

v1::AppendRequest ResubmitRequest(const std::string& log, const SetAside& aside,
                                  const SetAsideBatch& batch) {
  v1::AppendRequest request;
  request.set_log(log);
  request.set_source(ResubmitSource(aside, batch));
  request.set_position(batch.index);
  for (const v1::Record& record : batch.records) {
    v1::Draft* draft = request.add_drafts();
    draft->set_kind(record.kind());
    draft->set_package(record.package());
    draft->set_item(record.item());
    draft->set_title(record.title());
    draft->set_value(record.value());
    draft->set_unit(record.unit());
    draft->set_payload(record.payload());
  }
  return request;
}

Status QuarantineReader::ReadNode(const client::NodeView& view, const QuarantineFilter& filter,
                                  std::vector<SetAside>* out) {
  const auto stubs = cluster_->Stubs(view.address);
  v1::ListQuarantineRequest list;
  list.set_log(log_);
  v1::ListQuarantineResponse entries;
  grpc::ClientContext call;
  client::Deadline::After(timeout_).ApplyTo(&call);
  const grpc::Status listed = stubs->admin->ListQuarantine(&call, list, &entries);
  RETURN_IF_ERROR(client::FromGrpc(listed, call).Prepend("quarantine of " + view.name));
  for (const v1::QuarantineEntry& entry : entries.entries()) {
    if (filter.id != 0 && filter.id != entry.id()) continue;
    SetAside aside{.node = view.name, .entry = entry};
    v1::ReadQuarantineRequest request;
    request.set_log(log_);
    request.set_id(entry.id());
    std::vector<v1::Record> records;
    const Status status = client::ReadQuarantine(stubs.get(), request, client::Deadline::Never(),
                                                 [&](const v1::Record& record) {
                                                   records.push_back(record);
                                                   return true;
                                                 });
    RETURN_IF_ERROR(
        status.Prepend("quarantine " + std::to_string(entry.id()) + " of " + view.name));
    AddRecords(records, &aside);
    out->push_back(std::move(aside));
  }
  return Status::Ok();
}

Result<std::vector<SetAside>> QuarantineReader::Read(const QuarantineFilter& filter,
                                                     std::vector<std::string>* silent) {
  if (!filter.node.empty() && cluster_->Find(filter.node) == nullptr) {
    return Status(Code::kNotFound, "no node is called " + filter.node, "see kembarctl status");
  }
  std::vector<SetAside> found;
  for (const client::NodeView& view : cluster_->nodes()) {
    if (!filter.node.empty() && view.name != filter.node) continue;
    if (!view.reachable) {
      silent->push_back(view.name.empty() ? view.address : view.name);
    } else if (view.Log(log_) != nullptr) {
      RETURN_IF_ERROR(ReadNode(view, filter, &found));
    }
  }
  if (filter.package.empty()) return found;
  for (SetAside& aside : found) {
    std::erase_if(aside.batches, [&](const SetAsideBatch& batch) {
      return std::none_of(batch.records.begin(), batch.records.end(),
                          [&](const auto& r) { return r.package() == filter.package; });
    });
  }
  std::erase_if(found, [](const SetAside& aside) { return aside.batches.empty(); });
  return found;
}

Result<const QuarantineReader::Versions*> QuarantineReader::VersionsSince(client::NodeStubs* node,
                                                                          uint64_t first_index,
                                                                          const v1::Record& row) {
  auto& [asked, versions] = versions_[{row.package(), row.item()}];
  if (asked != 0 && asked <= first_index) return &versions;
  asked = first_index;
  versions.clear();
  v1::ListItemsRequest list;
  list.set_log(log_);
  list.set_package(row.package());
  list.set_item_prefix(row.item());
  list.set_versions_max(UINT32_MAX);
  RETURN_IF_ERROR(
      client::ListItems(node, list, client::Deadline::Never(), [&](const v1::ItemVersion& version) {
        // Newest first, and those that the name is only the beginning of come behind it.
        if (version.item() != row.item() || version.index() < first_index) return false;
        versions.push_back(version);
        return true;
      }));
  return &versions;
}

Result<const v1::Record*> QuarantineReader::RecordAt(client::NodeStubs* node, uint64_t index) {
  const auto [at, is_new] = records_.try_emplace(index);
  if (!is_new) return &at->second;
  v1::ReadRequest read;
  read.set_log(log_);
  read.set_from(index);
  read.set_to(index);
  const Status status = client::ReadRecords(node, read, client::Deadline::After(timeout_),
                                            [at = at](const v1::Record& record) {
                                              at->second = record;
                                              return true;
                                            });
  if (status.ok()) return &at->second;
  records_.erase(at);
  return status;
}

// The records that made versions of the row's item since then: the newest, and all that say the
// same.
Status QuarantineReader::ReadSince(client::NodeStubs* node, uint64_t first_index,
                                   const v1::Record& row, std::vector<v1::Record>* since) {
  ASSIGN_OR_RETURN(const Versions* versions, VersionsSince(node, first_index, row));
  const std::string digest(AsBytes(Sha256({row.payload()})));
  bool newest = true;
  for (const v1::ItemVersion& version : *versions) {
    if (version.index() < first_index) break;
    const bool same = version.kind() == row.kind() && version.payload_sha256() == digest;
    if (std::exchange(newest, false) || same) {
      ASSIGN_OR_RETURN(const v1::Record* record, RecordAt(node, version.index()));
      since->push_back(*record);
    }
  }
  return Status::Ok();
}

void QuarantineReader::Forget(const SetAsideBatch& batch) {
  for (const v1::Record& row : batch.records) versions_.erase({row.package(), row.item()});
}

Result<Standing> QuarantineReader::Find(const SetAside& aside, const SetAsideBatch& batch) {
  const client::NodeView* primary = cluster_->Primary(log_);
  if (primary == nullptr) {
    return Status(Code::kUnavailable, "log " + log_ + " has no reachable primary",
                  "see kembarctl status");
  }
  const auto node = cluster_->Stubs(primary->address);
  std::vector<v1::Record> since;
  for (const v1::Record& row : batch.records) {
    RETURN_IF_ERROR(ReadSince(node.get(), aside.entry.first_index(), row, &since));
  }
  return StandingOf(batch, since);
}

}  // namespace kembar::ctl
