// epoch_history.cc — see epoch_history.h.
#include "replicator/log/epoch_history.h"

#include <algorithm>
#include <utility>

#include "replicator/base/check.h"

namespace kembar {
namespace {

bool MayFollow(const EpochEntry& entry, const EpochEntry& next) {
  return next.epoch > entry.epoch && next.first_index > entry.first_index;
}

// The first entry that begins after `index`.
auto FirstAfter(const std::vector<EpochEntry>& entries, uint64_t index) {
  return std::upper_bound(
      entries.begin(), entries.end(), index,
      [](uint64_t sought, const EpochEntry& entry) { return sought < entry.first_index; });
}

// The last index of the reign of entry `at`, in a log that ends at `last`.
uint64_t EndOf(const std::vector<EpochEntry>& entries, size_t at, uint64_t last) {
  return at + 1 < entries.size() ? std::min(entries[at + 1].first_index - 1, last) : last;
}

}  // namespace

std::string EpochText(uint64_t epoch) {
  std::string text = std::to_string(EpochNumber(epoch));
  if (EpochRestarts(epoch) != 0) text += "." + std::to_string(EpochRestarts(epoch));
  return text;
}

EpochHistory::EpochHistory(std::vector<EpochEntry> entries) : entries_(std::move(entries)) {
  CHECK(WellFormed(entries_));
}

void EpochHistory::Append(EpochEntry entry) {
  // The zero entry stands before all others: epochs and indices count from 1.
  CHECK(MayFollow(entries_.empty() ? EpochEntry{} : entries_.back(), entry));
  entries_.push_back(std::move(entry));
}

uint64_t EpochHistory::EpochOf(uint64_t index) const {
  auto after = FirstAfter(entries_, index);
  return after == entries_.begin() ? 0 : std::prev(after)->epoch;
}

bool EpochHistory::LossyAfter(uint64_t index) const {
  return std::any_of(FirstAfter(entries_, index), entries_.end(),
                     [](const EpochEntry& entry) { return entry.lossy; });
}

uint64_t EpochHistory::CommonIndex(const EpochHistory& a, uint64_t a_last, const EpochHistory& b,
                                   uint64_t b_last) {
  size_t equal = 0;
  size_t shorter = std::min(a.entries_.size(), b.entries_.size());
  while (equal < shorter && a.entries_[equal] == b.entries_[equal]) ++equal;
  if (equal == 0) return 0;
  return std::min(EndOf(a.entries_, equal - 1, a_last), EndOf(b.entries_, equal - 1, b_last));
}

bool EpochHistory::WellFormed(const std::vector<EpochEntry>& entries) {
  EpochEntry before;
  for (const EpochEntry& entry : entries) {
    if (!MayFollow(before, entry)) return false;
    before = entry;
  }
  return true;
}

}  // namespace kembar
