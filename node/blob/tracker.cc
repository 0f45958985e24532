// tracker.cc — see tracker.h.
#include "node/blob/tracker.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "node/blob/document.h"
#include "node/inventory.h"

namespace kembar {
namespace {

constexpr size_t kRecordsInTurn = 256;
constexpr size_t kReadBytes = size_t{1} << 20;

int64_t MonoMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool IsDocumentVersion(RecordKind kind, std::string_view item) {
  return kind == RecordKind::kPut && IsDocument(item);
}

}  // namespace

BlobTracker::BlobTracker(Engine* engine, const BlobStore* blobs, TrackerOptions options)
    : engine_(engine), blobs_(blobs), options_(options), next_{} {}

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
  bool listed = false;
  bool todo = false;
  {
    std::lock_guard lock(mutex_);
    Log& log = logs_[name];
    if (chunks_.size() >= options_.missing_max) return false;
    listed = log.listed;
    todo = !log.todo.empty();
    if (listed && !todo && log.checked_to == commit) return false;
  }
  if (!listed) {
    RETURN_IF_ERROR(List(name, commit));
    return true;
  }
  RETURN_IF_ERROR(CheckContinues(name, commit));
  RETURN_IF_ERROR(todo ? CheckListed(name) : Follow(name, commit));
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
  log.listed_to = commit;
  log.root = root;
  log.checked_to = indices.empty() ? commit : 0;
  log.todo = std::move(indices);
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
  Forget(name);
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
    ASSIGN_OR_RETURN(const Record record, ReadRecord(*engine_->store(), name, index));
    RETURN_IF_ERROR(CheckRecord(name, record));
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
  ASSIGN_OR_RETURN(const FrameBatch batch, engine_->store()->Read(name, from, commit, kReadBytes));
  for (const std::string& frame : batch.frames) {
    ASSIGN_OR_RETURN(const Record record, DecodeRecord(frame));
    if (IsDocumentVersion(record.kind, record.item)) RETURN_IF_ERROR(CheckRecord(name, record));
  }
  std::lock_guard lock(mutex_);
  Log& log = logs_[name];
  if (!log.listed) return {};
  log.checked_to = batch.last_index();
  log.root = batch.root;
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
  Drop(name, &log, record.index);
  if (document.ok() && missing.empty()) return {};
  if (!document.ok()) {
    spdlog::warn("document_unreadable log={} package=\"{}\" item=\"{}\" index={} why=\"{}\"", name,
                 record.package, record.item, record.index, document.status().message());
  }
  for (const Digest& digest : missing) chunks_[digest].documents.emplace(name, record.index);
  log.missing[record.index] = {missing.begin(), missing.end()};
  log.shown.reset();
  return {};
}

void BlobTracker::Drop(const std::string& name, Log* log, uint64_t index) {
  const auto it = log->missing.find(index);
  if (it == log->missing.end()) return;
  for (const Digest& digest : it->second) {
    const auto chunk = chunks_.find(digest);
    if (chunk == chunks_.end()) continue;
    chunk->second.documents.erase({name, index});
    if (chunk->second.documents.empty()) chunks_.erase(chunk);
  }
  log->missing.erase(it);
  log->shown.reset();
}

void BlobTracker::Forget(const std::string& name) {
  Log& log = logs_[name];
  while (!log.missing.empty()) Drop(name, &log, log.missing.begin()->first);
  log = Log{.told = log.told};
}

void BlobTracker::OnStored(std::span<const Digest> digests) {
  std::lock_guard lock(mutex_);
  for (const Digest& digest : digests) {
    const auto chunk = chunks_.find(digest);
    if (chunk == chunks_.end()) continue;
    for (const auto& [name, index] : chunk->second.documents) {
      Log& log = logs_[name];
      const auto document = log.missing.find(index);
      if (document == log.missing.end()) continue;
      document->second.erase(digest);
      if (!document->second.empty()) continue;
      log.missing.erase(document);
      log.shown.reset();
    }
    chunks_.erase(chunk);
  }
}

void BlobTracker::Recheck(const std::string& log, uint64_t index) {
  if (index > Documents(log).checked_to) return;  // it will be looked at anyway
  const Result<Record> record = ReadRecord(*engine_->store(), log, index);
  Status status = record.status();
  if (status.ok() && IsDocumentVersion(record->kind, record->item)) {
    status = CheckRecord(log, *record);
  }
  if (!status.ok()) {
    spdlog::error("document_unchecked log={} index={} error=\"{}\"", log, index, status.ToString());
  }
}

void BlobTracker::RecheckAll() {
  std::lock_guard lock(mutex_);
  for (auto& [name, log] : logs_) Forget(name);
}

DocumentsHere BlobTracker::Documents(const std::string& log) const {
  std::lock_guard lock(mutex_);
  const auto it = logs_.find(log);
  if (it == logs_.end()) return {0, std::make_shared<const std::set<uint64_t>>()};
  Log& state = it->second;
  if (state.shown == nullptr) {
    std::set<uint64_t> missing;
    for (const auto& [index, chunks] : state.missing) missing.insert(missing.end(), index);
    state.shown = std::make_shared<const std::set<uint64_t>>(std::move(missing));
  }
  return {state.checked_to, state.shown};
}

std::map<std::string, TrackerStats> BlobTracker::Stats() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, TrackerStats> stats;
  for (const auto& [name, log] : logs_) stats[name] = {log.checked_to, log.missing.size()};
  return stats;
}

std::vector<BlobTracker::Missing> BlobTracker::NextMissing(size_t max) {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::vector<Digest>> by_log;
  const int64_t now_ms = MonoMs();
  auto it = chunks_.upper_bound(next_);
  size_t found = 0;
  for (size_t seen = 0; seen < chunks_.size() && found < max; ++seen, ++it) {
    if (it == chunks_.end()) it = chunks_.begin();
    next_ = it->first;
    if (it->second.handed_ms != 0 && now_ms - it->second.handed_ms < options_.ask_again_ms) {
      continue;
    }
    it->second.handed_ms = now_ms;
    by_log[it->second.documents.begin()->first].push_back(it->first);
    ++found;
  }
  std::vector<Missing> missing;
  missing.reserve(by_log.size());
  for (auto& [log, digests] : by_log) missing.push_back({log, std::move(digests)});
  return missing;
}

}  // namespace kembar
