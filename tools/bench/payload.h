// payload.h — contents that can be checked by whoever knows source and position: a lost, doubled or
// mixed-up record shows.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>

namespace kembar::bench {

// "SOURCE POSITION DIGEST " and then filler derived from it, `size` bytes; longer when the first
// part alone is longer. Always text.
std::string MakePayload(const std::string& source, uint64_t position, size_t size);

}  // namespace kembar::bench
