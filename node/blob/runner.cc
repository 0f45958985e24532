// runner.cc — see runner.h.
#include "node/blob/runner.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include "node/blob/verify_blobs.h"
#include "node/clock.h"
#include "replicator/base/bytes.h"

namespace kembar {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kFetchBelow = 128;  // chunks to come from a peer; beyond, it is asked for no more
constexpr size_t kFetchMax = 256;    // … and it is asked for as many as make this
constexpr size_t kFetchShare = 32;   // of one log at a time

// The log's mirrors, as its primary sees them.
std::vector<std::string> MirrorsOf(const ReplicaStatus& status) {
  std::vector<std::string> mirrors;
  for (const PeerStatus& peer : status.peers) {
    if (peer.member) mirrors.push_back(peer.name);
  }
  return mirrors;
}

}  // namespace

BlobRunner::BlobRunner(BlobRunnerOptions options, Engine* engine, BlobStore* blobs,
                       BlobTracker* tracker)
    : options_(std::move(options)), engine_(engine), blobs_(blobs), tracker_(tracker) {}

BlobRunner::~BlobRunner() { Stop(); }

void BlobRunner::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "kembar-exch");
    Run();
  });
  if (blobs_->doubtful()) checker_.Run([this] { CheckStore(); });
}

// Until it has ended well the tracker claims nothing, so it does not end otherwise.
void BlobRunner::CheckStore() {
  const auto go_on = [this] {
    std::lock_guard lock(mutex_);
    return !stopping_;
  };
  while (go_on()) {
    const Status checked = SetAsideDamaged(blobs_, go_on);
    if (checked.ok() || checked.code() == Code::kCancelled) return;
    spdlog::error("chunks_unverified error=\"{}\"", checked.ToString());
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, milliseconds(options_.recheck_ms), [this] { return stopping_; });
  }
}

void BlobRunner::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
  workers_.Stop();
  checker_.Stop();
  std::map<uint64_t, Waiting> left;
  {
    std::lock_guard lock(mutex_);
    left.swap(waiting_);
  }
  for (auto& [id, waiting] : left) {
    waiting.done(Status(Code::kCancelled, "the node is stopping"));
  }
}

void BlobRunner::Post(blob::Event event) {
  {
    std::lock_guard lock(mutex_);
    if (!Queue(std::move(event))) return;
  }
  wake_.notify_one();
}

bool BlobRunner::Queue(blob::Event event) {
  if (stopping_) return false;
  events_.push_back(std::move(event));
  return events_.size() == 1;
}

void BlobRunner::Run() {
  std::vector<blob::Event> turn;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto wake_at = steady_clock::time_point(microseconds(exchange_.WakeAt(MonoUs())));
    wake_.wait_until(lock, wake_at, [this] { return stopping_ || !events_.empty(); });
    if (stopping_) return;
    turn.swap(events_);
    lock.unlock();
    for (blob::Event& event : turn) {
      for (blob::Action& action : exchange_.Step(std::move(event), MonoUs())) {
        Carry(std::move(action));
      }
    }
    turn.clear();
    RunTimely(MonoUs());
    lock.lock();
    counters_ = exchange_.counters();
    wanted_ = exchange_.wanted();
  }
}

void BlobRunner::RunTimely(int64_t now_us) {
  if (exchange_.WakeAt(ticked_us_) <= now_us) {
    ticked_us_ = now_us;
    const blob::SetRate rate{options_.rate ? options_.rate() : 0};
    for (blob::Action& action : exchange_.Step(rate, now_us)) Carry(std::move(action));
    for (blob::Action& action : exchange_.Step(blob::Tick{}, now_us)) Carry(std::move(action));
  }
  bool refresh = now_us - refreshed_us_ >= options_.refresh_ms * 1'000;
  bool fetch = tracker_ != nullptr && now_us - fetched_us_ >= options_.fetch_ms * 1'000;
  {
    std::lock_guard lock(mutex_);
    refresh = refresh && !busy_refreshing_ && !waiting_.empty();
    fetch = fetch && !busy_fetching_;
    busy_refreshing_ = busy_refreshing_ || refresh;
    busy_fetching_ = busy_fetching_ || fetch;
  }
  if (refresh) {
    refreshed_us_ = now_us;
    workers_.Run([this] { Refresh(); });
  }
  if (fetch) {
    fetched_us_ = now_us;
    workers_.Run([this, room = RoomOf(exchange_.wanted_of())] { FetchMissing(room); });
  }
}

// ---- Actions -----------------------------------------------------------------------------------

void BlobRunner::Carry(blob::Action action) {
  std::visit([this](auto& a) { Do(a); }, action);
}

void BlobRunner::Do(blob::Send& action) { options_.send(action.peer, std::move(action.message)); }

void BlobRunner::Do(blob::Look& action) {
  workers_.Run([this, look = std::move(action)] {
    const auto missing = blobs_->Missing(look.digests);
    if (!missing.ok()) {
      spdlog::error("chunks_unreadable error=\"{}\"", missing.status().ToString());
      return Post(blob::Looked{.peer = look.peer});  // the offer comes again
    }
    blob::Looked looked{.peer = look.peer, .missing = *missing};
    const std::set<Digest> lacking(missing->begin(), missing->end());
    for (const Digest& digest : look.digests) {
      if (!lacking.contains(digest)) looked.held.push_back(digest);
    }
    Post(std::move(looked));
  });
}

void BlobRunner::Do(blob::Load& action) {
  workers_.Run([this, load = std::move(action)] {
    Result<std::string> chunk = GetOrSetAside(blobs_, load.digest);
    blob::Loaded loaded{.peer = load.peer, .digest = load.digest};
    if (chunk.ok()) {
      loaded.chunk = std::make_shared<const std::string>(*std::move(chunk));
    } else if (chunk.status().code() != Code::kNotFound &&
               chunk.status().code() != Code::kCorrupt) {
      spdlog::error("chunk_unreadable error=\"{}\"", chunk.status().ToString());
    }
    Post(std::move(loaded));
  });
}

void BlobRunner::Do(blob::Save& action) {
  workers_.Run([this, save = std::move(action)] {
    const std::string_view chunk = *save.chunk;
    const Status saved = blobs_->Put(std::span(&chunk, 1)).status();
    if (!saved.ok()) spdlog::warn("chunk_not_saved error=\"{}\"", saved.ToString());
    Post(blob::Saved{save.digest, saved.ok()});
  });
}

void BlobRunner::Do(blob::Ensured& action) { Finish(action.id, action.sites); }

void BlobRunner::Do(blob::GaveUp& action) {
  Finish(action.id,
         Status(Code::kTimeout, action.lacking,
                "these chunks are durable at the primary; ask again, or see: kembarctl status"));
}

void BlobRunner::Finish(uint64_t id, Result<uint32_t> result) {
  Done done;
  {
    std::lock_guard lock(mutex_);
    const auto it = waiting_.find(id);
    if (it == waiting_.end()) return;
    done = std::move(it->second.done);
    waiting_.erase(it);
  }
  done(std::move(result));
}

// ---- Ensure ------------------------------------------------------------------------------------

uint64_t BlobRunner::Ensure(const std::string& log, std::vector<Digest> digests, Done done) {
  uint64_t id = 0;
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      id = next_id_++;
      waiting_.emplace(id, Waiting{.log = log, .done = std::move(done)});
    }
  }
  if (id == 0) {
    done(Status(Code::kCancelled, "the node is stopping"));
    return 0;
  }
  workers_.Run([this, id, digests = std::move(digests)] { BeginEnsure(id, digests); });
  return id;
}

Result<ReplicaStatus> BlobRunner::AsPrimary(const std::string& log) const {
  ASSIGN_OR_RETURN(auto statuses, engine_->ReadStatus(log));
  ReplicaStatus& status = statuses.begin()->second;
  if (status.role == Role::kPrimary) return std::move(status);
  return Status(Code::kNotPrimary, "node " + options_.node + " is not the primary of log " + log);
}

void BlobRunner::BeginEnsure(uint64_t id, const std::vector<Digest>& digests) {
  std::string log;
  {
    std::lock_guard lock(mutex_);
    const auto it = waiting_.find(id);
    if (it == waiting_.end()) return;
    log = it->second.log;
  }
  const Result<ReplicaStatus> status = AsPrimary(log);
  if (!status.ok()) return Finish(id, status.status());
  const auto missing = blobs_->Missing(digests);
  if (!missing.ok()) return Finish(id, missing.status());
  if (!missing->empty()) {
    return Finish(id, Status(Code::kPrecondition,
                             std::to_string(missing->size()) + " of these chunks are not held by " +
                                 "node " + options_.node + ", such as " + ToHex(missing->front()),
                             "ask Missing and put them first"));
  }
  blob::Ensure ensure{.id = id,
                      .digests = digests,
                      .mirrors = MirrorsOf(*status),
                      .need = status->control.config.RequiredMirrors()};
  {
    std::lock_guard lock(mutex_);
    const auto it = waiting_.find(id);
    if (it == waiting_.end()) return;
    it->second.begun = true;
    it->second.mirrors = ensure.mirrors;
    it->second.need = ensure.need;
    // Under the same lock: whoever sees that it has begun and gives up comes behind it.
    Queue(std::move(ensure));
    if (it->second.given_up) Queue(blob::GiveUp{id});
  }
  wake_.notify_one();
}

void BlobRunner::GiveUp(uint64_t id) {
  {
    std::lock_guard lock(mutex_);
    const auto it = waiting_.find(id);
    if (it == waiting_.end()) return;
    it->second.given_up = true;
    if (!it->second.begun) return;  // whoever begins it sees this
  }
  Post(blob::GiveUp{id});
}

// Who waits must not wait for mirrors that the log does not have any more.
void BlobRunner::Refresh() {
  std::map<uint64_t, std::string> logs;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, waiting] : waiting_) {
      if (waiting.begun) logs[id] = waiting.log;
    }
  }
  std::map<std::string, Result<ReplicaStatus>> statuses;
  for (const auto& [id, log] : logs) {
    auto known = statuses.find(log);
    if (known == statuses.end()) known = statuses.emplace(log, AsPrimary(log)).first;
    const Result<ReplicaStatus>& status = known->second;
    if (!status.ok()) {
      Finish(id, status.status());
      Post(blob::GiveUp{id});
      continue;
    }
    blob::EnsureChanged change{
        .id = id, .mirrors = MirrorsOf(*status), .need = status->control.config.RequiredMirrors()};
    {
      std::lock_guard lock(mutex_);
      const auto it = waiting_.find(id);
      if (it == waiting_.end()) continue;
      Waiting& waiting = it->second;
      if (waiting.mirrors == change.mirrors && waiting.need == change.need) continue;
      waiting.mirrors = change.mirrors;
      waiting.need = change.need;
    }
    Post(std::move(change));
  }
  std::lock_guard lock(mutex_);
  busy_refreshing_ = false;
}

// ---- What records here lack --------------------------------------------------------------------

// The logs that share a source take turns, also from one pass to the next: what one lacks, however
// much, does not hold up another. What some leave over goes to the others.
void BlobRunner::FetchMissing(Room room) {
  const std::vector<std::string> lacking = tracker_->Lacking();  // sorted
  const auto next = std::upper_bound(lacking.begin(), lacking.end(), served_);
  std::deque<std::string> logs(next, lacking.end());
  logs.insert(logs.end(), lacking.begin(), next);
  while (!room.empty() && !logs.empty()) {
    std::string log = std::move(logs.front());
    logs.pop_front();
    if (FetchSome(log, &room)) logs.push_back(std::move(log));
  }
  std::lock_guard lock(mutex_);
  busy_fetching_ = false;
}

BlobRunner::Room BlobRunner::RoomOf(const std::map<std::string, size_t>& wanted_of) {
  Room room;
  for (const auto& [peer, wanted] : wanted_of) {
    if (wanted < kFetchBelow) room[peer] = kFetchMax - wanted;
  }
  return room;
}

// A log that can be asked of nobody now keeps its chunks, and its turn takes nothing from others.
bool BlobRunner::FetchSome(const std::string& log, Room* room) {
  std::vector<std::string> sources = SourcesOf(log, *room);
  if (sources.empty()) return false;
  const auto first = room->find(sources.front());
  const size_t share = std::min(kFetchShare, first->second);
  std::vector<Digest> digests = tracker_->NextMissing(log, share);
  if (digests.empty()) return false;
  const bool more = digests.size() == share;
  first->second -= digests.size();
  if (first->second == 0) room->erase(first);
  served_ = log;
  Post(blob::Fetch{std::move(digests), std::move(sources)});
  return more;
}

std::vector<std::string> BlobRunner::SourcesOf(const std::string& log, const Room& room) {
  auto statuses = engine_->ReadStatus(log);
  if (!statuses.ok()) return {};
  const ReplicaStatus& status = statuses->begin()->second;
  // The primary has acknowledged it, so it holds it most surely.
  std::vector<std::string> sources = {status.primary};
  for (const Member& member : status.control.config.members) {
    if (member.name != status.primary) sources.push_back(member.name);
  }
  std::erase_if(sources, [&room](const std::string& source) { return !room.contains(source); });
  return sources;
}

blob::ExchangeCounters BlobRunner::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

size_t BlobRunner::wanted() const {
  std::lock_guard lock(mutex_);
  return wanted_;
}

}  // namespace kembar
