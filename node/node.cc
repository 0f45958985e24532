// node.cc — see node.h.
#include "node/node.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <thread>

#include "node/blob/blob_store.h"
#include "node/blob/holdings.h"
#include "node/blob/runner.h"
#include "node/blob/tracker.h"
#include "node/blob/verify_blobs.h"
#include "node/engine.h"
#include "node/http/http_server.h"
#include "node/http/snapshot.h"
#include "node/listen_probe.h"
#include "node/package_counts.h"
#include "node/rpc/admin_service.h"
#include "node/rpc/blob_service.h"
#include "node/rpc/grpc_options.h"
#include "node/rpc/log_service.h"
#include "node/rpc/replication_link.h"
#include "node/rpc/tender_service.h"
#include "node/store/rocks_store.h"
#include "replicator/base/config_text.h"

namespace kembar {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr milliseconds kWatchInterval{1'000};
// Once full, appends are taken again only when so much more than the reserve is free: no flapping.
constexpr uint64_t kReserveSlackDivisor = 8;
// Documents leave so many times the reserve free, so that they do not use up what records need.
constexpr uint64_t kBlobReserves = 2;
constexpr std::array kServices = {"kembar.v1.Log", "kembar.v1.Admin", "kembar.v1.Tender",
                                  "kembar.v1.Blob", "kembar.v1.Replication"};

void GrpcLog(gpr_log_func_args* args) {
  switch (args->severity) {
    case GPR_LOG_SEVERITY_ERROR: spdlog::warn("grpc text=\"{}\"", args->message); return;
    case GPR_LOG_SEVERITY_INFO:
    case GPR_LOG_SEVERITY_DEBUG: spdlog::debug("grpc text=\"{}\"", args->message); return;
  }
}

EngineOptions EngineOptionsOf(const NodeConfig& config, const std::string& address) {
  EngineOptions options;
  options.node = config.name;
  options.address = address;
  options.heartbeat_ms = config.heartbeat_ms;
  options.silence_ms = config.silence_ms;
  options.queue_max = config.queue_max;
  options.accept_log = [config](const std::string& log, const std::string& peer) {
    return AcceptsLog(config, log) &&
           std::any_of(config.peers.begin(), config.peers.end(),
                       [&peer](const PeerConfig& known) { return known.name == peer; });
  };
  return options;
}

LinkOptions LinkOptionsOf(const NodeConfig& config, const std::string& address,
                          const std::string& node_uuid) {
  LinkOptions options;
  options.node = config.name;
  options.node_uuid = node_uuid;
  options.address = address;
  options.version = KEMBAR_VERSION;
  for (const PeerConfig& peer : config.peers) options.peers.push_back({peer.name, peer.address});
  options.limits = config.link_limits;
  return options;
}

int64_t WallUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             system_clock::now().time_since_epoch())
      .count();
}

// Bytes of documents a second that the links may carry at this time of day; 0: no limit.
uint64_t BlobRate(const std::vector<LinkLimit>& limits) {
  const std::time_t wall = std::time(nullptr);
  std::tm parts{};
  localtime_r(&wall, &parts);
  const int minute = parts.tm_hour * 60 + parts.tm_min;
  for (const LinkLimit& limit : limits) {
    if (Covers(limit, minute)) return limit.blob_bytes_per_s;
  }
  return 0;
}

// `listen` with a port that can be had.
Result<std::string> ChoosePort(const std::string& listen) {
  ASSIGN_OR_RETURN(const uint16_t port, ProbeListen(listen));
  ASSIGN_OR_RETURN(const HostPort asked, ParseHostPort(listen));
  return JoinHostPort(asked.host, port);
}

}  // namespace

struct Node::Impl {
  Impl(NodeConfig config_in, std::function<void()> on_failure_in)
      : config(std::move(config_in)), on_failure(std::move(on_failure_in)) {}

  Status ChoosePorts();
  Status OpenStore();
  Status OpenBlobs();
  Status StartEngine();
  Status StartServer();
  Status StartHttp();
  void Stop();
  void SetServing(bool serving);
  void Watch();
  void CheckDisk();
  bool CheckStore();
  NodeSnapshot Snapshot() const;

  const NodeConfig config;
  const std::function<void()> on_failure;
  std::string listen;   // with the port that was chosen
  std::string address;  // where others reach this node
  std::string http_address;
  steady_clock::time_point ready_at = steady_clock::now();

  // In the order of their making.
  std::unique_ptr<RocksStore> store;
  std::map<std::string, PeerIdentity> known_peers;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<BlobTracker> tracker;
  std::unique_ptr<Holdings> holdings;
  std::unique_ptr<BlobRunner> runner;
  std::unique_ptr<PackageCounter> package_counter;
  std::unique_ptr<LinkManager> links;
  std::unique_ptr<LogService> log_service;
  std::unique_ptr<AdminService> admin_service;
  std::unique_ptr<TenderService> tender_service;
  std::unique_ptr<BlobService> blob_service;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<HttpServer> http;
  std::thread watch;

  // Shared with the watch.
  std::atomic<uint64_t> disk_free_bytes{0};
  std::atomic<bool> disk_full{false};
  mutable std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  std::string failure;
};

// Ports are chosen first: what is in use shows before anything is opened, and the engine tells
// mirrors where clients reach this node.
Status Node::Impl::ChoosePorts() {
  ASSIGN_OR_RETURN(listen, ChoosePort(config.listen));
  address = config.address == config.listen ? listen : config.address;
  if (config.http.empty()) return {};
  ASSIGN_OR_RETURN(http_address, ChoosePort(config.http));
  return {};
}

Status Node::Impl::OpenStore() {
  RocksOptions options;
  options.dir = config.data;
  options.create_if_missing = true;
  options.node_name = config.name;
  options.now_us = WallUs();
  options.block_cache_bytes = config.cache_bytes;
  options.write_buffer_bytes = config.write_buffer_bytes;
  ASSIGN_OR_RETURN(store, RocksStore::Open(options));
  ASSIGN_OR_RETURN(known_peers, store->Peers());
  spdlog::info("store_open dir=\"{}\" node_uuid={}", config.data, store->node_uuid());
  return {};
}

// In a directory of its own inside the node's: a copy of that one is whole.
Status Node::Impl::OpenBlobs() {
  BlobStoreOptions options;
  options.dir = config.data + "/blobs";
  options.create_if_missing = true;
  options.reserve_bytes = kBlobReserves * config.disk_reserve_bytes;
  options.warn = [](std::string_view line) { spdlog::warn("blobs text=\"{}\"", line); };
  ASSIGN_OR_RETURN(blobs, BlobStore::Open(options));
  const BlobStats stats = blobs->Stats();
  spdlog::info("blobs_open chunks={} bytes={} set_aside={}", stats.chunks, stats.bytes,
               stats.aside);
  return {};
}

Status Node::Impl::StartEngine() {
  engine = std::make_unique<Engine>(
      EngineOptionsOf(config, address), store.get(),
      [this](const std::string& peer, const std::string& log, Message message) {
        links->Send(peer, log, std::move(message));
      });
  LinkOptions link_options = LinkOptionsOf(config, address, store->node_uuid());
  link_options.born_us = store->born_us();
  for (const auto& [name, known] : known_peers) {
    link_options.known[name] = {known.uuid, known.born_us};
  }
  link_options.remember = [this](const std::string& name, const LinkIdentity& identity) {
    return store->SavePeer(name, {identity.uuid, identity.born_us});
  };
  tracker = std::make_unique<BlobTracker>(engine.get(), blobs.get());
  HoldingsOptions holdings_options;
  holdings_options.documents = [this](const std::string& log) { return tracker->Documents(log); };
  holdings_options.send = [this](const std::string& peer, const std::string& log,
                                 const Holding& holding) {
    links->SendHolding(peer, log, holding);
  };
  holdings = std::make_unique<Holdings>(std::move(holdings_options), engine.get());
  BlobRunnerOptions runner_options;
  runner_options.node = config.name;
  runner_options.rate = [this] { return BlobRate(config.link_limits); };
  runner_options.send = [this](const std::string& peer, blob::Message message) {
    links->SendBlob(peer, std::move(message));
  };
  runner = std::make_unique<BlobRunner>(std::move(runner_options), engine.get(), blobs.get(),
                                        tracker.get());
  PackageCounterOptions counter_options;
  counter_options.documents = [this](const std::string& log) { return tracker->Documents(log); };
  counter_options.told = [this](const std::string& log) { return holdings->Of(log); };
  package_counter = std::make_unique<PackageCounter>(engine.get(), std::move(counter_options));
  blobs->OnStored([this](std::span<const Digest> digests) {
    tracker->OnStored(digests);
    runner->Stored(digests);
  });
  blobs->OnAside([this] { tracker->OnAside(); });
  link_options.blobs.up = [this](const std::string& peer) {
    runner->PeerConnected(peer);
    holdings->PeerConnected(peer);
  };
  link_options.blobs.down = [this](const std::string& peer) {
    runner->PeerDisconnected(peer);
    holdings->PeerDisconnected(peer);
  };
  link_options.blobs.told = [this](const std::string& peer, const std::string& log,
                                   Holding holding) {
    holdings->Receive(peer, log, std::move(holding));
  };
  link_options.blobs.receive = [this](const std::string& peer, blob::Message message) {
    runner->Receive(peer, std::move(message));
  };
  links = std::make_unique<LinkManager>(std::move(link_options), engine.get());
  RETURN_IF_ERROR(engine->Start());
  tracker->Start();
  runner->Start();
  package_counter->Start();
  CheckDisk();
  links->Start();
  holdings->Start();  // it sends on links
  return {};
}

Status Node::Impl::StartServer() {
  LogServiceOptions log_options;
  log_options.append_wait_ms = config.append_wait_ms;
  log_service = std::make_unique<LogService>(engine.get(), log_options);
  AdminServiceOptions admin_options;
  admin_options.node = config.name;
  admin_options.address = address;
  admin_options.http_address = http_address;
  admin_options.version = KEMBAR_VERSION;
  admin_options.linked = [this] { return links->Linked(); };
  admin_options.refused = [this] { return links->Refused(); };
  admin_options.check_files = [this] { return store->CheckFiles(); };
  admin_options.verify_documents =
      [this](const std::string& log, uint64_t last_index,
             const std::function<bool(const BlobVerifyProgress&)>& report) {
        VerifyDocuments({store.get(), blobs.get()}, log, last_index, report);
      };
  admin_options.packages = [this] { return package_counter->Counts(); };
  admin_options.disk_free_bytes = [this] { return disk_free_bytes.load(); };
  admin_options.disk_full = [this] { return disk_full.load(); };
  admin_service = std::make_unique<AdminService>(engine.get(), std::move(admin_options));
  TenderServiceOptions tender_options;
  tender_options.documents = [this](const std::string& log) { return tracker->Documents(log); };
  tender_options.told = [this](const std::string& log) { return holdings->Of(log); };
  tender_service = std::make_unique<TenderService>(engine.get(), std::move(tender_options));
  BlobServiceOptions blob_options;
  blob_options.ensure_wait_ms = config.append_wait_ms;
  blob_service =
      std::make_unique<BlobService>(engine.get(), blobs.get(), runner.get(), blob_options);

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  TuneServer(&builder);
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(log_service->service());
  builder.RegisterService(admin_service->service());
  builder.RegisterService(tender_service->service());
  builder.RegisterService(blob_service->service());
  builder.RegisterService(links->service());
  server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return {Code::kIo, "cannot listen on " + listen + ": gRPC could not start there"};
  }
  SetServing(true);
  return {};
}

Status Node::Impl::StartHttp() {
  if (config.http.empty()) return {};
  ASSIGN_OR_RETURN(http, HttpServer::Start(http_address, [this] { return Snapshot(); }));
  return {};
}

void Node::Impl::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
  if (health == nullptr) return;
  health->SetServingStatus("", serving);
  for (const char* service : kServices) health->SetServingStatus(service, serving);
}

void Node::Impl::CheckDisk() {
  const Result<uint64_t> free = store->FreeBytes();
  const uint64_t reserve = config.disk_reserve_bytes;
  const bool was_full = disk_full;
  // A check that could not run counts as failed.
  const uint64_t now_free = free.ok() ? *free : 0;
  const uint64_t wanted = was_full ? reserve + reserve / kReserveSlackDivisor : reserve;
  disk_free_bytes = now_free;
  disk_full = now_free < wanted;
  if (disk_full == was_full) return;
  spdlog::log(disk_full ? spdlog::level::err : spdlog::level::info,
              "disk_space full={} free_bytes={} reserve_bytes={} error=\"{}\"", disk_full.load(),
              now_free, reserve, free.status().message());
  engine->SetDiskFull(disk_full);
}

// False when the store has closed.
bool Node::Impl::CheckStore() {
  std::string error = engine->stats().store_error;
  if (!error.empty()) {
    error = "the store is closed after a failed write: " + error;
  } else if (error = store->BackgroundError(); !error.empty()) {
    error = "the store is closed after a failure behind the writes: " + error;
    spdlog::critical("store_closed error=\"{}\"", error);
  } else if (const Status chunks = blobs->failure(); !chunks.ok()) {
    error = chunks.ToString();
    spdlog::critical("blobs_closed error=\"{}\"", error);
  }
  if (error.empty()) return true;
  {
    std::lock_guard lock(mutex);
    failure = error;
  }
  SetServing(false);
  on_failure();
  return false;
}

void Node::Impl::Watch() {
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, kWatchInterval, [this] { return stopping; })) {
    lock.unlock();
    CheckDisk();
    const bool store_open = CheckStore();
    lock.lock();
    if (!store_open) return;
  }
}

void Node::Impl::Stop() {
  {
    std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  if (watch.joinable()) watch.join();
  if (server) SetServing(false);
  if (http) http->Stop();
  // Answers every waiting append, so that the calls below end by themselves.
  // These ask the engine, so they go first; the runner answers every waiting Ensure.
  if (package_counter) package_counter->Stop();
  if (holdings) holdings->Stop();
  if (tracker) tracker->Stop();
  if (runner) runner->Stop();
  if (engine) engine->Stop();
  if (links) links->Stop();
  if (server) server->Shutdown(system_clock::now() + milliseconds(config.stop_ms));
  http.reset();
  server.reset();
  blob_service.reset();
  tender_service.reset();
  admin_service.reset();
  log_service.reset();
  links.reset();
  package_counter.reset();
  runner.reset();
  holdings.reset();
  tracker.reset();
  blobs.reset();
  engine.reset();
  store.reset();
}

NodeSnapshot Node::Impl::Snapshot() const {
  NodeSnapshot snapshot;
  snapshot.node = config.name;
  snapshot.node_uuid = store->node_uuid();
  snapshot.version = KEMBAR_VERSION;
  snapshot.address = address;
  snapshot.wall_us = WallUs();
  snapshot.uptime_ms =
      std::chrono::duration_cast<milliseconds>(steady_clock::now() - ready_at).count();
  if (auto logs = engine->ReadStatus({}); logs.ok()) {
    snapshot.logs = *std::move(logs);
  } else {
    snapshot.unreadable = logs.status().ToString();
  }
  for (const auto& [log, status] : snapshot.logs) {
    const auto quarantines = store->Quarantines(log);
    if (quarantines.ok()) {
      snapshot.quarantines[log] = quarantines->size();
    } else {
      snapshot.unreadable = quarantines.status().ToString();
    }
    auto sources = FindSources(*store, log, status.commit_index);
    if (sources.ok()) {
      snapshot.sources[log] = *std::move(sources);
    } else {
      snapshot.unreadable = sources.status().ToString();
    }
  }
  snapshot.source_silence_ms = config.source_silence_s * 1000;
  for (const PeerConfig& peer : config.peers) snapshot.peers.push_back(peer.name);
  snapshot.linked = links->Linked();
  snapshot.refused_links = links->Refused();
  snapshot.stats = engine->stats();
  snapshot.store_bytes = store->Stats().disk_bytes;
  snapshot.blobs = {blobs->Stats(), blobs->DiskBytes(), runner->counters(), runner->wanted(),
                    tracker->Stats()};
  snapshot.packages = package_counter->Counts();
  snapshot.disk_free_bytes = disk_free_bytes;
  snapshot.disk_reserve_bytes = config.disk_reserve_bytes;
  snapshot.disk_full = disk_full;
  std::lock_guard lock(mutex);
  snapshot.stopping = stopping;
  return snapshot;
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Node>> Node::Start(NodeConfig config, std::function<void()> on_failure) {
  auto impl = std::make_unique<Impl>(std::move(config), std::move(on_failure));
  Impl* const parts = impl.get();
  std::unique_ptr<Node> node(new Node(std::move(impl)));  // stops what has been started
  RETURN_IF_ERROR(parts->ChoosePorts());
  RETURN_IF_ERROR(parts->OpenStore());
  RETURN_IF_ERROR(parts->OpenBlobs());
  RETURN_IF_ERROR(parts->StartEngine());
  RETURN_IF_ERROR(parts->StartServer());
  RETURN_IF_ERROR(parts->StartHttp());
  parts->ready_at = steady_clock::now();
  parts->watch = std::thread([parts] { parts->Watch(); });
  return node;
}

Node::~Node() { Stop(); }

void Node::Stop() { impl_->Stop(); }

const std::string& Node::grpc_address() const { return impl_->listen; }

const std::string& Node::http_address() const { return impl_->http_address; }

std::string Node::failure() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->failure;
}

void StartLogging(const std::string& level) {
  auto logger = spdlog::stderr_logger_mt("kembard");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  gpr_set_log_function(GrpcLog);
}

void LogEffectiveConfig(const NodeConfig& config) {
  spdlog::info("starting version={} {}", KEMBAR_VERSION, ConfigLine(config));
}

}  // namespace kembar
