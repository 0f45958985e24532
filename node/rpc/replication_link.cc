// replication_link.cc — see replication_link.h: who is linked with whom, dialling, hellos.
#include "node/rpc/replication_link.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <ctime>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "node/rpc/grpc_options.h"
#include "node/rpc/link_stream.h"
#include "node/rpc/workers.h"

namespace kembar {
namespace {

using std::chrono::milliseconds;

// A link that lived so long was a success: the next dial does not wait longer than at first.
constexpr auto kSettled = std::chrono::seconds(2);
constexpr size_t kWorkers = 2;

std::string TimeText(int64_t wall_us) {
  if (wall_us == 0) return "before that was recorded";
  const std::time_t time = wall_us / 1'000'000;
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

class Refusing final : public grpc::ServerBidiReactor<v1::LinkMessage, v1::LinkMessage> {
 public:
  explicit Refusing(const grpc::Status& why) { Finish(why); }
  void OnDone() override { delete this; }
};

}  // namespace

struct LinkManager::Impl final : LinkOwner, v1::Replication::CallbackService {
  struct Peer {
    LinkPeer config;
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<LinkStream> link;
    std::shared_ptr<LinkStream> dialling;
    uint64_t dial_timer = 0;
    int64_t backoff_ms = 0;
    LinkIdentity identity;  // uuid empty: not known
    std::string refused;    // because of who it is, or who we are to it
    std::string told;       // what was logged last, so that each trouble is said once
  };

  Impl(LinkOptions options_in, Engine* engine_in)
      : rate(options_in.limits),
        context{std::move(options_in), this, &rate, &workers, &timers},
        engine(engine_in),
        random(static_cast<uint32_t>(std::hash<std::string>()(context.options.node_uuid))) {
    for (const LinkPeer& config : context.options.peers) {
      peers[config.name] = Peer{.config = config, .backoff_ms = context.options.backoff_min_ms};
    }
    for (const auto& [name, identity] : context.options.known) {
      if (auto it = peers.find(name); it != peers.end()) it->second.identity = identity;
    }
  }

  // ---- Any thread, mutex not held --------------------------------------------------------------

  void Start() {
    std::lock_guard lock(mutex);
    started = true;
    for (auto& [name, peer] : peers) {
      if (peer.config.address.empty()) continue;
      // The node whose stream would stay goes first; mostly the other need not dial at all.
      const bool first = context.options.node < name;
      ScheduleDial(&peer, milliseconds(first ? 0 : 2 * context.options.backoff_min_ms));
    }
  }

  void Stop() {
    std::vector<std::shared_ptr<LinkStream>> streams;
    {
      std::lock_guard lock(mutex);
      stopping = true;
      streams.assign(live.begin(), live.end());
    }
    const grpc::Status why(grpc::StatusCode::UNAVAILABLE,
                           "node " + context.options.node + " is stopping");
    for (const auto& stream : streams) stream->Close(why);
    streams.clear();
    {
      std::unique_lock lock(mutex);
      ended.wait(lock, [this] { return live.empty(); });
    }
    timers.Stop();
    workers.Stop();
  }

  void Send(const std::string& to, const std::string& log, Message message) {
    if (auto link = LinkTo(to)) link->Send(log, std::move(message));
  }
  void SendBlob(const std::string& to, blob::Message message) {
    if (auto link = LinkTo(to)) link->SendBlob(std::move(message));
  }
  void SendHolding(const std::string& to, const std::string& log, const Holding& holding) {
    if (auto link = LinkTo(to)) link->SendHolding(log, holding);
  }

  std::shared_ptr<LinkStream> LinkTo(const std::string& to) const {
    std::lock_guard lock(mutex);
    auto it = peers.find(to);
    return it == peers.end() ? nullptr : it->second.link;
  }

  std::vector<std::string> Linked() const {
    std::lock_guard lock(mutex);
    std::vector<std::string> names;
    for (const auto& [name, peer] : peers) {
      if (peer.link) names.push_back(name);
    }
    return names;
  }

  std::map<std::string, std::string> Refused() const {
    std::lock_guard lock(mutex);
    std::map<std::string, std::string> refused;
    for (const auto& [name, peer] : peers) {
      if (!peer.refused.empty()) refused[name] = peer.refused;
    }
    return refused;
  }

  grpc::ServerBidiReactor<v1::LinkMessage, v1::LinkMessage>* Link(
      grpc::CallbackServerContext* call) override {
    std::lock_guard lock(mutex);
    if (stopping || !started) {
      return new Refusing(grpc::Status(grpc::StatusCode::UNAVAILABLE,
                                       "node " + context.options.node + " takes no links now"));
    }
    return AcceptLink(&context, call,
                      [this](const std::shared_ptr<LinkStream>& stream) { live.insert(stream); });
  }

  // ---- From streams ----------------------------------------------------------------------------

  grpc::Status OnHello(const std::shared_ptr<LinkStream>& stream,
                       const v1::LinkHello& hello) override {
    std::shared_ptr<LinkStream> replaced;
    {
      std::lock_guard lock(mutex);
      grpc::Status status = CheckHello(*stream, hello);
      if (status.ok()) status = Choose(*stream, hello.node(), &replaced);
      if (status.ok()) status = Know(hello);
      if (!status.ok()) {
        NoteRefusal(stream->dialled() ? stream->peer() : hello.node(), status);
        Tell(hello.node(), "link_refused", status);
        return status;
      }
      Peer& peer = peers[hello.node()];
      peer.refused.clear();
      peer.told.clear();
      if (peer.dialling == stream) peer.dialling.reset();
      if (replaced) Down(hello.node());
      peer.link = stream;
      stream->Admit(hello.node());
      Up(hello.node());
      spdlog::info("link_up peer={} dialled_by={} identity={} version={}", hello.node(),
                   stream->dialled() ? context.options.node : hello.node(), hello.node_uuid(),
                   hello.program_version());
    }
    if (replaced) {
      replaced->Close(grpc::Status(grpc::StatusCode::ALREADY_EXISTS, "replaced by another stream"));
    }
    return grpc::Status::OK;
  }

  void OnMessage(const LinkStream& stream, const std::string& log, Message message) override {
    engine->PeerMessage(stream.peer(), log, std::move(message));
  }

  // Under the lock, so that what a replaced stream still brings does not come behind Up of the new.
  void OnBlob(const LinkStream& stream, blob::Message message) override {
    const LinkBlobs& blobs = context.options.blobs;
    std::lock_guard lock(mutex);
    if (blobs.receive && IsLink(stream)) blobs.receive(stream.peer(), std::move(message));
  }

  // Likewise: the peer may have lost its disk in between.
  void OnHolding(const LinkStream& stream, const std::string& log, Holding holding) override {
    const LinkBlobs& blobs = context.options.blobs;
    std::lock_guard lock(mutex);
    if (blobs.told && IsLink(stream)) blobs.told(stream.peer(), log, std::move(holding));
  }

  void OnEnd(const std::shared_ptr<LinkStream>& stream, const grpc::Status& why) override {
    std::lock_guard lock(mutex);
    auto it = peers.find(stream->peer());
    if (it != peers.end()) {
      Peer& peer = it->second;
      if (peer.dialling == stream) peer.dialling.reset();
      if (peer.link == stream) {
        peer.link.reset();
        Down(it->first);
        if (LinkStream::Clock::now() - stream->started() >= kSettled) {
          peer.backoff_ms = context.options.backoff_min_ms;
        }
        if (!stopping) {
          spdlog::warn("link_down peer={} why=\"{}\"", it->first, why.error_message());
        }
      } else if (stream->dialled() && !stream->was_link() && !peer.link) {
        NoteRefusal(it->first, why);
        Tell(it->first, "link_failed", why);
      }
      if (!peer.link && !peer.dialling) ScheduleDial(&peer, NextBackoff(&peer));
    }
    live.erase(stream);
    if (live.empty()) ended.notify_all();
  }

  // ---- Under mutex -----------------------------------------------------------------------------

  bool IsLink(const LinkStream& stream) const {
    const auto it = peers.find(stream.peer());
    return it != peers.end() && it->second.link.get() == &stream;
  }
  void Up(const std::string& name) {
    engine->PeerConnected(name);
    if (context.options.blobs.up) context.options.blobs.up(name);
  }
  void Down(const std::string& name) {
    engine->PeerDisconnected(name);
    if (context.options.blobs.down) context.options.blobs.down(name);
  }

  grpc::Status CheckHello(const LinkStream& stream, const v1::LinkHello& hello) const {
    const std::string& self = context.options.node;
    if (stopping) {
      return {grpc::StatusCode::UNAVAILABLE, "node " + self + " is stopping"};
    }
    if (stream.dialled() && hello.node() != stream.peer()) {
      return {grpc::StatusCode::FAILED_PRECONDITION,
              "at " + peers.at(stream.peer()).config.address + " is node " + hello.node() +
                  ", not " + stream.peer() + ": the configuration of node " + self + " is wrong"};
    }
    if (hello.node() == self || hello.node_uuid() == context.options.node_uuid) {
      return {grpc::StatusCode::FAILED_PRECONDITION,
              "node " + hello.node() + " has the " +
                  (hello.node() == self ? "name" : "identity " + hello.node_uuid()) + " of node " +
                  self + ": a copied data directory or configuration"};
    }
    if (!peers.contains(hello.node())) {
      return {grpc::StatusCode::PERMISSION_DENIED,
              "node " + hello.node() + " is not among the peers of node " + self};
    }
    if (hello.node_uuid().empty()) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "node " + hello.node() + " names no identity"};
    }
    for (const auto& [name, peer] : peers) {
      if (name != hello.node() && peer.identity.uuid == hello.node_uuid()) {
        return {grpc::StatusCode::FAILED_PRECONDITION,
                "node " + hello.node() + " has the identity " + peer.identity.uuid + " of node " +
                    name + ": a copied data directory"};
      }
    }
    return CheckAge(hello);
  }

  // (Both unknown, 0: directories from before this was recorded. They are taken as they come.)
  grpc::Status CheckAge(const v1::LinkHello& hello) const {
    const LinkIdentity& known = peers.at(hello.node()).identity;
    const bool same = known.uuid.empty() || known.uuid == hello.node_uuid();
    if (same || hello.born_us() > known.born_us || (hello.born_us() == 0 && known.born_us == 0)) {
      return grpc::Status::OK;
    }
    return {grpc::StatusCode::FAILED_PRECONDITION,
            "an older directory of " + hello.node() + " has come back: identity " +
                hello.node_uuid() + ", made " + TimeText(hello.born_us()) + "; " + known.uuid +
                ", made " + TimeText(known.born_us) + ", has taken its place (if the clock of " +
                hello.node() + " was wrong when it was made, set it and start " + hello.node() +
                " once with --rebuild)"};
  }

  // Keeps the identity, durably, before anything is said on the link.
  grpc::Status Know(const v1::LinkHello& hello) {
    Peer& peer = peers.at(hello.node());
    const LinkIdentity now{hello.node_uuid(), hello.born_us()};
    const bool same_uuid = peer.identity.uuid == now.uuid;
    if (same_uuid && (peer.identity.born_us == now.born_us || now.born_us == 0)) {
      return grpc::Status::OK;
    }
    if (context.options.remember) {
      const Status kept = context.options.remember(hello.node(), now);
      if (!kept.ok()) return {grpc::StatusCode::UNAVAILABLE, kept.ToString()};
    }
    if (!same_uuid && !peer.identity.uuid.empty()) {
      spdlog::warn("link_identity_changed peer={} was={} now={} made={}", hello.node(),
                   peer.identity.uuid, now.uuid, TimeText(now.born_us));
    }
    peer.identity = now;
    return grpc::Status::OK;
  }

  void NoteRefusal(const std::string& name, const grpc::Status& why) {
    auto it = peers.find(name);
    if (it == peers.end() || why.error_code() != grpc::StatusCode::FAILED_PRECONDITION) return;
    it->second.refused = why.error_message();
  }

  // Of two streams with one peer, which stays? See replication_link.h.
  grpc::Status Choose(const LinkStream& stream, const std::string& name,
                      std::shared_ptr<LinkStream>* replaced) const {
    const Peer& peer = peers.at(name);
    if (!peer.link) return grpc::Status::OK;
    const bool dialled_by_smaller = stream.dialled() == (context.options.node < name);
    const bool same_dialler = peer.link->dialled() == stream.dialled();
    const bool old_is_alive = peer.link->Silence().count() < 2 * context.options.ping_ms;
    if (!same_dialler && !dialled_by_smaller && old_is_alive) {
      return {grpc::StatusCode::ALREADY_EXISTS,
              "nodes " + context.options.node + " and " + name + " are linked already"};
    }
    *replaced = peer.link;
    return grpc::Status::OK;
  }

  void ScheduleDial(Peer* peer, milliseconds delay) {
    if (stopping || peer->config.address.empty() || peer->dial_timer != 0) return;
    peer->dial_timer = timers.After(delay, [this, name = peer->config.name] { Dial(name); });
  }

  milliseconds NextBackoff(Peer* peer) {
    const int64_t base = peer->backoff_ms;
    peer->backoff_ms = std::min(base * 2, context.options.backoff_max_ms);
    return milliseconds(std::uniform_int_distribution<int64_t>(base / 2, base)(random));
  }

  // Says each trouble once until it changes.
  void Tell(const std::string& name, const char* event, const grpc::Status& why) {
    if (stopping || why.error_code() == grpc::StatusCode::ALREADY_EXISTS) return;
    auto it = peers.find(name);
    std::string* told = it == peers.end() ? &stranger_told : &it->second.told;
    std::string text = fmt::format("{} peer=\"{}\" why=\"{}\"", event, name, why.error_message());
    if (text == *told) return;
    spdlog::warn("{}", text);
    *told = std::move(text);
  }

  // ---- The timer's thread ----------------------------------------------------------------------

  void Dial(const std::string& name) {
    std::lock_guard lock(mutex);
    Peer& peer = peers.at(name);
    peer.dial_timer = 0;
    if (stopping || peer.link || peer.dialling) return;
    if (!peer.channel) {
      grpc::ChannelArguments arguments;
      TunePeerChannel(&arguments);
      peer.channel = grpc::CreateCustomChannel(peer.config.address,
                                               grpc::InsecureChannelCredentials(), arguments);
    }
    peer.dialling = DialLink(&context, name, peer.channel);
    live.insert(peer.dialling);
  }

  Workers workers{"kembar-link", kWorkers};
  Timers timers{"kembar-link-tm"};
  RateLimit rate;
  const LinkContext context;
  Engine* const engine;

  mutable std::mutex mutex;
  std::condition_variable ended;
  std::map<std::string, Peer> peers;  // all that are configured; none is added later
  std::set<std::shared_ptr<LinkStream>> live;
  std::string stranger_told;
  std::minstd_rand random;
  bool started = false;
  bool stopping = false;
};

LinkManager::LinkManager(LinkOptions options, Engine* engine)
    : impl_(std::make_unique<Impl>(std::move(options), engine)) {}

LinkManager::~LinkManager() { Stop(); }

void LinkManager::Start() { impl_->Start(); }

void LinkManager::Stop() { impl_->Stop(); }

void LinkManager::Send(const std::string& peer, const std::string& log, Message message) {
  impl_->Send(peer, log, std::move(message));
}

void LinkManager::SendBlob(const std::string& peer, blob::Message message) {
  impl_->SendBlob(peer, std::move(message));
}

void LinkManager::SendHolding(const std::string& peer, const std::string& log,
                              const Holding& holding) {
  impl_->SendHolding(peer, log, holding);
}

std::vector<std::string> LinkManager::Linked() const { return impl_->Linked(); }

std::map<std::string, std::string> LinkManager::Refused() const { return impl_->Refused(); }

grpc::Service* LinkManager::service() { return impl_.get(); }

}  // namespace kembar
