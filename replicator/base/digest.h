// digest.h — SHA-256 (FIPS 180-4, by OpenSSL) as a value type.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace kembar {

using Digest = std::array<uint8_t, 32>;

// SHA-256 of the parts, one after the other.
Digest Sha256(std::initializer_list<std::string_view> parts);

inline std::string_view AsBytes(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}
// `bytes` must be 32 long; the caller has checked.
Digest DigestFromBytes(std::string_view bytes);

std::string ToHex(const Digest& digest);

}  // namespace kembar
