// hard_state_fuzz.cc — any bytes: DecodeHardState refuses them or they encode to the same again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "replicator/base/check.h"
#include "replicator/log/store.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kembar;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Result<HardState> state = DecodeHardState(bytes);
  if (state.ok()) {
    CHECK(EncodeHardState(*state) == bytes);
  } else {
    CHECK(state.status().code() == Code::kCorrupt);
  }
  return 0;
}
