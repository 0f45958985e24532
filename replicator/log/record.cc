// record.cc — see record.h.
#include "replicator/log/record.h"

#include <algorithm>

#include "replicator/base/bytes.h"
#include "replicator/base/check.h"
#include "replicator/base/decimal.h"

namespace kembar {
namespace {

constexpr uint8_t kFrameVersion = 1;
constexpr uint8_t kFrameVersionUnit = 2;  // the same with a unit
constexpr uint8_t kFlagBatchEnd = 1;
constexpr uint8_t kFlagsKnown = kFlagBatchEnd;

// version, index, epoch, time, kind, flags.
constexpr size_t kFixedBytes = 1 + 8 + 8 + 8 + 1 + 1;
constexpr size_t kVarintBytesMax = 10;

Status BadFrame(std::string what) { return {Code::kCorrupt, "frame: " + std::move(what)}; }

Result<std::string_view> ReadBytes(ByteReader* in, std::string_view field, size_t bytes_max) {
  std::string_view bytes = in->Str();
  if (!in->ok()) return BadFrame(std::string(field) + " cut short");
  if (bytes.size() > bytes_max) return BadFrame(std::string(field) + " too long");
  return bytes;
}

struct Header {
  FrameHeader peek;
  int64_t time_us = 0;
  bool has_unit = false;
};

// Everything up to and including the source.
Result<Header> ReadHeader(ByteReader* in) {
  uint8_t version = in->U8();
  if (!in->ok()) return BadFrame("empty");
  if (version != kFrameVersion && version != kFrameVersionUnit) {
    return BadFrame("unknown version " + std::to_string(version));
  }
  Header header;
  header.has_unit = version == kFrameVersionUnit;
  header.peek.index = in->U64();
  header.peek.epoch = in->U64();
  header.time_us = in->I64();
  uint8_t kind = in->U8();
  uint8_t flags = in->U8();
  header.peek.position = in->Varint();
  if (!in->ok()) return BadFrame("header cut short");
  if (header.peek.index == 0) return BadFrame("index 0");
  if (kind == 0) return BadFrame("kind 0");
  if ((flags & ~kFlagsKnown) != 0) return BadFrame("unknown flags " + std::to_string(flags));
  header.peek.kind = static_cast<RecordKind>(kind);
  header.peek.batch_end = (flags & kFlagBatchEnd) != 0;
  ASSIGN_OR_RETURN(header.peek.source, ReadBytes(in, "source", kNameBytesMax));
  return header;
}

Status ReadString(ByteReader* in, std::string_view field, size_t bytes_max, std::string* out) {
  ASSIGN_OR_RETURN(std::string_view bytes, ReadBytes(in, field, bytes_max));
  out->assign(bytes);
  return Status::Ok();
}

// Length of the well-formed UTF-8 sequence that `text` (not empty) begins with, 0 if there is none
// (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
size_t Utf8SequenceLength(std::string_view text) {
  auto byte = [&text](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  auto within = [&byte](size_t i, unsigned low, unsigned high) {
    return byte(i) >= low && byte(i) <= high;
  };
  unsigned lead = byte(0);
  if (lead <= 0x7f) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return within(1, 0x80, 0xbf) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
    unsigned high = lead == 0xed ? 0x9f : 0xbf;
    return within(1, low, high) && within(2, 0x80, 0xbf) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    unsigned low = lead == 0xf0 ? 0x90 : 0x80;
    unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
    return within(1, low, high) && within(2, 0x80, 0xbf) && within(3, 0x80, 0xbf) ? 4 : 0;
  }
  return 0;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    size_t length = Utf8SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// U+0000–001F, U+007F and U+0080–009F; `text` is valid UTF-8.
bool HasControlCharacter(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f) return true;
    if (c == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

Status Invalid(std::string_view field, std::string_view why) {
  return {Code::kInvalid, std::string(field) + " " + std::string(why)};
}

Status ValidateText(std::string_view field, std::string_view text) {
  if (text.size() > kNameBytesMax) {
    return Invalid(field, "is longer than " + std::to_string(kNameBytesMax) + " bytes");
  }
  if (!IsUtf8(text)) return Invalid(field, "is not valid UTF-8");
  return Status::Ok();
}

Status ValidateName(std::string_view field, std::string_view name) {
  if (name.empty()) return Invalid(field, "is empty");
  RETURN_IF_ERROR(ValidateText(field, name));
  if (HasControlCharacter(name)) return Invalid(field, "contains a control character");
  return Status::Ok();
}

}  // namespace

bool IsControl(RecordKind kind) {
  return kind == RecordKind::kEpochStart || kind == RecordKind::kConfig;
}

std::string EncodeRecord(const Record& record) {
  // What DecodeRecord refuses must not be written either.
  CHECK(record.index > 0);
  CHECK(static_cast<uint8_t>(record.kind) != 0);
  size_t bytes = record.payload.size();
  for (const std::string* text : {&record.source, &record.package, &record.item, &record.title,
                                  &record.value, &record.unit}) {
    CHECK(text->size() <= kNameBytesMax);
    bytes += text->size();
  }
  CHECK(record.payload.size() <= kPayloadBytesMax);

  std::string frame;
  frame.reserve(kFixedBytes + 8 * kVarintBytesMax + bytes);
  ByteWriter out(&frame);
  out.U8(record.unit.empty() ? kFrameVersion : kFrameVersionUnit);
  out.U64(record.index);
  out.U64(record.epoch);
  out.I64(record.time_us);
  out.U8(static_cast<uint8_t>(record.kind));
  out.U8(record.batch_end ? kFlagBatchEnd : uint8_t{0});
  out.Varint(record.position);
  out.Str(record.source);
  out.Str(record.package);
  out.Str(record.item);
  out.Str(record.title);
  out.Str(record.value);
  if (!record.unit.empty()) out.Str(record.unit);
  out.Str(record.payload);
  return frame;
}

Result<Record> DecodeRecord(std::string_view frame) {
  ByteReader in(frame);
  ASSIGN_OR_RETURN(Header header, ReadHeader(&in));
  Record record;
  record.index = header.peek.index;
  record.epoch = header.peek.epoch;
  record.time_us = header.time_us;
  record.kind = header.peek.kind;
  record.batch_end = header.peek.batch_end;
  record.position = header.peek.position;
  record.source = header.peek.source;
  RETURN_IF_ERROR(ReadString(&in, "package", kNameBytesMax, &record.package));
  RETURN_IF_ERROR(ReadString(&in, "item", kNameBytesMax, &record.item));
  RETURN_IF_ERROR(ReadString(&in, "title", kNameBytesMax, &record.title));
  RETURN_IF_ERROR(ReadString(&in, "value", kNameBytesMax, &record.value));
  if (header.has_unit) {
    RETURN_IF_ERROR(ReadString(&in, "unit", kNameBytesMax, &record.unit));
    if (record.unit.empty()) return BadFrame("version 2 without a unit");
  }
  RETURN_IF_ERROR(ReadString(&in, "payload", kPayloadBytesMax, &record.payload));
  if (!in.AtEnd()) return BadFrame("bytes after the end");
  return record;
}

Result<FrameHeader> PeekFrame(std::string_view frame) {
  ByteReader in(frame);
  ASSIGN_OR_RETURN(Header header, ReadHeader(&in));
  return header.peek;
}

Status ValidateDraft(const Draft& draft) {
  if (draft.kind != RecordKind::kPut && draft.kind != RecordKind::kDelete &&
      draft.kind != RecordKind::kNote) {
    return Invalid("kind", std::to_string(static_cast<int>(draft.kind)) + " can't be appended");
  }
  RETURN_IF_ERROR(ValidateName("package", draft.package));
  RETURN_IF_ERROR(ValidateName("item", draft.item));
  RETURN_IF_ERROR(ValidateText("title", draft.title));
  RETURN_IF_ERROR(ValidateText("value", draft.value));
  RETURN_IF_ERROR(ValidateText("unit", draft.unit));
  if (!draft.value.empty() && !IsDecimal(draft.value)) {
    return Invalid("value", "is not an exact decimal");
  }
  if (draft.payload.size() > kPayloadBytesMax) {
    return Invalid("payload", "is longer than " + std::to_string(kPayloadBytesMax) + " bytes");
  }
  return Status::Ok();
}

}  // namespace kembar
