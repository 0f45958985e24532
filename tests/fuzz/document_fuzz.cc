// document_fuzz.cc — any bytes at all give a document or a Status; what is taken is consistent.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "node/blob/blob_store.h"
#include "node/blob/document.h"
#include "replicator/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto document = kembar::DecodeDocument(bytes);
  if (document.ok()) {
    CHECK(!document->path.empty());
    const uint64_t chunks = document->chunks.size();
    CHECK(chunks * kembar::kChunkBytesMax >= document->size);
    CHECK(chunks == 0 || (chunks - 1) * kembar::kChunkBytesMax < document->size);
  } else {
    CHECK(!document.status().message().empty());
  }
  (void)kembar::DocumentKey(bytes);
  return 0;
}
