// fake_node.h — a node in memory that is primary of log "tebo" and answers what the documents
// source and fetching ask: real gRPC, no replication. Can be told to lose or damage chunks, and to
// be slow.
//
// Thread-safety: everything may be called from any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "kembar/v1/admin.grpc.pb.h"
#include "kembar/v1/blob.grpc.pb.h"
#include "kembar/v1/log.grpc.pb.h"
#include "kembar/v1/tender.grpc.pb.h"
#include "replicator/base/digest.h"

namespace kembar::testing {

class FakeNode : public v1::Admin::Service,
                 public v1::Log::Service,
                 public v1::Tender::Service,
                 public v1::Blob::Service {
 public:
  FakeNode() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(64 << 20);
    builder.RegisterService(static_cast<v1::Admin::Service*>(this));
    builder.RegisterService(static_cast<v1::Log::Service*>(this));
    builder.RegisterService(static_cast<v1::Tender::Service*>(this));
    builder.RegisterService(static_cast<v1::Blob::Service*>(this));
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeNode() override { server_->Shutdown(); }

  const std::string& address() const { return address_; }

  // Living items: "package item" to payload.
  std::map<std::string, std::string> Living() const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::string> living;
    for (const auto& [key, versions] : items_) {
      if (versions.back().kind() == v1::RECORD_KIND_PUT) {
        living[key.first + " " + key.second] = versions.back().payload();
      }
    }
    return living;
  }
  // Payloads of an item's versions, the oldest first.
  std::vector<std::string> Versions(const std::string& package, const std::string& item) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> payloads;
    const auto at = items_.find({package, item});
    if (at == items_.end()) return payloads;
    for (const v1::ItemVersion& version : at->second) payloads.push_back(version.payload());
    return payloads;
  }
  uint64_t records() const {
    const std::lock_guard lock(mutex_);
    return index_;
  }
  uint64_t bytes_put() const {
    const std::lock_guard lock(mutex_);
    return bytes_put_;
  }
  void Put(const std::string& package, const std::string& item, const std::string& payload) {
    const std::lock_guard lock(mutex_);
    Keep(v1::RECORD_KIND_PUT, package, item, payload);
  }
  void Remove(const std::string& package, const std::string& item) {
    const std::lock_guard lock(mutex_);
    Keep(v1::RECORD_KIND_DELETE, package, item, {});
  }
  // Somebody else appends in this source's name.
  void TakePosition(const std::string& source) {
    const std::lock_guard lock(mutex_);
    ++positions_[source];
  }
  // Called before each append is taken.
  void OnAppend(std::function<void(const v1::AppendRequest&)> on_append) {
    const std::lock_guard lock(mutex_);
    on_append_ = std::move(on_append);
  }
  void CopyChunksFrom(const FakeNode& other) {
    const std::scoped_lock lock(mutex_, other.mutex_);
    chunks_ = other.chunks_;
  }
  Digest AddChunk(const std::string& chunk) {
    const std::lock_guard lock(mutex_);
    const Digest digest = Sha256({chunk});
    chunks_[digest] = chunk;
    return digest;
  }
  // Each chunk of an answer comes so long after the one before.
  void SlowDown(std::chrono::milliseconds pause) {
    const std::lock_guard lock(mutex_);
    pause_ = pause;
  }
  void LoseChunk(const Digest& digest) {
    const std::lock_guard lock(mutex_);
    chunks_.erase(digest);
  }
  void DamageChunk(const Digest& digest) {
    const std::lock_guard lock(mutex_);
    chunks_[digest] = "damaged";
  }

  grpc::Status Status(grpc::ServerContext*, const v1::StatusRequest*,
                      v1::StatusResponse* response) override {
    response->set_node("tebo");
    response->set_address(address_);
    v1::LogStatus* log = response->add_logs();
    log->set_log("tebo");
    log->set_role("primary");
    log->set_primary("tebo");
    log->set_primary_address(address_);
    return grpc::Status::OK;
  }

  grpc::Status Append(grpc::ServerContext*, const v1::AppendRequest* request,
                      v1::AppendResponse* response) override {
    const std::lock_guard lock(mutex_);
    if (on_append_) on_append_(*request);
    uint64_t& last = positions_[request->source()];
    response->set_position(request->position());
    if (request->position() <= last) {
      response->set_duplicate(true);
      return grpc::Status::OK;
    }
    for (const v1::Draft& draft : request->drafts()) {
      Keep(draft.kind(), draft.package(), draft.item(), draft.payload());
    }
    last = request->position();
    response->set_index(index_);
    return grpc::Status::OK;
  }
  grpc::Status SourcePosition(grpc::ServerContext*, const v1::SourcePositionRequest* request,
                              v1::SourcePositionResponse* response) override {
    const std::lock_guard lock(mutex_);
    response->set_position(positions_[request->source()]);
    return grpc::Status::OK;
  }

  grpc::Status ListItems(grpc::ServerContext*, const v1::ListItemsRequest* request,
                         grpc::ServerWriter<v1::ListItemsResponse>* writer) override {
    const std::lock_guard lock(mutex_);
    v1::ListItemsResponse response;
    const uint64_t as_of = request->as_of().index() > 0 ? request->as_of().index() : index_;
    for (const auto& [key, versions] : items_) {
      if (!request->package().empty() && key.first != request->package()) continue;
      if (!key.second.starts_with(request->item_prefix())) continue;
      uint32_t left = std::max<uint32_t>(request->versions_max(), 1);
      for (auto version = versions.rbegin(); version != versions.rend() && left > 0; ++version) {
        if (version->index() > as_of) continue;
        *response.add_items() = *version;
        --left;
      }
    }
    writer->Write(response);
    return grpc::Status::OK;
  }

  grpc::Status Missing(grpc::ServerContext*, const v1::MissingRequest* request,
                       v1::MissingResponse* response) override {
    const std::lock_guard lock(mutex_);
    for (const std::string& digest : request->digests()) {
      if (!chunks_.contains(DigestFromBytes(digest))) response->add_digests(digest);
    }
    return grpc::Status::OK;
  }
  grpc::Status Put(grpc::ServerContext*, const v1::PutRequest* request,
                   v1::PutResponse* response) override {
    const std::lock_guard lock(mutex_);
    uint64_t stored = 0;
    for (const std::string& chunk : request->chunks()) {
      bytes_put_ += chunk.size();
      if (chunks_.emplace(Sha256({chunk}), chunk).second) ++stored;
    }
    response->set_stored(stored);
    return grpc::Status::OK;
  }
  grpc::Status Ensure(grpc::ServerContext*, const v1::EnsureRequest* request,
                      v1::EnsureResponse* response) override {
    const std::lock_guard lock(mutex_);
    for (const std::string& digest : request->digests()) {
      if (!chunks_.contains(DigestFromBytes(digest))) {
        return {grpc::StatusCode::NOT_FOUND, "a chunk is not here"};
      }
    }
    response->set_sites(2);
    return grpc::Status::OK;
  }
  grpc::Status Get(grpc::ServerContext* context, const v1::GetRequest* request,
                   grpc::ServerWriter<v1::GetResponse>* writer) override {
    std::unique_lock lock(mutex_);
    for (const std::string& digest : request->digests()) {
      const auto until = std::chrono::steady_clock::now() + pause_;
      while (std::chrono::steady_clock::now() < until && !context->IsCancelled()) {
        nobody_.wait_for(lock, std::chrono::milliseconds(5));
      }
      const auto at = chunks_.find(DigestFromBytes(digest));
      if (at == chunks_.end()) return {grpc::StatusCode::NOT_FOUND, "not here"};
      v1::GetResponse response;
      response.set_digest(digest);
      response.set_chunk(at->second);
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

 private:
  void Keep(v1::RecordKind kind, const std::string& package, const std::string& item,
            const std::string& payload) {
    v1::ItemVersion& version = items_[{package, item}].emplace_back();
    version.set_package(package);
    version.set_item(item);
    version.set_kind(kind);
    version.set_payload(payload);
    version.set_index(++index_);
  }

  mutable std::mutex mutex_;
  std::condition_variable nobody_;
  std::function<void(const v1::AppendRequest&)> on_append_;
  std::chrono::milliseconds pause_{0};
  std::map<std::pair<std::string, std::string>, std::vector<v1::ItemVersion>> items_;  // by age
  std::map<std::string, uint64_t> positions_;
  std::map<Digest, std::string> chunks_;
  uint64_t index_ = 0;
  uint64_t bytes_put_ = 0;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace kembar::testing
