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

bool IsPresent(const SetAsideBatch& batch, const std::vector<v1::Record>& history) {
  return std::all_of(batch.records.begin(), batch.records.end(), [&](const v1::Record& row) {
    return std::any_of(history.begin(), history.end(), [&](const v1::Record& held) {
      if (!SameRow(row, held)) return false;
      const bool repeated = held.source() == row.source() && held.position() == row.position();
      const bool resubmitted =
          held.source().starts_with(kSourcePrefix) && held.position() == batch.index;
      return repeated || resubmitted;
    });
  });
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

Result<const std::vector<v1::Record>*> QuarantineReader::History(const std::string& package) {
  const auto it = histories_.find(package);
  if (it != histories_.end()) return &it->second;
  const client::NodeView* primary = cluster_->Primary(log_);
  if (primary == nullptr) {
    return Status(Code::kUnavailable, "log " + log_ + " has no reachable primary",
                  "see kembarctl status");
  }
  v1::PackageHistoryRequest request;
  request.set_log(log_);
  request.set_package(package);
  std::vector<v1::Record> records;
  const Status status =
      client::PackageHistory(cluster_->Stubs(primary->address).get(), request,
                             client::Deadline::Never(), [&](const v1::Record& record) {
                               records.push_back(record);
                               return true;
                             });
  if (!status.ok() && status.code() != Code::kNotFound) return status;
  return &(histories_[package] = std::move(records));
}

Result<bool> QuarantineReader::IsInLog(const SetAsideBatch& batch) {
  std::vector<v1::Record> history;
  std::vector<std::string> asked;
  for (const v1::Record& record : batch.records) {
    if (std::find(asked.begin(), asked.end(), record.package()) != asked.end()) continue;
    asked.push_back(record.package());
    ASSIGN_OR_RETURN(const std::vector<v1::Record>* of_package, History(record.package()));
    history.insert(history.end(), of_package->begin(), of_package->end());
  }
  return IsPresent(batch, history);
}

}  // namespace kembar::ctl
