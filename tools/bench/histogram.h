// histogram.h — latencies in bounded memory, to within 1.6 %.
//
// Thread-safety: none; each client has its own, merged at the end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace kembar::bench {

class Histogram {
 public:
  void Add(uint64_t micros);
  void Merge(const Histogram& other);
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  // The value that `part` (0 to 1) of all values do not exceed; 0 when empty.
  uint64_t Quantile(double part) const;

 private:
  // 64 steps for each power of two.
  static constexpr unsigned kStepBits = 6;
  static constexpr size_t kBuckets = size_t{64} << kStepBits;
  static size_t BucketOf(uint64_t micros);
  static uint64_t TopOf(size_t bucket);

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace kembar::bench
