// quarantine.cc — see quarantine.h.
#include "tools/kembarctl/quarantine.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "tools/client/reader.h"
#include "tools/client/rpc_status.h"

namespace kembar::ctl {
namespace {

constexpr char kSourcePrefix[] = "quarantine/";

bool IsRow(const v1::Record& record) {
  return record.kind() == v1::RECORD_KIND_PUT || record.kind() == v1::RECORD_KIND_DELETE;
}

bool IsResubmitted(const v1::Record& record) { return record.source().starts_with(kSourcePrefix); }

bool SamePlace(const v1::Record& a, const v1::Record& b) {
  return a.source() == b.source() && a.position() == b.position();
}

bool SameRow(const v1::Record& a, const v1::Record& b) {
  return a.kind() == b.kind() && a.package() == b.package() && a.item() == b.item() &&
         a.payload() == b.payload();
}

}  // namespace

std::string ResubmitSource(const SetAside& aside) {
  return kSourcePrefix + aside.node + "/" + std::to_string(aside.entry.id());
}

void AddRecords(const std::vector<v1::Record>& records, SetAside* aside) {
  SetAsideBatch batch;
  for (const v1::Record& record : records) {
    batch.index = record.index();
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
                 (IsResubmitted(held) ? held.position() == batch.index : SamePlace(row, held));
        });
      });
  if (present) return Standing::kPresent;
  const bool superseded =
      std::any_of(batch.records.begin(), batch.records.end(), [&](const auto& row) {
        return std::any_of(since.begin(), since.end(), [&](const v1::Record& held) {
          // What was resubmitted before it is older, though it stands later in the log.
          const bool newer = !IsResubmitted(held) || held.position() > batch.index;
          return newer && held.package() == row.package() && held.item() == row.item();
        });
      });
  return superseded ? Standing::kSuperseded : Standing::kAbsent;
}

v1::AppendRequest ResubmitRequest(const std::string& log, const SetAside& aside,
                                  const SetAsideBatch& batch) {
  v1::AppendRequest request;
  request.set_log(log);
  request.set_source(ResubmitSource(aside));
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

// The records that made versions of the row's item since then: the newest, and all that say the
// same.
Status QuarantineReader::ReadSince(client::NodeStubs* node, uint64_t first_index,
                                   const v1::Record& row, std::vector<v1::Record>* since) const {
  v1::ListItemsRequest list;
  list.set_log(log_);
  list.set_package(row.package());
  list.set_item_prefix(row.item());
  list.set_versions_max(UINT32_MAX);
  const std::string digest(AsBytes(Sha256({row.payload()})));
  std::vector<uint64_t> indices;
  RETURN_IF_ERROR(
      client::ListItems(node, list, client::Deadline::Never(), [&](const v1::ItemVersion& version) {
        // Newest first, and those that the name is only the beginning of come behind it.
        if (version.item() != row.item() || version.index() < first_index) return false;
        const bool same = version.kind() == row.kind() && version.payload_sha256() == digest;
        if (indices.empty() || same) indices.push_back(version.index());
        return true;
      }));
  for (const uint64_t index : indices) {
    v1::ReadRequest read;
    read.set_log(log_);
    read.set_from(index);
    read.set_to(index);
    RETURN_IF_ERROR(client::ReadRecords(node, read, client::Deadline::After(timeout_),
                                        [since](const v1::Record& record) {
                                          since->push_back(record);
                                          return true;
                                        }));
  }
  return Status::Ok();
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
