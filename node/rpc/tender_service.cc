// tender_service.cc — see tender_service.h. What a package is stands in node/inventory.
#include "node/rpc/tender_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "kembar/v1/tender.grpc.pb.h"
#include "node/inventory.h"
#include "node/rpc/convert.h"
#include "node/rpc/resolve.h"
#include "node/rpc/status_map.h"

namespace kembar {
namespace {

v1::PackageState StateToProto(PackageState state) {
  switch (state) {
    case PackageState::kComplete: return v1::PACKAGE_STATE_COMPLETE;
    case PackageState::kIncomplete: return v1::PACKAGE_STATE_INCOMPLETE;
    case PackageState::kAtRisk: return v1::PACKAGE_STATE_AT_RISK;
  }
  return v1::PACKAGE_STATE_UNSPECIFIED;
}

v1::RecordKind KindToProto(RecordKind kind) { return static_cast<v1::RecordKind>(kind); }

void ToProto(const PackageInfo& in, v1::Package* out) {
  out->set_package(in.package);
  out->set_title(in.title);
  out->set_value(in.value);
  out->set_unit(in.unit);
  out->set_items(in.items);
  out->set_documents(in.documents);
  out->set_missing_documents(in.missing_documents);
  out->set_last_index(in.last_index);
  out->set_last_time_us(in.last_time_us);
  out->set_state(StateToProto(in.state));
}

void ToProto(const ItemInfo& in, v1::Item* out) {
  out->set_item(in.latest.item);
  out->set_versions(in.versions);
  out->set_index(in.latest.index);
  out->set_time_us(in.latest.time_us);
  out->set_kind(KindToProto(in.latest.kind));
  out->set_payload_bytes(in.latest.payload_bytes);
  out->set_payload_sha256(std::string(AsBytes(in.latest.payload_sha256)));
  out->set_missing(in.missing);
}

void ToProto(const ItemVersion& in, v1::ItemVersion* out) {
  out->set_package(in.package);
  out->set_item(in.item);
  out->set_index(in.index);
  out->set_time_us(in.time_us);
  out->set_kind(KindToProto(in.kind));
  out->set_payload_bytes(in.payload_bytes);
  out->set_payload_sha256(std::string(AsBytes(in.payload_sha256)));
}

// Gathers entries into answers and writes each answer when it is full. An answer that cannot be
// written means that the caller is gone.
template <class Response>
class Answers {
 public:
  Answers(grpc::ServerWriter<Response>* writer, const TenderServiceOptions& options)
      : writer_(writer), options_(options) {}

  Response* current() { return &response_; }
  // After an entry of about `bytes` was added to current(). False: the caller is gone.
  bool Added(size_t bytes) {
    bytes_ += bytes;
    if (++entries_ < options_.entries_per_answer && bytes_ < options_.bytes_per_answer) return true;
    return Write();
  }
  // Writes what is left; with `always` even when that is nothing.
  Status Finish(Status status, bool always = false) {
    if (gone_) return {Code::kCancelled, "the caller went away"};
    if (!status.ok()) return status;
    if ((entries_ > 0 || always) && !Write()) return {Code::kCancelled, "the caller went away"};
    return {};
  }

 private:
  bool Write() {
    gone_ = !writer_->Write(response_);
    response_.Clear();
    entries_ = 0;
    bytes_ = 0;
    return !gone_;
  }

  grpc::ServerWriter<Response>* const writer_;
  const TenderServiceOptions& options_;
  Response response_;
  size_t entries_ = 0;
  size_t bytes_ = 0;
  bool gone_ = false;
};

}  // namespace

struct TenderService::Impl final : v1::Tender::Service {
  Impl(Engine* engine_in, TenderServiceOptions options_in)
      : engine(engine_in), options(std::move(options_in)) {}

  grpc::Status ListPackages(grpc::ServerContext* context, const v1::ListPackagesRequest* request,
                            grpc::ServerWriter<v1::ListPackagesResponse>* writer) override {
    return ToGrpc(List(*request, writer), context);
  }
  grpc::Status ShowPackage(grpc::ServerContext* context, const v1::ShowPackageRequest* request,
                           grpc::ServerWriter<v1::ShowPackageResponse>* writer) override {
    return ToGrpc(Show(*request, writer), context);
  }
  grpc::Status PackageHistory(grpc::ServerContext* context,
                              const v1::PackageHistoryRequest* request,
                              grpc::ServerWriter<v1::PackageHistoryResponse>* writer) override {
    return ToGrpc(History(*request, writer), context);
  }
  grpc::Status ListItems(grpc::ServerContext* context, const v1::ListItemsRequest* request,
                         grpc::ServerWriter<v1::ListItemsResponse>* writer) override {
    return ToGrpc(Items(*request, writer), context);
  }
  grpc::Status GetItem(grpc::ServerContext* context, const v1::GetItemRequest* request,
                       v1::GetItemResponse* response) override {
    return ToGrpc(Get(*request, response), context);
  }

  Result<InventoryScope> Scope(const std::string& log, const v1::AsOf& as_of) const;
  Status List(const v1::ListPackagesRequest& request,
              grpc::ServerWriter<v1::ListPackagesResponse>* writer) const;
  Status Show(const v1::ShowPackageRequest& request,
              grpc::ServerWriter<v1::ShowPackageResponse>* writer) const;
  Status History(const v1::PackageHistoryRequest& request,
                 grpc::ServerWriter<v1::PackageHistoryResponse>* writer) const;
  Status Items(const v1::ListItemsRequest& request,
               grpc::ServerWriter<v1::ListItemsResponse>* writer) const;
  Status Get(const v1::GetItemRequest& request, v1::GetItemResponse* response) const;

  Engine* const engine;
  const TenderServiceOptions options;
};

Result<InventoryScope> TenderService::Impl::Scope(const std::string& log,
                                                  const v1::AsOf& as_of) const {
  InventoryScope scope;
  ASSIGN_OR_RETURN(scope.log, ResolveLog(*engine, log));
  ASSIGN_OR_RETURN(auto statuses, engine->ReadStatus(scope.log));
  const ReplicaStatus& status = statuses[scope.log];
  scope.others = OtherSitesOf(status, options.told ? options.told(scope.log) : Told());
  scope.as_of = status.commit_index;
  if (options.documents) scope.documents = options.documents(scope.log);
  if (as_of.at_case() == v1::AsOf::kIndex) {
    if (as_of.index() > status.commit_index) {
      return Status(Code::kGap, "as_of: index " + std::to_string(as_of.index()) + " of log " +
                                    scope.log + " is not committed here, only up to " +
                                    std::to_string(status.commit_index));
    }
    scope.as_of = as_of.index();
  } else if (as_of.at_case() == v1::AsOf::kTimeUs) {
    ASSIGN_OR_RETURN(scope.as_of, IndexAtTime(*engine->store(), scope.log, status.commit_index,
                                              as_of.time_us()));
  }
  return scope;
}

Status TenderService::Impl::List(const v1::ListPackagesRequest& request,
                                 grpc::ServerWriter<v1::ListPackagesResponse>* writer) const {
  ASSIGN_OR_RETURN(const InventoryScope scope, Scope(request.log(), request.as_of()));
  Answers<v1::ListPackagesResponse> answers(writer, options);
  return answers.Finish(
      ForEachPackage(*engine->store(), scope, [&answers](const PackageInfo& package) {
        ToProto(package, answers.current()->add_packages());
        return answers.Added(package.package.size() + package.title.size() + package.value.size() +
                             package.unit.size());
      }));
}

Status TenderService::Impl::Show(const v1::ShowPackageRequest& request,
                                 grpc::ServerWriter<v1::ShowPackageResponse>* writer) const {
  ASSIGN_OR_RETURN(const InventoryScope scope, Scope(request.log(), request.as_of()));
  const Store& store = *engine->store();
  ASSIGN_OR_RETURN(const PackageInfo package, FindPackage(store, scope, request.package()));
  Answers<v1::ShowPackageResponse> answers(writer, options);
  ToProto(package, answers.current()->mutable_package());
  Status unreadable;
  const auto add = [&](const ItemInfo& item) {
    v1::Item* out = answers.current()->add_items();
    ToProto(item, out);
    if (request.with_payload()) {
      auto record = ReadRecord(store, scope.log, item.latest.index);
      unreadable = record.status();
      if (!record.ok()) return false;
      out->set_payload(std::move(record->payload));
    }
    return answers.Added(item.latest.item.size() + out->payload().size());
  };
  Status visited = ForEachItem(store, scope, package.package, add);
  // The package itself is answered also when it has no items.
  return answers.Finish(unreadable.ok() ? visited : unreadable, answers.current()->has_package());
}

Status TenderService::Impl::History(const v1::PackageHistoryRequest& request,
                                    grpc::ServerWriter<v1::PackageHistoryResponse>* writer) const {
  ASSIGN_OR_RETURN(const InventoryScope scope, Scope(request.log(), request.as_of()));
  const Store& store = *engine->store();
  RETURN_IF_ERROR(FindPackage(store, scope, request.package()).status());
  Answers<v1::PackageHistoryResponse> answers(writer, options);
  return answers.Finish(
      ForEachRecord(store, scope, request.package(), [&answers](const Record& record) {
        ToProto(record, answers.current()->add_records());
        return answers.Added(record.payload.size() + record.item.size() + record.title.size());
      }));
}

Status TenderService::Impl::Items(const v1::ListItemsRequest& request,
                                  grpc::ServerWriter<v1::ListItemsResponse>* writer) const {
  ASSIGN_OR_RETURN(const InventoryScope scope, Scope(request.log(), request.as_of()));
  const Store& store = *engine->store();
  const ItemQuery query{.package = request.package(),
                        .package_prefix = request.package_prefix(),
                        .item_prefix = request.item_prefix(),
                        .versions_max = std::max<uint64_t>(request.versions_max(), 1)};
  Answers<v1::ListItemsResponse> answers(writer, options);
  Status unreadable;
  const auto add = [&](const ItemVersion& version) {
    v1::ItemVersion* out = answers.current()->add_items();
    ToProto(version, out);
    if (request.with_payload()) {
      auto record = ReadRecord(store, scope.log, version.index);
      unreadable = record.status();
      if (!record.ok()) return false;
      out->set_payload(std::move(record->payload));
    }
    return answers.Added(version.package.size() + version.item.size() + sizeof(Digest) +
                         out->payload().size());
  };
  const Status visited = ForEachVersion(store, scope, query, add);
  return answers.Finish(unreadable.ok() ? visited : unreadable);
}

Status TenderService::Impl::Get(const v1::GetItemRequest& request,
                                v1::GetItemResponse* response) const {
  ASSIGN_OR_RETURN(const InventoryScope scope, Scope(request.log(), request.as_of()));
  const Store& store = *engine->store();
  ASSIGN_OR_RETURN(const ItemVersion version,
                   FindItem(store, scope, request.package(), request.item()));
  ASSIGN_OR_RETURN(Record record, ReadRecord(store, scope.log, version.index));
  ToProto(version, response->mutable_item());
  response->mutable_item()->set_payload(std::move(record.payload));
  return Status::Ok();
}

TenderService::TenderService(Engine* engine, TenderServiceOptions options)
    : impl_(std::make_unique<Impl>(engine, std::move(options))) {}

TenderService::~TenderService() = default;

grpc::Service* TenderService::service() { return impl_.get(); }

}  // namespace kembar
