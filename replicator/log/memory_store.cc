// memory_store.cc — see memory_store.h.
#include "replicator/log/memory_store.h"

#include <algorithm>

#include "replicator/base/check.h"
#include "replicator/log/derive.h"

namespace kembar {

struct MemoryStore::Entry {
  std::string frame;
  Record record;  // without its payload
  std::optional<ItemVersion> version;
};

struct MemoryStore::Change {
  std::string log;
  std::optional<Truncation> truncate;
  std::vector<std::shared_ptr<Entry>> entries;
  std::vector<merkle::Node> nodes;
  std::optional<HardState> hard;
};

struct MemoryStore::LogData {
  using Entries = std::vector<std::shared_ptr<Entry>>;
  struct Quarantine {
    QuarantineInfo info;
    Entries entries;
  };
  using ItemKey = std::pair<std::string, std::string>;  // package, item

  Entries entries;                         // entries[i] has index i + 1
  std::vector<std::vector<Digest>> nodes;  // nodes[level][offset]
  std::vector<Quarantine> quarantines;     // quarantines[i] has id i + 1
  HardState hard;
  // Derived from the entries: stacks of indices, newest last, so that truncation pops.
  std::map<ItemKey, std::vector<uint64_t>> items;
  std::map<std::string, std::vector<uint64_t>> sources;
  std::vector<uint64_t> controls;

  uint64_t last_index() const { return entries.size(); }
  uint64_t LastBatchEnd() const;
  const Entry& At(uint64_t index) const { return *entries[index - 1]; }
  Result<Digest> Node(uint8_t level, uint64_t offset) const;
  merkle::NodeReader NodeReader() const;
  // Fails when the frame is not the one that was written: its leaf hash tells.
  Status CheckFrame(const std::string& log, uint64_t index) const;

  void Append(const std::shared_ptr<Entry>& entry);
  void Truncate(const Truncation& truncation);
  void RemoveLast();
};

uint64_t MemoryStore::LogData::LastBatchEnd() const {
  uint64_t index = last_index();
  while (index > 0 && !At(index).record.batch_end) --index;
  return index;
}

Result<Digest> MemoryStore::LogData::Node(uint8_t level, uint64_t offset) const {
  if (level < nodes.size() && offset < nodes[level].size()) return nodes[level][offset];
  return Status(Code::kNotFound, "no tree node at level " + std::to_string(level) + " offset " +
                                     std::to_string(offset));
}

merkle::NodeReader MemoryStore::LogData::NodeReader() const {
  return [this](uint8_t level, uint64_t offset) { return Node(level, offset); };
}

Status MemoryStore::LogData::CheckFrame(const std::string& log, uint64_t index) const {
  if (merkle::HashLeaf(At(index).frame) == nodes[0][index - 1]) return Status::Ok();
  return {Code::kCorrupt,
          "log " + log + " index " + std::to_string(index) + ": frame differs from its leaf hash"};
}

void MemoryStore::LogData::Append(const std::shared_ptr<Entry>& entry) {
  entries.push_back(entry);
  const Record& record = entry->record;
  if (entry->version) items[{record.package, record.item}].push_back(record.index);
  if (HasPosition(record)) sources[record.source].push_back(record.index);
  if (IsControl(record.kind)) controls.push_back(record.index);
}

void MemoryStore::LogData::RemoveLast() {
  const std::shared_ptr<Entry> entry = entries.back();
  entries.pop_back();
  const Record& record = entry->record;
  auto pop = [&record](auto* stacks, const auto& key) {
    auto stack = stacks->find(key);
    CHECK(stack != stacks->end() && stack->second.back() == record.index);
    stack->second.pop_back();
    if (stack->second.empty()) stacks->erase(stack);
  };
  if (entry->version) pop(&items, ItemKey{record.package, record.item});
  if (HasPosition(record)) pop(&sources, record.source);
  if (IsControl(record.kind)) controls.pop_back();
}

void MemoryStore::LogData::Truncate(const Truncation& truncation) {
  if (truncation.after == last_index()) return;
  auto first = entries.begin() + static_cast<ptrdiff_t>(truncation.after);
  quarantines.push_back({.info = {.id = quarantines.size() + 1,
                                  .origin = truncation.origin,
                                  .time_us = truncation.time_us,
                                  .first_index = truncation.after + 1,
                                  .last_index = last_index(),
                                  .acknowledged_to = truncation.acknowledged_to},
                         .entries = Entries(first, entries.end())});
  while (last_index() > truncation.after) RemoveLast();
  for (size_t level = 0; level < nodes.size(); ++level) {
    nodes[level].resize(truncation.after >> level);
  }
}

MemoryStore::MemoryStore(std::string node_uuid)
    : first_uuid_(std::move(node_uuid)),
      node_uuid_(first_uuid_),
      now_(std::make_unique<LogMap>()),
      durable_(std::make_unique<LogMap>()) {}

MemoryStore::~MemoryStore() = default;

// Decodes what `write` brings and CHECKs that it continues the log as `data` has it.
MemoryStore::Change MemoryStore::Prepare(const LogData& data, const LogWrite& write) {
  Change change{write.log, write.truncate, {}, write.nodes, write.hard};
  CHECK(!write.truncate || write.truncate->after <= data.last_index());
  CHECK(write.batch || write.nodes.empty());
  if (!write.batch) return change;

  uint64_t last = write.truncate ? write.truncate->after : data.last_index();
  uint64_t epoch = last == 0 ? 0 : data.At(last).record.epoch;
  Result<merkle::Frontier> frontier = merkle::LoadFrontier(last, data.NodeReader());
  std::vector<merkle::Node> completed;
  CHECK_MSG(write.batch->first_index == last + 1, "batch does not continue log " + write.log);
  CHECK(!write.batch->frames.empty());
  for (const std::string& frame : write.batch->frames) {
    Result<Record> record = DecodeRecord(frame);
    CHECK_MSG(record.ok(), record.status().ToString());
    CHECK(record->index == ++last);
    CHECK(record->epoch >= epoch);
    epoch = record->epoch;
    frontier->Append(merkle::HashLeaf(frame), &completed);
    auto entry = std::make_shared<Entry>();
    entry->frame = frame;
    if (IsItem(record->kind)) entry->version = MakeItemVersion(*record);
    entry->record = *std::move(record);
    entry->record.payload.clear();
    entry->record.payload.shrink_to_fit();
    change.entries.push_back(std::move(entry));
  }
  CHECK_MSG(write.nodes == completed, "tree nodes do not belong to the batch");
  return change;
}

void MemoryStore::Apply(const Change& change, LogMap* logs) {
  LogData& data = (*logs)[change.log];
  if (change.truncate) data.Truncate(*change.truncate);
  for (const std::shared_ptr<Entry>& entry : change.entries) data.Append(entry);
  for (const merkle::Node& node : change.nodes) {
    if (node.level >= data.nodes.size()) data.nodes.resize(size_t{node.level} + 1);
    CHECK(node.offset == data.nodes[node.level].size());
    data.nodes[node.level].push_back(node.hash);
  }
  if (change.hard) data.hard = *change.hard;
}

Status MemoryStore::Write(std::span<const LogWrite> writes) {
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(failed_);
  std::vector<Change> changes;
  for (const LogWrite& write : writes) {
    changes.push_back(Prepare(FindLog(write.log), write));
    Apply(changes.back(), now_.get());
  }
  held_.push_back(std::move(changes));
  // A durable Write makes all Writes before it durable too.
  if (!hold_) SyncHeld(held_.size());
  return Status::Ok();
}

// An unknown log reads as an empty one.
const MemoryStore::LogData& MemoryStore::FindLog(const std::string& log) const {
  static const LogData empty;
  auto found = now_->find(log);
  return found == now_->end() ? empty : found->second;
}

Result<std::vector<std::string>> MemoryStore::Logs() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, data] : *now_) names.push_back(name);
  return names;
}

Result<Recovered> MemoryStore::Recover(const std::string& log) const {
  std::lock_guard lock(mutex_);
  const LogData& data = FindLog(log);
  Recovered out;
  out.hard = data.hard;
  out.last_index = data.last_index();
  out.last_batch_end = data.LastBatchEnd();
  ASSIGN_OR_RETURN(out.frontier, merkle::LoadFrontier(data.last_index(), data.NodeReader()));
  for (uint64_t index : data.controls) {
    RETURN_IF_ERROR(data.CheckFrame(log, index));
    ASSIGN_OR_RETURN(Record record, DecodeRecord(data.At(index).frame));
    Result<ControlState> control = DecodeControl(record.payload);
    if (!control.ok()) {
      return control.status().Prepend("log " + log + " index " + std::to_string(index));
    }
    out.control = *std::move(control);
    out.control_index = index;
    if (record.kind == RecordKind::kEpochStart) {
      out.history.Append({record.epoch, index, out.control.primary, out.control.lossy});
    }
  }
  out.log_uuid = out.control.log_uuid;
  for (const auto& [source, indices] : data.sources) {
    out.positions[source] = {data.At(indices.back()).record.position, indices.back()};
  }
  return out;
}

Result<FrameBatch> MemoryStore::Read(const std::string& log, uint64_t from, uint64_t to,
                                     size_t bytes_max) const {
  std::lock_guard lock(mutex_);
  const LogData& data = FindLog(log);
  if (from == 0 || to < from) return Status(Code::kInvalid, "read of an empty range");
  if (from > data.last_index()) {
    return Status(Code::kNotFound, "log " + log + " has no index " + std::to_string(from));
  }
  ASSIGN_OR_RETURN(merkle::Frontier frontier, merkle::LoadFrontier(from - 1, data.NodeReader()));
  FrameBatch batch;
  batch.first_index = from;
  batch.prev_root = frontier.Root();
  std::vector<merkle::Node> completed;
  for (uint64_t index = from; index <= std::min(to, data.last_index()); ++index) {
    RETURN_IF_ERROR(data.CheckFrame(log, index));
    const std::string& frame = data.At(index).frame;
    frontier.Append(data.nodes[0][index - 1], &completed);
    batch.bytes += frame.size();
    batch.frames.push_back(frame);
    if (batch.bytes >= bytes_max) break;
  }
  batch.root = frontier.Root();
  return batch;
}

Result<Digest> MemoryStore::RootAt(const std::string& log, uint64_t size) const {
  std::lock_guard lock(mutex_);
  const LogData& data = FindLog(log);
  if (size > data.last_index()) {
    return Status(Code::kNotFound, "log " + log + " has no index " + std::to_string(size));
  }
  return merkle::RootAt(size, data.NodeReader());
}

Result<Digest> MemoryStore::TreeNode(const std::string& log, uint8_t level, uint64_t offset) const {
  std::lock_guard lock(mutex_);
  return FindLog(log).Node(level, offset);
}

Result<uint64_t> MemoryStore::FindPosition(const std::string& log, const std::string& source,
                                           uint64_t position) const {
  std::lock_guard lock(mutex_);
  const LogData& data = FindLog(log);
  auto found = data.sources.find(source);
  if (found == data.sources.end()) return uint64_t{0};
  const std::vector<uint64_t>& indices = found->second;
  auto match = std::find_if(indices.rbegin(), indices.rend(), [&data, position](uint64_t index) {
    return data.At(index).record.position == position;
  });
  return match == indices.rend() ? uint64_t{0} : *match;
}

Status MemoryStore::VisitItems(const std::string& log, const ItemRange& range,
                               const ItemVisitor& each) const {
  // Gathered first: the visitor may call the store again.
  std::vector<ItemVersion> versions;
  {
    std::lock_guard lock(mutex_);
    const LogData& data = FindLog(log);
    for (auto at = data.items.lower_bound({range.package, ""}); at != data.items.end(); ++at) {
      if (!range.package.empty() && at->first.first != range.package) break;
      if (!at->first.second.starts_with(range.item_prefix)) continue;
      const std::vector<uint64_t>& indices = at->second;
      for (auto index = indices.rbegin(); index != indices.rend(); ++index) {
        if (*index <= range.as_of) versions.push_back(*data.At(*index).version);
      }
    }
  }
  for (size_t at = 0; at < versions.size();) {
    const ItemVersion& seen = versions[at];
    const Visit next = each(seen);
    if (next == Visit::kStop) break;
    const auto passed_over = [&](const ItemVersion& version) {
      if (next == Visit::kNext || version.package != seen.package) return false;
      return next == Visit::kNextPackage || version.item == seen.item;
    };
    for (++at; at < versions.size() && passed_over(versions[at]);) ++at;
  }
  return Status::Ok();
}

Result<std::vector<QuarantineInfo>> MemoryStore::Quarantines(const std::string& log) const {
  std::lock_guard lock(mutex_);
  std::vector<QuarantineInfo> infos;
  for (const LogData::Quarantine& quarantine : FindLog(log).quarantines) {
    infos.push_back(quarantine.info);
  }
  return infos;
}

Result<std::vector<std::string>> MemoryStore::QuarantinedFrames(const std::string& log, uint64_t id,
                                                                uint64_t from,
                                                                size_t bytes_max) const {
  std::lock_guard lock(mutex_);
  const LogData& data = FindLog(log);
  if (id == 0 || id > data.quarantines.size()) {
    return Status(Code::kNotFound, "log " + log + " has no quarantine " + std::to_string(id));
  }
  const LogData::Quarantine& quarantine = data.quarantines[id - 1];
  if (from > quarantine.info.last_index) {
    return Status(Code::kNotFound, "quarantine " + std::to_string(id) + " of log " + log +
                                       " has no index " + std::to_string(from));
  }
  std::vector<std::string> frames;
  size_t bytes = 0;
  uint64_t first = quarantine.info.first_index;
  for (uint64_t i = std::max(from, first) - first; i < quarantine.entries.size(); ++i) {
    frames.push_back(quarantine.entries[i]->frame);
    bytes += frames.back().size();
    if (bytes >= bytes_max) break;
  }
  return frames;
}

void MemoryStore::hold_writes(bool hold) {
  std::lock_guard lock(mutex_);
  hold_ = hold;
}

size_t MemoryStore::unsynced() const {
  std::lock_guard lock(mutex_);
  return held_.size();
}

void MemoryStore::SyncHeld(size_t count) {
  for (size_t i = std::min(count, held_.size()); i > 0; --i) {
    for (const Change& change : held_.front()) Apply(change, durable_.get());
    held_.pop_front();
  }
}

void MemoryStore::Sync() {
  std::lock_guard lock(mutex_);
  SyncHeld(held_.size());
}

void MemoryStore::SyncFirst(size_t count) {
  std::lock_guard lock(mutex_);
  SyncHeld(count);
}

void MemoryStore::Crash(size_t keep) {
  std::lock_guard lock(mutex_);
  failed_ = Status::Ok();
  SyncHeld(keep);
  if (held_.empty()) return;  // nothing is lost: now_ and durable_ are the same
  held_.clear();
  *now_ = *durable_;
}

void MemoryStore::FailWrites(Status error) {
  std::lock_guard lock(mutex_);
  CHECK(!error.ok());
  failed_ = std::move(error);
}

void MemoryStore::Wipe() {
  std::lock_guard lock(mutex_);
  now_->clear();
  durable_->clear();
  held_.clear();
  failed_ = Status::Ok();
  node_uuid_ = first_uuid_ + "-" + std::to_string(++wipes_ + 1);
}

class MemoryStore::Image {
 public:
  Image(LogMap logs, std::string node_uuid)
      : logs_(std::move(logs)), node_uuid_(std::move(node_uuid)) {}
  const LogMap& logs() const { return logs_; }
  const std::string& node_uuid() const { return node_uuid_; }

 private:
  const LogMap logs_;
  const std::string node_uuid_;
};

std::shared_ptr<const MemoryStore::Image> MemoryStore::Save() const {
  std::lock_guard lock(mutex_);
  return std::make_shared<const Image>(*durable_, node_uuid_);
}

void MemoryStore::Restore(const Image& image) {
  std::lock_guard lock(mutex_);
  CHECK(held_.empty());
  *now_ = image.logs();
  *durable_ = image.logs();
  node_uuid_ = image.node_uuid();
  failed_ = Status::Ok();
}

bool MemoryStore::CorruptFrame(const std::string& log, uint64_t index) {
  std::lock_guard lock(mutex_);
  auto found = now_->find(log);
  if (found == now_->end() || index == 0 || index > found->second.last_index()) return false;
  // The entry is shared with durable_ and held_: the damage outlives a crash.
  std::string& frame = found->second.entries[index - 1]->frame;
  char& victim = frame[frame.size() / 2];
  victim = static_cast<char>(victim ^ 1);
  return true;
}

}  // namespace kembar
