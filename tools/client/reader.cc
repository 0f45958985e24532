// reader.cc — see reader.h.
#include "tools/client/reader.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "tools/client/rpc_status.h"

namespace kembar::client {
namespace {

// Reads a server stream to its end. `take` returns false to stop early.
template <class Response, class Start, class Take>
Status Drain(const Deadline& deadline, const Start& start, const Take& take) {
  grpc::ClientContext context;
  deadline.ApplyTo(&context);
  std::unique_ptr<grpc::ClientReader<Response>> reader = start(&context);
  Response response;
  bool stopped = false;
  while (!stopped && reader->Read(&response)) stopped = !take(response);
  if (stopped) {
    context.TryCancel();
    while (reader->Read(&response)) {
    }
  }
  const grpc::Status status = reader->Finish();
  return stopped ? Status::Ok() : FromGrpc(status, context);
}

template <class Rows, class T>
bool GiveEach(const Rows& rows, const Each<T>& each) {
  for (const T& row : rows) {
    if (!each(row)) return false;
  }
  return true;
}

}  // namespace

Status ReadRecords(NodeStubs* node, const v1::ReadRequest& request, const Deadline& deadline,
                   const Each<v1::Record>& each) {
  return Drain<v1::ReadResponse>(
      deadline, [&](grpc::ClientContext* context) { return node->log->Read(context, request); },
      [&](const v1::ReadResponse& response) { return GiveEach(response.records(), each); });
}

Status WatchRecords(NodeStubs* node, const v1::ReadRequest& request, const Deadline& deadline,
                    const Each<v1::Record>& each) {
  return Drain<v1::ReadResponse>(
      deadline, [&](grpc::ClientContext* context) { return node->log->Watch(context, request); },
      [&](const v1::ReadResponse& response) { return GiveEach(response.records(), each); });
}

Status ListPackages(NodeStubs* node, const v1::ListPackagesRequest& request,
                    const Deadline& deadline, const Each<v1::Package>& each) {
  return Drain<v1::ListPackagesResponse>(
      deadline,
      [&](grpc::ClientContext* context) { return node->tender->ListPackages(context, request); },
      [&](const v1::ListPackagesResponse& response) {
        return GiveEach(response.packages(), each);
      });
}

Status ShowPackage(NodeStubs* node, const v1::ShowPackageRequest& request, const Deadline& deadline,
                   v1::Package* package, const Each<v1::Item>& each) {
  return Drain<v1::ShowPackageResponse>(
      deadline,
      [&](grpc::ClientContext* context) { return node->tender->ShowPackage(context, request); },
      [&](const v1::ShowPackageResponse& response) {
        if (response.has_package()) *package = response.package();
        return GiveEach(response.items(), each);
      });
}

Status PackageHistory(NodeStubs* node, const v1::PackageHistoryRequest& request,
                      const Deadline& deadline, const Each<v1::Record>& each) {
  return Drain<v1::PackageHistoryResponse>(
      deadline,
      [&](grpc::ClientContext* context) { return node->tender->PackageHistory(context, request); },
      [&](const v1::PackageHistoryResponse& response) {
        return GiveEach(response.records(), each);
      });
}

Status ListItems(NodeStubs* node, const v1::ListItemsRequest& request, const Deadline& deadline,
                 const Each<v1::ItemVersion>& each) {
  return Drain<v1::ListItemsResponse>(
      deadline,
      [&](grpc::ClientContext* context) { return node->tender->ListItems(context, request); },
      [&](const v1::ListItemsResponse& response) { return GiveEach(response.items(), each); });
}

Status ForEachLiving(NodeStubs* node, const std::string& log, const v1::AsOf& as_of,
                     const std::string& package, std::string_view item_prefix,
                     const std::function<Status(const v1::ItemVersion&)>& each) {
  v1::ListItemsRequest request;
  request.set_log(log);
  if (as_of.at_case() != v1::AsOf::AT_NOT_SET) *request.mutable_as_of() = as_of;
  request.set_package(package);
  request.set_item_prefix(std::string(item_prefix));
  request.set_with_payload(true);
  Status odd;
  RETURN_IF_ERROR(ListItems(node, request, Deadline::Never(), [&](const v1::ItemVersion& version) {
    if (version.kind() != v1::RECORD_KIND_PUT) return true;
    odd = each(version);
    return odd.ok();
  }));
  return odd;
}

Status GetItem(NodeStubs* node, const v1::GetItemRequest& request, const Deadline& deadline,
               v1::ItemVersion* item) {
  grpc::ClientContext context;
  deadline.ApplyTo(&context);
  v1::GetItemResponse response;
  const grpc::Status status = node->tender->GetItem(&context, request, &response);
  RETURN_IF_ERROR(FromGrpc(status, context));
  *item = std::move(*response.mutable_item());
  return Status::Ok();
}

Status ReadQuarantine(NodeStubs* node, const v1::ReadQuarantineRequest& request,
                      const Deadline& deadline, const Each<v1::Record>& each) {
  return Drain<v1::ReadQuarantineResponse>(
      deadline,
      [&](grpc::ClientContext* context) { return node->admin->ReadQuarantine(context, request); },
      [&](const v1::ReadQuarantineResponse& response) {
        return GiveEach(response.records(), each);
      });
}

Status Verify(NodeStubs* node, const v1::VerifyRequest& request, const Deadline& deadline,
              const Each<v1::VerifyResponse>& each) {
  return Drain<v1::VerifyResponse>(
      deadline, [&](grpc::ClientContext* context) { return node->admin->Verify(context, request); },
      each);
}

}  // namespace kembar::client
