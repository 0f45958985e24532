// histogram.cc — see histogram.h.
#include "tools/bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace kembar::bench {

size_t Histogram::BucketOf(uint64_t micros) {
  if (micros < (uint64_t{1} << kStepBits)) return static_cast<size_t>(micros);
  const auto shift = static_cast<unsigned>(std::bit_width(micros)) - 1 - kStepBits;
  return (size_t{shift + 1} << kStepBits) +
         static_cast<size_t>((micros >> shift) - (uint64_t{1} << kStepBits));
}

uint64_t Histogram::TopOf(size_t bucket) {
  if (bucket < (size_t{1} << kStepBits)) return bucket;
  const size_t shift = (bucket >> kStepBits) - 1;
  const uint64_t step = (bucket & ((size_t{1} << kStepBits) - 1)) + (uint64_t{1} << kStepBits);
  return ((step + 1) << shift) - 1;
}

void Histogram::Add(uint64_t micros) {
  ++counts_[BucketOf(micros)];
  ++count_;
  max_ = std::max(max_, micros);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

uint64_t Histogram::Quantile(double part) const {
  const auto wanted = static_cast<uint64_t>(std::ceil(part * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen > 0 && seen >= wanted) return std::min(TopOf(i), max_);
  }
  return max_;
}

}  // namespace kembar::bench
