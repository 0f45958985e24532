// rocks_store.cc — see rocks_store.h.
#include "node/store/rocks_store.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "node/store/codec.h"
#include "node/store/keys.h"
#include "node/store/rocks_engine.h"
#include "node/store/rocks_open.h"
#include "node/store/view.h"
#include "node/store/writer.h"
#include "replicator/base/bytes.h"

namespace kembar {
namespace {

const std::string kPeerPrefix = "peer:";
// A seek costs about as much as so many steps.
constexpr int kStepsBeforeSeek = 8;

// To the first key that is not before `target`.
void SkipTo(PrefixScan* scan, const std::string& target) {
  int steps = 0;
  while (scan->Valid() && scan->key() < target) {
    if (++steps > kStepsBeforeSeek) return scan->Seek(target);
    scan->Next();
  }
}

}  // namespace

RocksStore::RocksStore(std::unique_ptr<RocksEngine> engine, size_t quarantine_chunk_bytes)
    : engine_(std::move(engine)),
      writer_(std::make_unique<RocksWriter>(*engine_, quarantine_chunk_bytes)) {}

RocksStore::~RocksStore() = default;

Result<std::unique_ptr<RocksStore>> RocksStore::Open(const RocksOptions& options) {
  ASSIGN_OR_RETURN(auto engine, RocksEngine::Open(options));
  return std::unique_ptr<RocksStore>(
      new RocksStore(std::move(engine), options.quarantine_chunk_bytes));
}

const std::string& RocksStore::node_uuid() const { return engine_->node_uuid(); }

int64_t RocksStore::born_us() const { return engine_->born_us(); }

Status RocksStore::CheckFiles() const {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = size_t{1} << 20;
  // The first knows every byte of a file, but only of files written since there are such sums.
  RETURN_IF_ERROR(RocksEngine::Map(engine_->db()->VerifyFileChecksums(options),
                                   "check the files of " + engine_->dir()));
  return RocksEngine::Map(engine_->db()->VerifyChecksum(options),
                          "check the blocks of " + engine_->dir());
}

std::string RocksStore::BackgroundError() const { return engine_->BackgroundError(); }

Result<std::map<std::string, PeerIdentity>> RocksStore::Peers() const {
  std::map<std::string, PeerIdentity> peers;
  const View view(*engine_);
  const std::string prefix = keys::NodeKey(kPeerPrefix);
  PrefixScan scan(view, Family::kMeta, prefix);
  for (scan.SeekToFirst(); scan.Valid(); scan.Next()) {
    const std::string_view value = scan.value();
    const size_t blank = value.find(' ');
    PeerIdentity identity;
    const auto [stop, error] = std::from_chars(
        value.data(), value.data() + std::min(blank, value.size()), identity.born_us);
    if (blank == std::string_view::npos || error != std::errc() || stop != value.data() + blank) {
      return Status(Code::kCorrupt, "the identity of a peer is malformed", kRebuildHint);
    }
    identity.uuid = value.substr(blank + 1);
    peers.emplace(scan.key().substr(prefix.size()), std::move(identity));
  }
  RETURN_IF_ERROR(scan.status());
  return peers;
}

Status RocksStore::SavePeer(const std::string& name, const PeerIdentity& identity) {
  rocksdb::WriteOptions synced;
  synced.sync = true;
  return RocksEngine::Map(
      engine_->db()->Put(synced, engine_->family(Family::kMeta), keys::NodeKey(kPeerPrefix + name),
                         std::to_string(identity.born_us) + " " + identity.uuid),
      "write the identity of peer " + name);
}

Status RocksStore::Write(std::span<const LogWrite> writes) { return writer_->Write(writes); }

Result<std::vector<std::string>> RocksStore::Logs() const {
  std::vector<std::string> logs;
  const View view(*engine_);
  PrefixScan scan(view, Family::kMeta, "");
  // One seek per log: from any of its keys to behind all of them.
  for (scan.Seek("\x01"); scan.Valid(); scan.Seek(keys::PrefixEnd(keys::LogPrefix(logs.back())))) {
    keys::Parser parser(scan.key());
    logs.push_back(parser.Log());
    if (!parser.ok()) return Status(Code::kCorrupt, "a key of family meta names no log");
  }
  RETURN_IF_ERROR(scan.status());
  std::sort(logs.begin(), logs.end());  // keys are in order of length first
  return logs;
}

Result<FrameBatch> RocksStore::Read(const std::string& log, uint64_t from, uint64_t to,
                                    size_t bytes_max) const {
  if (from == 0 || to < from) return Status(Code::kInvalid, "read of an empty range");
  const View view(*engine_);
  ASSIGN_OR_RETURN(const LogEnd end, ReadEnd(view, log));
  if (from > end.last_index) {
    return Status(Code::kNotFound, "log " + log + " has no index " + std::to_string(from));
  }
  to = std::min(to, end.last_index);
  ASSIGN_OR_RETURN(merkle::Frontier frontier,
                   merkle::LoadFrontier(from - 1, TreeReader(view, log, end)));
  FrameBatch batch{.first_index = from, .frames = {}, .prev_root = frontier.Root(), .root = {}};
  std::vector<merkle::Node> completed;
  PrefixScan frames(view, Family::kLog, keys::LogPrefix(log));
  PrefixScan leaves(view, Family::kTree, keys::LogPrefix(log));
  frames.Seek(keys::LogKey(log, from));
  leaves.Seek(keys::TreeKey(log, 0, from - 1));
  for (uint64_t index = from; index <= to; ++index, frames.Next(), leaves.Next()) {
    if (!frames.Valid() || frames.key() != keys::LogKey(log, index)) {
      RETURN_IF_ERROR(frames.status().Prepend("log " + log + " index " + std::to_string(index)));
      return CorruptAt(log, index, "the record is missing");
    }
    RETURN_IF_ERROR(CheckFrame(log, index, frames.value()));
    const Digest leaf = merkle::HashLeaf(frames.value());
    if (!leaves.Valid() || leaves.key() != keys::TreeKey(log, 0, index - 1) ||
        leaves.value() != AsBytes(leaf)) {
      RETURN_IF_ERROR(leaves.status().Prepend("log " + log + " index " + std::to_string(index)));
      return CorruptAt(log, index, "frame differs from its leaf hash");
    }
    frontier.Append(leaf, &completed);
    batch.frames.emplace_back(frames.value());
    batch.bytes += batch.frames.back().size();
    if (batch.bytes >= bytes_max) break;
  }
  batch.root = frontier.Root();
  return batch;
}

Result<Digest> RocksStore::RootAt(const std::string& log, uint64_t size) const {
  const View view(*engine_);
  ASSIGN_OR_RETURN(const LogEnd end, ReadEnd(view, log));
  if (size > end.last_index) {
    return Status(Code::kNotFound, "log " + log + " has no index " + std::to_string(size));
  }
  return merkle::RootAt(size, TreeReader(view, log, end));
}

Result<Digest> RocksStore::TreeNode(const std::string& log, uint8_t level, uint64_t offset) const {
  const View view(*engine_);
  ASSIGN_OR_RETURN(const LogEnd end, ReadEnd(view, log));
  return ReadTreeNode(view, log, end, level, offset);
}

Result<uint64_t> RocksStore::FindPosition(const std::string& log, const std::string& source,
                                          uint64_t position) const {
  const View view(*engine_);
  ASSIGN_OR_RETURN(const auto value,
                   view.Get(Family::kPositions, keys::PositionKey(log, source, position)));
  if (!value) return uint64_t{0};
  if (value->size() != 8) {
    return Status(Code::kCorrupt, "log " + log + " position " + std::to_string(position) +
                                      " of source " + source + " is malformed");
  }
  return ReadBigEndian64(*value);
}

Status RocksStore::VisitItems(const std::string& log, const ItemRange& range,
                              const ItemVisitor& each) const {
  const View view(*engine_);
  const std::string& wanted = range.item_prefix;
  PrefixScan scan(
      view, Family::kItems,
      range.package.empty() ? keys::LogPrefix(log) : keys::ItemsPrefix(log, range.package, wanted));
  scan.SeekToFirst();
  while (scan.Valid()) {
    keys::Parser key(scan.key());
    key.Log();
    const std::string package = key.Str();
    const std::string item = key.Str();
    const uint64_t index = ~key.Number();
    if (!key.AtEnd()) return {Code::kCorrupt, "log " + log + ": the key of an item is malformed"};
    if (!item.starts_with(wanted)) {
      SkipTo(&scan, item < wanted ? keys::ItemsPrefix(log, package, wanted)
                                  : keys::PrefixEnd(keys::PackagePrefix(log, package)));
      continue;
    }
    if (index > range.as_of) {
      SkipTo(&scan, keys::ItemKey(log, package, item, range.as_of));
      continue;
    }
    Result<ItemVersion> version = DecodeItemVersion(scan.value());
    if (!version.ok()) return CorruptAt(log, index, version.status().message());
    version->package = package;
    version->item = item;
    version->index = index;
    switch (each(*version)) {
      case Visit::kNext: scan.Next(); break;
      case Visit::kNextItem: SkipTo(&scan, keys::ItemKey(log, package, item, 0)); break;
      case Visit::kNextPackage:
        SkipTo(&scan, keys::PrefixEnd(keys::PackagePrefix(log, package)));
        break;
      case Visit::kStop: return {};
    }
  }
  return scan.status();
}

Result<std::vector<QuarantineInfo>> RocksStore::Quarantines(const std::string& log) const {
  std::vector<QuarantineInfo> infos;
  const View view(*engine_);
  const std::string prefix = keys::QuarantineInfoPrefix(log);
  PrefixScan scan(view, Family::kMeta, prefix);
  for (scan.SeekToFirst(); scan.Valid(); scan.Next()) {
    keys::Parser id(scan.key().substr(prefix.size()));
    ASSIGN_OR_RETURN(QuarantineInfo info, DecodeQuarantineInfo(scan.value()));
    info.id = id.Number();
    if (!id.AtEnd())
      return Status(Code::kCorrupt, "log " + log + ": a quarantine key is malformed");
    infos.push_back(std::move(info));
  }
  RETURN_IF_ERROR(scan.status());
  return infos;
}

Result<std::vector<std::string>> RocksStore::QuarantinedFrames(const std::string& log, uint64_t id,
                                                               uint64_t from,
                                                               size_t bytes_max) const {
  const std::string name = "quarantine " + std::to_string(id) + " of log " + log;
  const View view(*engine_);
  ASSIGN_OR_RETURN(const auto value, view.Get(Family::kMeta, keys::QuarantineInfoKey(log, id)));
  if (!value) return Status(Code::kNotFound, "no " + name);
  ASSIGN_OR_RETURN(const QuarantineInfo info, DecodeQuarantineInfo(*value));
  if (from > info.last_index) {
    return Status(Code::kNotFound, name + " has no index " + std::to_string(from));
  }
  std::vector<std::string> frames;
  size_t bytes = 0;
  PrefixScan scan(view, Family::kQuarantine, keys::QuarantinePrefix(log, id));
  uint64_t index = std::max(from, info.first_index);
  for (scan.Seek(keys::QuarantineKey(log, id, index)); index <= info.last_index; ++index) {
    if (!scan.Valid() || scan.key() != keys::QuarantineKey(log, id, index)) {
      RETURN_IF_ERROR(scan.status().Prepend(name));
      return CorruptAt(log, index, "the record is missing from quarantine");
    }
    RETURN_IF_ERROR(CheckFrame(log, index, scan.value()).Prepend(name));
    frames.emplace_back(scan.value());
    bytes += frames.back().size();
    if (bytes >= bytes_max) break;
    scan.Next();
  }
  return frames;
}

Result<uint64_t> RocksStore::FreeBytes() const { return FreeBytesAt(engine_->dir()); }

RocksStats RocksStore::Stats() const {
  RocksStats stats;
  stats.writes = writer_->counters().writes.load(std::memory_order_relaxed);
  stats.write_bytes = writer_->counters().bytes.load(std::memory_order_relaxed);
  stats.write_us = writer_->counters().us.load(std::memory_order_relaxed);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(engine_->dir(), error)) {
    const uintmax_t bytes = entry.file_size(error);
    if (!error) stats.disk_bytes += bytes;  // files come and go while we look
  }
  return stats;
}

}  // namespace kembar
