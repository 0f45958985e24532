// holdings.cc — see holdings.h.
#include "node/blob/holdings.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "node/clock.h"

namespace kembar {
namespace {

using std::chrono::milliseconds;

// Logs that one peer may speak of: it cannot fill this node's memory with names.
constexpr size_t kLogsOfPeerMax = 10'000;

Result<uint64_t> EpochAt(const Store& store, const std::string& log, uint64_t index) {
  ASSIGN_OR_RETURN(const FrameBatch batch, store.Read(log, index, index, 1));
  ASSIGN_OR_RETURN(const FrameHeader header, PeekFrame(batch.frames.front()));
  return header.epoch;
}

}  // namespace

bool Holding::Holds(uint64_t index) const {
  return index <= known_to && !std::binary_search(missing.begin(), missing.end(), index);
}

Holdings::Holdings(HoldingsOptions options, Engine* engine)
    : options_(std::move(options)), engine_(engine) {}

Holdings::~Holdings() { Stop(); }

void Holdings::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "kembar-holdings");
    Run();
  });
}

void Holdings::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Holdings::Run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, milliseconds(options_.turn_ms), [this] { return stopping_; })) {
    lock.unlock();
    Turn();
    lock.lock();
  }
}

// ---- What is told ------------------------------------------------------------------------------

// The logs take turns, and a turn ends when it has listed as much as one statement may: a node that
// lacks much in many logs would fill the link, on which statements go before records.
void Holdings::Turn() {
  std::vector<std::string> logs = engine_->Logs();  // sorted
  std::rotate(logs.begin(), std::upper_bound(logs.begin(), logs.end(), last_), logs.end());
  size_t listed = 0;
  for (const std::string& log : logs) {
    Own& own = own_[log];
    Look(log, &own);
    if (own.said != nullptr && MayBeNews(log, own)) {
      FindMembers(log, &own);
      listed += Tell(log, own);
    }
    last_ = log;
    if (listed >= options_.missing_max) return;
  }
}

// That the last document has come is told at once: somebody waits for it.
void Holdings::Look(const std::string& log, Own* own) {
  const DocumentsHere here = options_.documents(log);
  const bool same = here.checked_to == own->seen.checked_to && here.missing == own->seen.missing;
  if (own->said != nullptr && same) return;
  const int64_t now_ms = MonoMs();
  const bool lacks = here.missing != nullptr && !here.missing->empty();
  const bool lacked = own->said != nullptr && !own->said->missing.empty();
  if (now_ms < own->next_ms && (lacks || !lacked)) return;
  const int64_t rested_ms = now_ms - (options_.burst - 1) * options_.pause_ms;
  own->next_ms = std::max(own->next_ms, rested_ms) + options_.pause_ms;
  Holding holding = Make(log, here);
  // What could not be read is looked at again.
  if (holding.known_to != 0 || here.checked_to == 0) own->seen = here;
  if (own->said != nullptr && holding == *own->said) return;
  own->said = std::make_shared<const Holding>(std::move(holding));
}

// Says nothing of records when the last one cannot be read, or is gone: the log was just cut back.
// (Should it also have grown again before the tracker looks, the wrong statement lasts until then.)
Holding Holdings::Make(const std::string& log, const DocumentsHere& here) const {
  Holding holding{.known_to = here.checked_to};
  if (here.missing != nullptr) {
    for (const uint64_t index : *here.missing) {
      if (index > here.checked_to) break;
      holding.missing.push_back(index);
      if (holding.missing.size() < options_.missing_max) continue;
      holding.known_to = index;
      break;
    }
  }
  if (holding.known_to == 0) return {};
  const Result<uint64_t> epoch = EpochAt(*engine_->store(), log, holding.known_to);
  if (!epoch.ok()) return {};
  holding.epoch = *epoch;
  return holding;
}

// To one of the log's nodes, or because a peer with a link may have become one of them.
bool Holdings::MayBeNews(const std::string& log, const Own& own) {
  std::lock_guard lock(mutex_);
  size_t linked = 0;
  for (const std::string& member : own.members) {
    const auto up = up_.find(member);
    if (up == up_.end()) continue;
    if (up->second[log] != own.said) return true;
    ++linked;
  }
  return up_.size() > linked;
}

// A change of the membership is a record of the log itself.
void Holdings::FindMembers(const std::string& log, Own* own) {
  const uint64_t commit = engine_->CommitIndex(log);
  const int64_t now_ms = MonoMs();
  if (own->members_at == commit || now_ms < own->members_again_ms) return;
  const auto statuses = engine_->ReadStatus(log);
  if (!statuses.ok()) return;  // the engine is stopping
  own->members.clear();
  const Config& config = statuses->at(log).control.config;
  for (const std::vector<Member>* list : {&config.members, &config.left_out}) {
    for (const Member& member : *list) own->members.push_back(member.name);
  }
  own->members_at = commit;
  own->members_again_ms = now_ms + options_.pause_ms;
}

// Tells the log's other nodes that have not heard this; how many documents that listed.
size_t Holdings::Tell(const std::string& log, const Own& own) {
  std::vector<std::string> peers;
  {
    std::lock_guard lock(mutex_);
    for (const std::string& member : own.members) {
      const auto up = up_.find(member);
      if (up == up_.end()) continue;
      SharedHolding& last = up->second[log];
      if (last != own.said) peers.push_back(member);
      last = own.said;
    }
  }
  // When the link is another one by now, all of it is told anew.
  for (const std::string& peer : peers) options_.send(peer, log, *own.said);
  return peers.size() * own.said->missing.size();
}

void Holdings::PeerConnected(const std::string& peer) {
  std::lock_guard lock(mutex_);
  up_[peer].clear();
  said_.erase(peer);
}

void Holdings::PeerDisconnected(const std::string& peer) {
  std::lock_guard lock(mutex_);
  up_.erase(peer);
}

// ---- What was told -----------------------------------------------------------------------------

void Holdings::Receive(const std::string& peer, const std::string& log, Holding holding) {
  auto said = std::make_shared<const Holding>(std::move(holding));
  std::lock_guard lock(mutex_);
  auto& logs = said_[peer];
  if (logs.size() >= kLogsOfPeerMax && !logs.contains(log)) return;
  logs[log] = {.holding = std::move(said)};
}

Told Holdings::Of(const std::string& log) const {
  std::map<std::string, Said> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [peer, logs] : said_) {
      const auto said = logs.find(log);
      if (said != logs.end()) all[peer] = said->second;
    }
  }
  Told told;
  for (auto& [peer, said] : all) {
    if (SameRecords(log, &said)) told[peer] = said.holding;
  }
  std::lock_guard lock(mutex_);
  for (const auto& [peer, said] : all) {
    const auto logs = said_.find(peer);
    if (logs == said_.end()) continue;
    const auto now = logs->second.find(log);
    if (now != logs->second.end() && now->second.holding == said.holding) now->second = said;
  }
  return told;
}

// A log that ends in the epoch that the statement ends in, and before it, is equal up to its end.
// With the same root these are the records that were looked at before, and need not be read again.
bool Holdings::SameRecords(const std::string& log, Said* said) const {
  const uint64_t index = std::min(said->holding->known_to, engine_->CommitIndex(log));
  if (index == 0) return true;
  const Result<Digest> root = engine_->store()->RootAt(log, index);
  if (!root.ok()) return false;
  if (*root == said->root) return said->same;
  const Result<uint64_t> epoch = EpochAt(*engine_->store(), log, index);
  if (!epoch.ok()) return false;
  said->root = *root;
  said->same = *epoch == said->holding->epoch;
  return said->same;
}

}  // namespace kembar
