// payload.cc — see payload.h.
#include "tools/bench/payload.h"

#include "replicator/base/digest.h"

namespace kembar::bench {

std::string MakePayload(const std::string& source, uint64_t position, size_t size) {
  const std::string name = source + " " + std::to_string(position);
  const std::string digest = ToHex(Sha256({name}));
  std::string payload = name + " " + digest + " ";
  const size_t whole = std::max(size, payload.size());
  payload.reserve(whole + digest.size());
  while (payload.size() < whole) payload += digest;
  payload.resize(whole);
  return payload;
}

}  // namespace kembar::bench
