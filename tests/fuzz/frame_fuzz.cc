// frame_fuzz.cc — any bytes: DecodeRecord refuses them or gives a record that encodes to the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "replicator/base/check.h"
#include "replicator/log/record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kembar;
  std::string_view frame(reinterpret_cast<const char*>(data), size);
  Result<FrameHeader> peek = PeekFrame(frame);
  Result<Record> record = DecodeRecord(frame);
  if (!record.ok()) {
    CHECK(record.status().code() == Code::kCorrupt);
    return 0;
  }
  CHECK(EncodeRecord(*record) == frame);
  CHECK(peek.ok());
  CHECK(peek->index == record->index && peek->epoch == record->epoch);
  CHECK(peek->kind == record->kind && peek->batch_end == record->batch_end);
  CHECK(peek->position == record->position && peek->source == record->source);
  return 0;
}
