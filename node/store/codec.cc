// codec.cc — see codec.h.
#include "node/store/codec.h"

#include "replicator/base/bytes.h"
#include "replicator/base/check.h"

namespace kembar {
namespace {

constexpr uint8_t kVersion = 1;

// Ends a decoding: the value must have been read to its last byte.
template <class T>
Result<T> Finish(const ByteReader& reader, T value, std::string_view what) {
  if (reader.AtEnd()) return value;
  return Status(Code::kCorrupt, "stored " + std::string(what) + " is malformed");
}

void ReadVersion(ByteReader* reader) {
  if (reader->U8() != kVersion) reader->Fail();
}

Digest ReadDigest(ByteReader* reader) {
  std::string_view raw = reader->Raw(sizeof(Digest));
  return reader->ok() ? DigestFromBytes(raw) : Digest{};
}

}  // namespace

std::string EncodeLogEnd(const LogEnd& end) {
  std::string out;
  ByteWriter writer(&out);
  writer.U8(kVersion);
  writer.U64(end.last_index);
  writer.Raw(AsBytes(end.root));
  return out;
}

Result<LogEnd> DecodeLogEnd(std::string_view bytes) {
  ByteReader reader(bytes);
  ReadVersion(&reader);
  LogEnd end;
  end.last_index = reader.U64();
  end.root = ReadDigest(&reader);
  return Finish(reader, end, "end of log");
}

std::string EncodeItemVersion(const ItemVersion& version) {
  std::string out;
  ByteWriter writer(&out);
  writer.U8(kVersion);
  writer.U8(static_cast<uint8_t>(version.kind));
  writer.I64(version.time_us);
  writer.Varint(version.payload_bytes);
  writer.Raw(AsBytes(version.payload_sha256));
  writer.Str(version.title);
  writer.Str(version.value);
  if (!version.unit.empty()) writer.Str(version.unit);
  return out;
}

Result<ItemVersion> DecodeItemVersion(std::string_view bytes) {
  ByteReader reader(bytes);
  ReadVersion(&reader);
  ItemVersion version;
  version.kind = static_cast<RecordKind>(reader.U8());
  version.time_us = reader.I64();
  version.payload_bytes = reader.Varint();
  version.payload_sha256 = ReadDigest(&reader);
  version.title = reader.Str();
  version.value = reader.Str();
  if (reader.ok() && !reader.AtEnd()) version.unit = reader.Str();
  return Finish(reader, std::move(version), "item version");
}

std::string EncodeQuarantineInfo(const QuarantineInfo& info) {
  CHECK(info.first_index <= info.last_index);
  std::string out;
  ByteWriter writer(&out);
  writer.U8(kVersion);
  writer.Str(info.origin);
  writer.I64(info.time_us);
  writer.U64(info.first_index);
  writer.U64(info.last_index);
  writer.U64(info.acknowledged_to);
  return out;
}

Result<QuarantineInfo> DecodeQuarantineInfo(std::string_view bytes) {
  ByteReader reader(bytes);
  ReadVersion(&reader);
  QuarantineInfo info;
  info.origin = reader.Str();
  info.time_us = reader.I64();
  info.first_index = reader.U64();
  info.last_index = reader.U64();
  info.acknowledged_to = reader.U64();
  if (info.first_index > info.last_index) reader.Fail();
  return Finish(reader, std::move(info), "quarantine entry");
}

}  // namespace kembar
