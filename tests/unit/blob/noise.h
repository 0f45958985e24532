// noise.h — bytes that do not compress, the same for the same seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace kembar {

inline std::string Noise(uint64_t seed, size_t bytes) {
  std::mt19937_64 random(seed);
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return noise;
}

}  // namespace kembar
