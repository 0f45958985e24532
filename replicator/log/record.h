// record.h — one entry of a tender data log, and its one encoding ("frame").
//
// The frame is the same on disk, on the wire and as a Merkle leaf, so that what two sites compare
// is exactly what they hold. It carries no checksum of its own: the Merkle tree over the frames is
// the check, and the store and the transport add theirs.
//
// Frame (integers little-endian, str = varint length + bytes):
//   u8 version | u64 index | u64 epoch | i64 time_us | u8 kind | u8 flags | varint position |
//   str source | str package | str item | str title | str value | [str unit] | str payload
// Version 1 has no unit, version 2 has one; a record is written in the lowest version that holds
// it, so there is one frame for each record.
// Evolution: new kinds may be added (an older node replicates kinds that it does not know); a new
// version number means a new layout, which an older node refuses by name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"

namespace kembar {

enum class RecordKind : uint8_t {
  kPut = 1,     // the item now has this payload
  kDelete = 2,  // the item is gone; payload may say why
  // Control records: they change the log itself. Their payload is a ControlState (control.h).
  kEpochStart = 16,  // a primary's reign begins
  kConfig = 17,      // membership, sync_mirrors, mode or solo changed during a reign
  kNote = 18,        // an operator's act worth keeping, as text; changes nothing
};

// EpochStart and Config records, which every replica interprets.
bool IsControl(RecordKind kind);

inline constexpr char kNoPackage[] = "-";
inline constexpr size_t kPayloadBytesMax = size_t{16} << 20;
inline constexpr size_t kNameBytesMax = 1024;  // source, package, item, title, value, unit: each

struct Record {
  uint64_t index = 0;   // 1, 2, 3… without gaps in a log
  uint64_t epoch = 0;   // the reign in which it was appended
  int64_t time_us = 0;  // the primary's wall clock at append, microseconds since 1970 UTC
  RecordKind kind = RecordKind::kPut;
  bool batch_end = true;  // last record of an atomic append; commit never stops inside a batch
  std::string source;     // who appended it; empty for control records
  uint64_t position = 0;  // the source's own position, the same for a whole batch; grows
  std::string package = kNoPackage;
  std::string item;
  std::string title;    // what this record says of its package's title; empty: nothing
  std::string value;    // exact decimal in rupiah, likewise
  std::string unit;     // the work unit (satuan kerja) that buys, likewise
  std::string payload;  // opaque bytes
};

std::string EncodeRecord(const Record& record);
// kCorrupt when `frame` is not exactly one well-formed record.
Result<Record> DecodeRecord(std::string_view frame);

// The few fields that the protocol looks at, without copying the rest.
struct FrameHeader {
  uint64_t index = 0;
  uint64_t epoch = 0;
  RecordKind kind = RecordKind::kPut;
  bool batch_end = true;
  uint64_t position = 0;
  std::string_view source;  // points into the frame
};
Result<FrameHeader> PeekFrame(std::string_view frame);

// What a client asks to append; the primary adds index, epoch and time.
struct Draft {
  RecordKind kind = RecordKind::kPut;
  std::string package;
  std::string item;
  std::string title;
  std::string value;
  std::string unit;
  std::string payload;
};
// kInvalid, naming the field, when a limit or form is broken.
Status ValidateDraft(const Draft& draft);

// Consecutive frames, immutable and shared between threads and peers without copying.
struct FrameBatch {
  uint64_t first_index = 0;
  std::vector<std::string> frames;
  size_t bytes = 0;    // sum of frame sizes
  Digest prev_root{};  // Merkle root of all records before first_index
  Digest root{};       // Merkle root up to and including last_index()

  uint64_t last_index() const { return first_index + frames.size() - 1; }
};
using SharedBatch = std::shared_ptr<const FrameBatch>;

}  // namespace kembar
