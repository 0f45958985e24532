// control_fuzz.cc — any text: DecodeControl refuses it or gives a state that survives a round trip.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "replicator/base/check.h"
#include "replicator/log/control.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kembar;
  Result<ControlState> state = DecodeControl({reinterpret_cast<const char*>(data), size});
  if (!state.ok()) {
    CHECK(state.status().code() == Code::kCorrupt);
    return 0;
  }
  // Unknown keys and the order of lines are not kept, so the text itself need not come back.
  Result<ControlState> again = DecodeControl(EncodeControl(*state));
  CHECK(again.ok());
  CHECK(*again == *state);
  // Quorums intersect whatever the membership says.
  const Config& config = state->config;
  CHECK(config.members.empty() ||
        config.FenceQuorum() + config.MirrorsOfQuorum() == config.members.size());
  return 0;
}
