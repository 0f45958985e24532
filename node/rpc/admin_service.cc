// admin_service.cc — see admin_service.h.
#include "node/rpc/admin_service.h"

#include <grpcpp/grpcpp.h>

#include <array>
#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <random>
#include <utility>

#include "kembar/v1/admin.grpc.pb.h"
#include "node/rpc/convert.h"
#include "node/rpc/resolve.h"
#include "node/rpc/status_map.h"
#include "node/sources.h"
#include "node/verify.h"
#include "replicator/base/bytes.h"

namespace kembar {
namespace {

using grpc::ServerContext;

constexpr size_t kQuarantineReadBytes = size_t{256} << 10;
constexpr int64_t kPauseMsMax = 600'000;
constexpr size_t kTextBytesMax = size_t{64} << 10;  // reasons, notes

std::string NewUuid() {
  std::random_device device;
  std::string bytes;
  for (int i = 0; i < 4; ++i) AppendBigEndian32(&bytes, device());
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);  // RFC 9562, version 4
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  const std::string hex = ToHex(bytes);
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

void ToProto(const SourceSeen& source, v1::SourceStatus* out) {
  out->set_source(source.source);
  out->set_last_index(source.index);
  out->set_last_time_us(source.time_us);
  out->set_retired(source.retired);
}

void ToProto(const PackageCounts& counts, v1::PackageTotals* out) {
  out->set_as_of(counts.as_of);
  out->set_complete(counts.complete);
  out->set_incomplete(counts.incomplete);
  out->set_at_risk(counts.at_risk);
}

Status CheckText(const char* field, const std::string& text) {
  if (text.size() <= kTextBytesMax) return {};
  return {Code::kInvalid,
          std::string(field) + ": longer than " + std::to_string(kTextBytesMax) + " bytes"};
}

class Service final : public v1::Admin::Service {
 public:
  Service(Engine* engine, AdminServiceOptions options)
      : engine_(engine), options_(std::move(options)) {}

  grpc::Status Status(ServerContext* context, const v1::StatusRequest* request,
                      v1::StatusResponse* response) override {
    auto logs = engine_->ReadStatus(request->log());
    if (!logs.ok()) return Failed(logs.status(), context);
    response->set_node(options_.node);
    response->set_node_uuid(engine_->store()->node_uuid());
    response->set_version(options_.version);
    response->set_address(options_.address);
    response->set_http_address(options_.http_address);
    response->set_wall_us(std::chrono::duration_cast<std::chrono::microseconds>(
                              std::chrono::system_clock::now().time_since_epoch())
                              .count());
    if (options_.linked) {
      for (const std::string& peer : options_.linked()) response->add_linked(peer);
    }
    if (options_.refused) {
      for (const auto& [peer, why] : options_.refused()) {
        v1::LinkTrouble* trouble = response->add_refused_links();
        trouble->set_node(peer);
        trouble->set_text(why);
      }
    }
    if (options_.disk_free_bytes) response->set_disk_free_bytes(options_.disk_free_bytes());
    if (options_.disk_full) response->set_disk_full(options_.disk_full());
    std::map<std::string, PackageCounts> packages;
    if (options_.packages) packages = options_.packages();
    for (const auto& [log, status] : *logs) {
      v1::LogStatus* to = response->add_logs();
      ToProto(log, status, to);
      auto quarantines = engine_->store()->Quarantines(log);
      if (!quarantines.ok()) return Failed(quarantines.status(), context);
      to->set_quarantines(quarantines->size());
      if (const auto at = packages.find(log); at != packages.end()) {
        ToProto(at->second, to->mutable_packages());
      }
      auto sources = FindSources(*engine_->store(), log, status.commit_index);
      if (sources.ok()) {
        for (const SourceSeen& source : *sources) ToProto(source, to->add_sources());
      } else if (to->trouble().empty()) {
        // Whoever must fail over needs the rest of the answer.
        to->set_trouble("captures cannot be read: " + sources.status().ToString());
      }
    }
    return grpc::Status::OK;
  }

  grpc::Status CreateLog(ServerContext* context, const v1::CreateLogRequest* request,
                         v1::CreateLogResponse* response) override {
    kembar::CreateLog order;
    kembar::Status status = FromProto(request->config(), &order.state.config).Prepend("config");
    if (status.ok()) status = CheckText("reason", request->reason());
    if (status.ok() && request->log().empty()) {
      status = kembar::Status(Code::kInvalid, "log: must be named");
    }
    if (!status.ok()) return Failed(status, context);
    order.state.log_uuid = NewUuid();
    order.state.primary = options_.node;
    order.state.actor = request->actor();
    order.state.reason = request->reason();
    const Reply reply = Await(request->log(), std::move(order), context);
    if (!reply.status.ok()) return Failed(reply.status, context);
    response->set_epoch(reply.epoch);
    response->set_index(reply.index);
    return grpc::Status::OK;
  }

  grpc::Status Fence(ServerContext* context, const v1::FenceRequest* request,
                     v1::FenceResponse* response) override {
    kembar::FenceRequest order{.epoch = request->epoch(), .candidate = request->candidate()};
    const Reply reply = OrderOn(request->log(), std::move(order), context);
    if (!reply.status.ok()) return Failed(reply.status, context);
    if (reply.fence) ToProto(*reply.fence, response);
    return grpc::Status::OK;
  }

  grpc::Status Promote(ServerContext* context, const v1::PromoteRequest* request,
                       v1::PromoteResponse* response) override {
    kembar::PromoteRequest order{.epoch = request->epoch()};
    const kembar::Status status = FromProto(request->control(), &order.state).Prepend("control");
    if (!status.ok()) return Failed(status, context);
    const Reply reply = OrderOn(request->log(), std::move(order), context);
    if (!reply.status.ok()) return Failed(reply.status, context);
    response->set_epoch(reply.epoch);
    response->set_index(reply.index);
    return grpc::Status::OK;
  }

  grpc::Status PauseAppends(ServerContext* context, const v1::PauseAppendsRequest* request,
                            v1::PauseAppendsResponse* /*response*/) override {
    if (request->for_ms() < 0 || request->for_ms() > kPauseMsMax) {
      return Failed(
          kembar::Status(Code::kInvalid, "for_ms: must be 0 to " + std::to_string(kPauseMsMax)),
          context);
    }
    Event order = ResumeAppends{};
    if (request->for_ms() != 0) order = kembar::PauseAppends{.for_ms = request->for_ms()};
    return Failed(OrderOn(request->log(), std::move(order), context).status, context,
                  request->log());
  }

  grpc::Status ChangeConfig(ServerContext* context, const v1::ChangeConfigRequest* request,
                            v1::ChangeConfigResponse* response) override {
    kembar::ChangeConfig order{.actor = request->actor(), .reason = request->reason()};
    kembar::Status status = FromProto(request->config(), &order.config).Prepend("config");
    if (status.ok()) status = CheckText("reason", request->reason());
    if (!status.ok()) return Failed(status, context);
    const Reply reply = OrderOn(request->log(), std::move(order), context);
    response->set_index(reply.index);
    return Failed(reply.status, context, request->log());
  }

  grpc::Status AppendNote(ServerContext* context, const v1::AppendNoteRequest* request,
                          v1::AppendNoteResponse* response) override {
    const kembar::Status status = CheckText("text", request->text());
    if (!status.ok()) return Failed(status, context);
    const Reply reply =
        OrderOn(request->log(), kembar::AppendNote{.text = request->text()}, context);
    response->set_index(reply.index);
    return Failed(reply.status, context, request->log());
  }

  grpc::Status Repair(ServerContext* context, const v1::RepairRequest* request,
                      v1::RepairResponse* response) override {
    kembar::Status status = CheckText("actor", request->actor());
    if (status.ok()) status = CheckText("reason", request->reason());
    if (!status.ok()) return Failed(status, context);
    kembar::RepairRequest order{.actor = request->actor(), .reason = request->reason()};
    const Reply reply = OrderOn(request->log(), std::move(order), context);
    if (!reply.status.ok()) return Failed(reply.status, context);
    response->set_quarantined(reply.quarantined);
    response->set_from_index(reply.index);
    response->set_primary(reply.primary);
    return grpc::Status::OK;
  }

  grpc::Status Verify(ServerContext* context, const v1::VerifyRequest* request,
                      grpc::ServerWriter<v1::VerifyResponse>* writer) override {
    auto logs = engine_->ReadStatus(request->log());
    if (!logs.ok()) return Failed(logs.status(), context);
    // Damage shows here also where no record lies. It is the node's, told with the log that is
    // asked.
    const kembar::Status files = options_.check_files ? options_.check_files() : kembar::Status();
    if (!files.ok()) {
      v1::VerifyResponse response;
      response.set_log(logs->empty() ? request->log() : logs->begin()->first);
      response.add_errors(files.ToString());
      if (!writer->Write(response)) return {grpc::StatusCode::CANCELLED, "the caller went away"};
    }
    for (const auto& [log, status] : *logs) {
      const VerifyRange range{
          .log = log, .last_index = status.durable_index, .commit_index = status.commit_index};
      bool wanted = true;
      uint64_t records = 0;
      VerifyLog(*engine_->store(), range, [&](const VerifyProgress& progress) {
        v1::VerifyResponse response;
        response.set_log(log);
        response.set_records(progress.records);
        for (const std::string& error : progress.errors) response.add_errors(error);
        response.set_done(progress.done && !options_.verify_documents);
        records = progress.records;
        wanted = !context->IsCancelled() && writer->Write(response);
        return wanted;
      });
      if (wanted && options_.verify_documents) {
        wanted = VerifyDocumentsOf(log, status.durable_index, records, context, writer);
      }
      if (!wanted) return {grpc::StatusCode::CANCELLED, "the caller went away"};
    }
    return grpc::Status::OK;
  }

  grpc::Status ListQuarantine(ServerContext* context, const v1::ListQuarantineRequest* request,
                              v1::ListQuarantineResponse* response) override {
    Result<std::string> log = ResolveLog(*engine_, request->log());
    if (!log.ok()) return Failed(log.status(), context);
    auto list = engine_->store()->Quarantines(*log);
    if (!list.ok()) return Failed(list.status(), context);
    for (const QuarantineInfo& info : *list) ToProto(info, response->add_entries());
    return grpc::Status::OK;
  }

  grpc::Status ReadQuarantine(ServerContext* context, const v1::ReadQuarantineRequest* request,
                              grpc::ServerWriter<v1::ReadQuarantineResponse>* writer) override {
    return Failed(SendQuarantine(*request, context, writer), context);
  }

 private:
  // False: the caller went away.
  bool VerifyDocumentsOf(const std::string& log, uint64_t last_index, uint64_t records,
                         ServerContext* context, grpc::ServerWriter<v1::VerifyResponse>* writer) {
    v1::VerifyResponse response;
    response.set_log(log);
    response.set_records(records);
    bool wanted = true;
    options_.verify_documents(log, last_index, [&](const BlobVerifyProgress& progress) {
      response.set_blobs(progress.chunks);
      response.clear_errors();
      for (const std::string& error : progress.errors) response.add_errors(error);
      wanted = !context->IsCancelled() && writer->Write(response);
      return wanted;
    });
    response.clear_errors();
    response.set_done(true);
    return wanted && writer->Write(response);
  }

  kembar::Status SendQuarantine(const v1::ReadQuarantineRequest& request, ServerContext* context,
                                grpc::ServerWriter<v1::ReadQuarantineResponse>* writer) {
    ASSIGN_OR_RETURN(const std::string log, ResolveLog(*engine_, request.log()));
    ASSIGN_OR_RETURN(const auto list, engine_->store()->Quarantines(log));
    const QuarantineInfo* found = nullptr;
    for (const QuarantineInfo& info : list) {
      if (info.id == request.id()) found = &info;
    }
    if (found == nullptr) {
      return {Code::kNotFound, "log " + log + " has no quarantine " + std::to_string(request.id()),
              "see: kembarctl quarantine list"};
    }
    for (uint64_t next = found->first_index; next <= found->last_index;) {
      ASSIGN_OR_RETURN(const auto frames, engine_->store()->QuarantinedFrames(
                                              log, found->id, next, kQuarantineReadBytes));
      if (frames.empty()) break;
      v1::ReadQuarantineResponse response;
      for (const std::string& frame : frames) {
        RETURN_IF_ERROR(FrameToProto(frame, /*with_frame=*/true, response.add_records())
                            .Prepend("quarantined record " + std::to_string(next)));
        ++next;
      }
      if (context->IsCancelled() || !writer->Write(response)) {
        return {Code::kCancelled, "the caller went away"};
      }
    }
    return {};
  }

  Reply OrderOn(const std::string& asked, Event order, ServerContext* context) {
    Result<std::string> log = ResolveLog(*engine_, asked);
    if (!log.ok()) return Reply{.status = log.status()};
    return Await(*log, std::move(order), context);
  }

  // The order may still be carried out after this has stopped waiting.
  Reply Await(const std::string& log, Event order, ServerContext* context) {
    auto promise = std::make_shared<std::promise<Reply>>();
    std::future<Reply> future = promise->get_future();
    engine_->Order(log, std::move(order),
                   [promise](const Reply& reply) { promise->set_value(reply); });
    const auto now = std::chrono::system_clock::now();
    const auto until =
        std::min(context->deadline(), now + std::chrono::milliseconds(options_.order_wait_ms));
    if (future.wait_until(until) == std::future_status::ready) return future.get();
    return Reply{.status = kembar::Status(Code::kTimeout,
                                          "the order was not carried out in time; it still may be",
                                          "see: kembarctl status")};
  }

  // OK stays OK. With `log`, a refusal for not being primary says who is.
  grpc::Status Failed(const kembar::Status& status, ServerContext* context,
                      const std::optional<std::string>& asked = {}) {
    if (status.code() == Code::kNotPrimary && asked) {
      Result<std::string> log = ResolveLog(*engine_, *asked);
      auto all = log.ok() ? engine_->ReadStatus(*log) : log.status();
      if (all.ok()) {
        const ReplicaStatus& replica = all->begin()->second;
        AddPrimary(replica.primary, replica.primary_address, context);
      }
    }
    if (status.code() == Code::kCancelled) {
      return ToGrpc(kembar::Status(Code::kUnavailable, status.message(), status.hint()), context);
    }
    return ToGrpc(status, context);
  }

  Engine* const engine_;
  const AdminServiceOptions options_;
};

}  // namespace

struct AdminService::Impl {
  Impl(Engine* engine, AdminServiceOptions options) : service(engine, std::move(options)) {}
  Service service;
};

AdminService::AdminService(Engine* engine, AdminServiceOptions options)
    : impl_(std::make_unique<Impl>(engine, std::move(options))) {}

AdminService::~AdminService() = default;

grpc::Service* AdminService::service() { return &impl_->service; }

}  // namespace kembar
