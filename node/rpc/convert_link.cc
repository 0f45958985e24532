// convert_link.cc — see convert.h: what nodes say to each other, and the compression of entries.
#include <zstd.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "kembar/v1/replication.pb.h"
#include "node/blob/holdings.h"
#include "node/rpc/convert.h"
#include "replicator/base/bytes.h"

namespace kembar {
namespace {

constexpr int kZstdLevel = 1;  // the link's speed counts more than the last percent

// No record is shorter; keeps a small message from becoming millions of strings.
constexpr size_t kFrameBytesMin = 16;

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

std::string BytesOf(const Digest& digest) { return std::string(AsBytes(digest)); }

Status ReadDigest(const std::string& in, const char* field, Digest* out) {
  if (in.size() != out->size()) {
    return {Code::kInvalid, std::string(field) + ": " + std::to_string(in.size()) +
                                " bytes, must be " + std::to_string(out->size())};
  }
  *out = DigestFromBytes(in);
  return {};
}

template <class Repeated>
void WriteHistory(const EpochHistory& in, Repeated* out) {
  for (const EpochEntry& entry : in.entries()) {
    v1::EpochEntry* to = out->Add();
    to->set_epoch(entry.epoch);
    to->set_first_index(entry.first_index);
    to->set_primary(entry.primary);
    to->set_lossy(entry.lossy);
  }
}

template <class Repeated>
Status ReadHistory(const Repeated& in, EpochHistory* out) {
  if (static_cast<size_t>(in.size()) > kHistoryMax) {
    return {Code::kInvalid, "history: more than " + std::to_string(kHistoryMax) + " reigns"};
  }
  std::vector<EpochEntry> entries;
  entries.reserve(static_cast<size_t>(in.size()));
  for (const v1::EpochEntry& entry : in) {
    entries.push_back({entry.epoch(), entry.first_index(), entry.primary(), entry.lossy()});
  }
  if (!EpochHistory::WellFormed(entries)) {
    return {Code::kInvalid, "history: epochs or indices do not grow"};
  }
  *out = EpochHistory(std::move(entries));
  return {};
}

// ---- Entries -----------------------------------------------------------------------------------

// True, and frames_zstd is set, when compression saves at least a tenth.
bool Compress(const FrameBatch& batch, v1::Entries* out) {
  std::string plain;
  plain.reserve(batch.bytes + batch.frames.size() * 5);
  ByteWriter writer(&plain);
  for (const std::string& frame : batch.frames) writer.Str(frame);
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  if (!context) return false;
  std::string packed(plain.size() - plain.size() / 10, '\0');
  const size_t size = ZSTD_compressCCtx(context.get(), packed.data(), packed.size(), plain.data(),
                                        plain.size(), kZstdLevel);
  if (ZSTD_isError(size) != 0) return false;  // no room: it does not help
  packed.resize(size);
  out->set_frames_zstd(std::move(packed));
  out->set_frames_bytes(plain.size());
  return true;
}

void WriteEntries(const Entries& in, size_t compress_from, v1::Entries* out) {
  out->set_epoch(in.epoch);
  out->set_primary(in.primary);
  out->set_log_uuid(in.log_uuid);
  WriteHistory(in.history, out->mutable_history());
  out->set_commit_index(in.commit_index);
  const FrameBatch& batch = *in.batch;
  out->set_first_index(batch.first_index);
  out->set_prev_root(BytesOf(batch.prev_root));
  out->set_root(BytesOf(batch.root));
  if (compress_from != 0 && batch.bytes >= compress_from && Compress(batch, out)) return;
  out->mutable_frames()->Reserve(static_cast<int>(batch.frames.size()));
  for (const std::string& frame : batch.frames) out->add_frames(frame);
}

Status Decompress(const v1::Entries& in, FrameBatch* out) {
  const uint64_t size = in.frames_bytes();
  if (size == 0 || size > kEntriesBytesMax) {
    return {Code::kInvalid, "frames_bytes: " + std::to_string(size) + ", must be 1 to " +
                                std::to_string(kEntriesBytesMax)};
  }
  const std::string& packed = in.frames_zstd();
  if (ZSTD_getFrameContentSize(packed.data(), packed.size()) != size) {
    return {Code::kCorrupt, "frames_zstd: not zstd, or not of frames_bytes size"};
  }
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  if (!context) return {Code::kInternal, "no memory to decompress"};
  std::string plain(size, '\0');
  const size_t got =
      ZSTD_decompressDCtx(context.get(), plain.data(), plain.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != size) {
    return {Code::kCorrupt, std::string("frames_zstd: ") +
                                (ZSTD_isError(got) != 0 ? ZSTD_getErrorName(got) : "wrong size")};
  }
  ByteReader reader(plain);
  while (!reader.AtEnd()) {
    const std::string_view frame = reader.Str();
    if (!reader.ok() || frame.size() < kFrameBytesMin) {
      return {Code::kCorrupt, "frames_zstd: a frame's length cannot be"};
    }
    out->frames.emplace_back(frame);
  }
  return {};
}

Result<Message> ReadEntries(v1::Entries* in) {
  Entries out;
  out.epoch = in->epoch();
  out.primary = in->primary();
  out.log_uuid = in->log_uuid();
  out.commit_index = in->commit_index();
  RETURN_IF_ERROR(ReadHistory(in->history(), &out.history));
  auto batch = std::make_shared<FrameBatch>();
  batch->first_index = in->first_index();
  RETURN_IF_ERROR(ReadDigest(in->prev_root(), "prev_root", &batch->prev_root));
  RETURN_IF_ERROR(ReadDigest(in->root(), "root", &batch->root));
  if (!in->frames_zstd().empty()) {
    if (in->frames_size() != 0) {
      return Status(Code::kInvalid, "frames and frames_zstd: only one may be set");
    }
    RETURN_IF_ERROR(Decompress(*in, batch.get()));
  } else {
    batch->frames.reserve(static_cast<size_t>(in->frames_size()));
    for (std::string& frame : *in->mutable_frames()) batch->frames.push_back(std::move(frame));
  }
  if (batch->frames.empty()) return Status(Code::kInvalid, "frames: none");
  for (const std::string& frame : batch->frames) {
    if (frame.size() < kFrameBytesMin) return Status(Code::kInvalid, "frames: one is too short");
    batch->bytes += frame.size();
  }
  const uint64_t most = std::numeric_limits<uint64_t>::max() - batch->frames.size();
  if (batch->first_index == 0 || batch->first_index > most) {
    return Status(Code::kInvalid, "first_index: " + std::to_string(batch->first_index));
  }
  if (batch->bytes > kEntriesBytesMax) return Status(Code::kInvalid, "frames: too many bytes");
  out.batch = std::move(batch);
  return Message(std::move(out));
}

// ---- The small ones ----------------------------------------------------------------------------

void WriteHeartbeat(const Heartbeat& in, v1::Heartbeat* out) {
  out->set_epoch(in.epoch);
  out->set_primary(in.primary);
  out->set_primary_address(in.primary_address);
  out->set_log_uuid(in.log_uuid);
  out->set_seq(in.seq);
  WriteHistory(in.history, out->mutable_history());
  out->set_last_index(in.last_index);
  out->set_commit_index(in.commit_index);
  out->set_wall_us(in.wall_us);
  out->set_probe_index(in.probe_index);
  out->set_probe_root(BytesOf(in.probe_root));
  out->set_peer_acked(in.peer_acked);
}

Result<Message> ReadHeartbeat(const v1::Heartbeat& in) {
  Heartbeat out;
  out.epoch = in.epoch();
  out.primary = in.primary();
  out.primary_address = in.primary_address();
  out.log_uuid = in.log_uuid();
  out.seq = in.seq();
  RETURN_IF_ERROR(ReadHistory(in.history(), &out.history));
  out.last_index = in.last_index();
  out.commit_index = in.commit_index();
  out.wall_us = in.wall_us();
  out.probe_index = in.probe_index();
  RETURN_IF_ERROR(ReadDigest(in.probe_root(), "probe_root", &out.probe_root));
  out.peer_acked = in.peer_acked();
  return Message(std::move(out));
}

void WritePosition(const Position& in, v1::Position* out) {
  out->set_epoch(in.epoch);
  out->set_seq(in.seq);
  out->set_log_uuid(in.log_uuid);
  WriteHistory(in.history, out->mutable_history());
  out->set_received_index(in.received_index);
  out->set_durable_index(in.durable_index);
  out->set_durable_root(BytesOf(in.durable_root));
  out->set_commit_index(in.commit_index);
  out->set_probe_index(in.probe_index);
  out->set_probe_match(in.probe_match);
  out->set_busy(in.busy);
}

Result<Message> ReadPosition(const v1::Position& in) {
  Position out;
  out.epoch = in.epoch();
  out.seq = in.seq();
  out.log_uuid = in.log_uuid();
  RETURN_IF_ERROR(ReadHistory(in.history(), &out.history));
  out.received_index = in.received_index();
  out.durable_index = in.durable_index();
  RETURN_IF_ERROR(ReadDigest(in.durable_root(), "durable_root", &out.durable_root));
  out.commit_index = in.commit_index();
  out.probe_index = in.probe_index();
  out.probe_match = in.probe_match();
  out.busy = in.busy();
  return Message(std::move(out));
}

Result<Message> ReadAck(const v1::Ack& in) {
  Ack out{.epoch = in.epoch(), .durable_index = in.durable_index()};
  RETURN_IF_ERROR(ReadDigest(in.durable_root(), "durable_root", &out.durable_root));
  return Message(out);
}

Result<Message> ReadRefusal(const v1::Refusal& in) {
  Refusal out;
  if (in.why() < static_cast<uint32_t>(Refusal::Why::kFenced) ||
      in.why() > static_cast<uint32_t>(Refusal::Why::kStopped)) {
    return Status(Code::kInvalid, "why: unknown value " + std::to_string(in.why()));
  }
  out.why = static_cast<Refusal::Why>(in.why());
  out.promised_epoch = in.promised_epoch();
  out.promised_to = in.promised_to();
  out.index = in.index();
  out.text = in.text();
  return Message(std::move(out));
}

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

void ToProto(const std::string& log, const Message& in, size_t compress_from,
             v1::LinkMessage* out) {
  out->Clear();
  out->set_log(log);
  std::visit(Overloaded{
                 [&](const Heartbeat& m) { WriteHeartbeat(m, out->mutable_heartbeat()); },
                 [&](const Position& m) { WritePosition(m, out->mutable_position()); },
                 [&](const Entries& m) { WriteEntries(m, compress_from, out->mutable_entries()); },
                 [&](const Ack& m) {
                   out->mutable_ack()->set_epoch(m.epoch);
                   out->mutable_ack()->set_durable_index(m.durable_index);
                   out->mutable_ack()->set_durable_root(BytesOf(m.durable_root));
                 },
                 [&](const Refusal& m) {
                   v1::Refusal* to = out->mutable_refusal();
                   to->set_why(static_cast<uint32_t>(m.why));
                   to->set_promised_epoch(m.promised_epoch);
                   to->set_promised_to(m.promised_to);
                   to->set_index(m.index);
                   to->set_text(m.text);
                 },
             },
             in);
}

Result<Message> MessageFromProto(v1::LinkMessage* in) {
  if (in->log().empty()) return Status(Code::kInvalid, "log: empty");
  switch (in->body_case()) {
    case v1::LinkMessage::kHeartbeat: return ReadHeartbeat(in->heartbeat());
    case v1::LinkMessage::kPosition: return ReadPosition(in->position());
    case v1::LinkMessage::kEntries: return ReadEntries(in->mutable_entries());
    case v1::LinkMessage::kAck: return ReadAck(in->ack());
    case v1::LinkMessage::kRefusal: return ReadRefusal(in->refusal());
    case v1::LinkMessage::kHello:
    case v1::LinkMessage::kPing:
    case v1::LinkMessage::kBlobOffer:
    case v1::LinkMessage::kBlobWant:
    case v1::LinkMessage::kBlobLack:
    case v1::LinkMessage::kBlobHave:
    case v1::LinkMessage::kBlobPiece:
    case v1::LinkMessage::kBlobTaken:
    case v1::LinkMessage::kBlobHolding:
    case v1::LinkMessage::BODY_NOT_SET: break;
  }
  return Status(Code::kUnimplemented, "body: of a kind unknown here");
}

void ToProto(const std::string& log, const Holding& in, v1::LinkMessage* out) {
  out->Clear();
  out->set_log(log);
  v1::BlobHolding* holding = out->mutable_blob_holding();
  holding->set_known_to(in.known_to);
  holding->set_epoch(in.epoch);
  holding->mutable_missing()->Add(in.missing.begin(), in.missing.end());
}

Result<Holding> HoldingFromProto(const v1::LinkMessage& in) {
  if (in.log().empty()) return Status(Code::kInvalid, "log: empty");
  const v1::BlobHolding& holding = in.blob_holding();
  Holding out{.known_to = holding.known_to(), .epoch = holding.epoch()};
  out.missing.assign(holding.missing().begin(), holding.missing().end());
  if (out.missing.size() > kHoldingMissingMax) return Status(Code::kInvalid, "missing: too many");
  const bool grows = std::adjacent_find(out.missing.begin(), out.missing.end(),
                                        std::greater_equal<>()) == out.missing.end();
  if (!grows || (!out.missing.empty() && out.missing.back() > out.known_to)) {
    return Status(Code::kInvalid, "missing: not ascending, or beyond known_to");
  }
  return out;
}

}  // namespace kembar
