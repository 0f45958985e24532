// tracker.cc — see tracker.h.
#include "node/blob/tracker.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "node/blob/document.h"
#include "node/clock.h"
#include "node/inventory.h"

namespace kembar {
namespace {

constexpr size_t kRecordsInTurn = 256;
constexpr size_t kReadBytes = size_t{1} << 20;

bool IsDocumentVersion(RecordKind kind, std::string_view item) {
  return kind == RecordKind::kPut && IsDocument(item);
}

}  // namespace

BlobTracker::BlobTracker(Engine* engine, const BlobStore* blobs, TrackerOptions options)
    : engine_(engine), blobs_(blobs), options_(options) {}

BlobTracker::~BlobTracker() { Stop(); }

void BlobTracker::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "kembar-docs");
    Run();
  });
}

void BlobTracker::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BlobTracker::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    bool more = false;
    for (const std::string& name : engine_->Logs()) {
      const Result<bool> turn = Turn(name);
      more = more || (turn.ok() && *turn);
      const std::string trouble = turn.ok() ? std::string() : turn.status().ToString();
      std::lock_guard again(mutex_);
      std::string& told = logs_[name].told;
      if (!trouble.empty() && trouble != told) {
        spdlog::error("documents_unchecked log={} error=\"{}\"", name, trouble);
      }
      told = trouble;
    }
    lock.lock();
    if (!more) {
      wake_.wait_for(lock, std::chrono::milliseconds(options_.turn_ms),
                     [this] { return stopping_; });
    }
  }
}

Result<bool> BlobTracker::Turn(const std::string& name) {
  const uint64_t commit = engine_->CommitIndex(name);
  bool known = false, list = false, todo = false;
  {
    std::lock_guard lock(mutex_);
    Log& log = logs_[name];
    if (log.chunks.size() >= options_.missing_max) return false;
    known = log.listed;
    todo = !log.todo.empty();
    // A pass under way ends first: the next one takes in all that was set aside meanwhile.
    list = !known || (log.doubtful && !todo && MonoMs() - log.listed_ms >= options_.recheck_ms);
    if (!list && !todo && log.checked_to == commit) return false;
  }
  if (known) RETURN_IF_ERROR(CheckContinues(name, commit));
  RETURN_IF_ERROR(list ? List(name, commit) : todo ? CheckListed(name) : Follow(name, commit));
  return true;
}

// The items' entries tell which records are documents, so that the rest need not be read.
Status BlobTracker::List(const std::string& name, uint64_t commit) {
  std::vector<uint64_t> indices;
  const Store& store = *engine_->store();
  ASSIGN_OR_RETURN(const Digest root, store.RootAt(name, commit));
  const ItemRange range{.package = {}, .item_prefix = kDocumentPrefix, .as_of = commit};
  RETURN_IF_ERROR(store.VisitItems(name, range, [&](const ItemVersion& version) {
    if (IsDocumentVersion(version.kind, version.item)) indices.push_back(version.index);
    return Visit::kNext;
  }));
  std::sort(indices.begin(), indices.end(), std::greater<>());
  std::lock_guard lock(mutex_);
  Log& log = logs_[name];
  log.listed = true;
  log.doubtful = false;  // what is set aside from here on asks for another pass
  log.listed_ms = MonoMs();
  log.listed_to = commit;
  log.root = root;
  log.checked_to = indices.empty() ? commit : 0;
  log.todo = std::move(indices);
  log.shown.reset();  // it may lack what this pass finds
  return {};
}

// A log that was cut back and has grown again is another one from there on.
Status BlobTracker::CheckContinues(const std::string& name, uint64_t commit) {
  uint64_t to = 0;
  Digest root;
  {
    std::lock_guard lock(mutex_);
    const Log& log = logs_[name];
    to = std::max(log.listed_to, log.checked_to);
    root = log.root;
  }
  Result<Digest> now = engine_->store()->RootAt(name, to);
  if (now.ok() && *now == root && commit >= to) return {};
  if (!now.ok() && now.status().code() != Code::kNotFound) return now.status();
  std::lock_guard lock(mutex_);
  Forget(&logs_[name]);
  return {Code::kUnavailable, "the log was cut back; its documents are read afresh"};
}

Status BlobTracker::CheckListed(const std::string& name) {
  std::vector<uint64_t> indices;
  {
    std::lock_guard lock(mutex_);
    const auto& todo = logs_[name].todo;
    const size_t count = std::min(todo.size(), kRecordsInTurn);
    indices.assign(todo.rbegin(), todo.rbegin() + static_cast<std::ptrdiff_t>(count));
  }
  for (const uint64_t index : indices) {
    RETURN_IF_ERROR(CheckAt(name, index));
    std::lock_guard lock(mutex_);
    Log& log = logs_[name];
    if (!log.listed) return {};
    log.checked_to = std::max(log.checked_to, index);
    if (!log.todo.empty() && log.todo.back() == index) log.todo.pop_back();
    if (log.todo.empty()) log.checked_to = log.listed_to;
    if (stopping_) return {};
  }
  return {};
}

Status BlobTracker::Follow(const std::string& name, uint64_t commit) {
  uint64_t from = 0;
  {
    std::lock_guard lock(mutex_);
    from = logs_[name].checked_to + 1;
  }
  if (from > commit) return {};
  const Result<FrameBatch> batch = engine_->store()->Read(name, from, commit, kReadBytes);
  const Status status = batch.ok() ? CheckFrames(name, batch->frames) : batch.status();
  if (status.code() == Code::kCorrupt) return FollowSingly(name, from, commit);
  RETURN_IF_ERROR(status);
  std::lock_guard lock(mutex_);
  Log& log = logs_[name];
  if (!log.listed) return {};
  log.checked_to = batch->last_index();
  log.root = batch->root;
  return {};
}

// Past a record that cannot be read, so that it does not hide those behind it.
Status BlobTracker::FollowSingly(const std::string& name, uint64_t from, uint64_t commit) {
  const uint64_t to = std::min<uint64_t>(commit, from + kRecordsInTurn - 1);
  for (uint64_t index = from; index <= to; ++index) RETURN_IF_ERROR(CheckAt(name, index));
  ASSIGN_OR_RETURN(const Digest root, engine_->store()->RootAt(name, to));
  std::lock_guard lock(mutex_);
  Log& log = logs_[name];
  if (!log.listed) return {};
  log.checked_to = to;
  log.root = root;
  return {};
}

Status BlobTracker::CheckFrames(const std::string& name, const std::vector<std::string>& frames) {
  for (const std::string& frame : frames) {
    ASSIGN_OR_RETURN(const Record record, DecodeRecord(frame));
    if (IsDocumentVersion(record.kind, record.item)) RETURN_IF_ERROR(CheckRecord(name, record));
  }
  return {};
}

Status BlobTracker::CheckAt(const std::string& name, uint64_t index) {
  const Result<Record> record = ReadRecord(*engine_->store(), name, index);
  if (record.ok() && !IsDocumentVersion(record->kind, record->item)) return {};
  if (record.ok()) return CheckRecord(name, *record);
  if (record.status().code() != Code::kCorrupt) return record.status();
  spdlog::error("document_unreadable log={} index={} why=\"{}\"", name, index,
                record.status().ToString());
  std::lock_guard lock(mutex_);
  Log& log = logs_[name];
  Drop(&log, index);
  log.missing[index];
  log.changed = true;
  return {};
}

// The lookup is under the lock: a chunk that becomes durable meanwhile is told of afterwards.
Status BlobTracker::CheckRecord(const std::string& name, const Record& record) {
  const Result<Document> document = DecodeDocument(record.payload);
  std::lock_guard lock(mutex_);
  Log& log = logs_[name];
  std::vector<Digest> missing;
  if (document.ok()) {
    ASSIGN_OR_RETURN(missing, blobs_->Missing(document->chunks));
  }
  Drop(&log, record.index);
  if (document.ok() && missing.empty()) return {};
  if (!document.ok()) {
    spdlog::warn("document_unreadable log={} package=\"{}\" item=\"{}\" index={} why=\"{}\"", name,
                 record.package, record.item, record.index, document.status().message());
  }
  for (const Digest& digest : missing) log.chunks[digest].documents.insert(record.index);
  log.missing[record.index] = {missing.begin(), missing.end()};
  log.changed = true;
  return {};
}

void BlobTracker::Drop(Log* log, uint64_t index) {
  const auto it = log->missing.find(index);
  if (it == log->missing.end()) return;
  for (const Digest& digest : it->second) {
    const auto chunk = log->chunks.find(digest);
    if (chunk == log->chunks.end()) continue;
    chunk->second.documents.erase(index);
    if (chunk->second.documents.empty()) log->chunks.erase(chunk);
  }
  log->missing.erase(it);
  log->changed = true;
}

void BlobTracker::Forget(Log* log) { *log = Log{.told = log->told}; }

void BlobTracker::OnStored(std::span<const Digest> digests) {
  std::lock_guard lock(mutex_);
  for (auto& [name, log] : logs_) {
    for (const Digest& digest : digests) {
      const auto chunk = log.chunks.find(digest);
      if (chunk == log.chunks.end()) continue;
      for (const uint64_t index : chunk->second.documents) {
        const auto document = log.missing.find(index);
        if (document == log.missing.end()) continue;
        document->second.erase(digest);
        if (!document->second.empty()) continue;
        log.missing.erase(document);
        log.changed = true;
      }
      log.chunks.erase(chunk);
    }
  }
}

void BlobTracker::OnAside() {
  std::lock_guard lock(mutex_);
  for (auto& [name, log] : logs_) log.doubtful = true;
}

DocumentsHere BlobTracker::Documents(const std::string& log) const {
  std::lock_guard lock(mutex_);
  const auto it = logs_.find(log);
  if (it == logs_.end()) return {0, std::make_shared<const std::set<uint64_t>>()};
  Log& state = it->second;
  const int64_t now_ms = MonoMs();
  const bool rests =
      state.missing.size() > options_.list_max && now_ms - state.shown_ms < options_.list_ms;
  if (state.shown == nullptr || (state.changed && !rests)) {
    std::set<uint64_t> missing;
    for (const auto& [index, chunks] : state.missing) missing.insert(missing.end(), index);
    state.shown = std::make_shared<const std::set<uint64_t>>(std::move(missing));
    state.shown_ms = now_ms;
    state.changed = false;
  }
  if (!state.changed) state.shown_to = state.checked_to;
  return {Doubtful(state) ? 0 : state.shown_to, state.shown};
}

std::map<std::string, TrackerStats> BlobTracker::Stats() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, TrackerStats> stats;
  for (const auto& [name, log] : logs_) {
    stats[name] = {Doubtful(log) ? 0 : log.checked_to, log.missing.size()};
  }
  return stats;
}

std::vector<std::string> BlobTracker::Lacking() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, log] : logs_) {
    if (!log.chunks.empty()) names.push_back(name);
  }
  return names;
}

std::vector<Digest> BlobTracker::NextMissing(const std::string& name, size_t max) {
  std::lock_guard lock(mutex_);
  Log& log = logs_[name];
  std::vector<Digest> digests;
  const int64_t now_ms = MonoMs();
  auto it = log.chunks.upper_bound(log.next);
  for (size_t seen = 0; seen < log.chunks.size() && digests.size() < max; ++seen, ++it) {
    if (it == log.chunks.end()) it = log.chunks.begin();
    log.next = it->first;
    int64_t& handed_ms = it->second.handed_ms;
    if (handed_ms != 0 && now_ms - handed_ms < options_.ask_again_ms) continue;
    handed_ms = now_ms;
    digests.push_back(it->first);
  }
  return digests;
}

}  // namespace kembar
