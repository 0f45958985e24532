// import_plan.cc — see import_plan.h.
#include "tools/kembarctl/import_plan.h"

#include <algorithm>

namespace kembar::ctl {
namespace {

// How many first elements of `rows` equal the last elements of `versions`, at most.
size_t Overlap(const std::vector<Digest>& versions, const std::vector<Digest>& rows) {
  for (size_t n = std::min(versions.size(), rows.size()); n > 0; --n) {
    if (std::equal(versions.end() - static_cast<std::ptrdiff_t>(n), versions.end(), rows.begin())) {
      return n;
    }
  }
  return 0;
}

}  // namespace

ImportPlan PlanImport(const import::ImportFile& file, uint64_t done_position,
                      KnownVersions* known) {
  // The rows of each item, without those that repeat their predecessor.
  std::map<std::pair<std::string, std::string>, std::pair<std::vector<Digest>, std::vector<size_t>>>
      rows;
  ImportPlan plan;
  for (size_t i = 0; i < file.drafts.size(); ++i) {
    const import::Draft& draft = file.drafts[i];
    if (draft.row <= done_position) {
      ++plan.unchanged;
      continue;
    }
    auto& [digests, places] = rows[{draft.package, draft.item}];
    const Digest digest = Sha256({draft.payload});
    if (!digests.empty() && digests.back() == digest) {
      ++plan.unchanged;
      continue;
    }
    digests.push_back(digest);
    places.push_back(i);
  }
  for (const auto& [key, item] : rows) {
    const auto& [digests, places] = item;
    std::vector<Digest>& versions = (*known)[key];
    const size_t held = Overlap(versions, digests);
    plan.unchanged += held;
    plan.append.insert(plan.append.end(), places.begin() + static_cast<std::ptrdiff_t>(held),
                       places.end());
    versions.insert(versions.end(), digests.begin() + static_cast<std::ptrdiff_t>(held),
                    digests.end());
  }
  std::sort(plan.append.begin(), plan.append.end());
  return plan;
}

uint32_t VersionsNeeded(const import::ImportFile& file) {
  std::map<std::pair<std::string_view, std::string_view>, uint32_t> counts;
  uint32_t most = 1;
  for (const import::Draft& draft : file.drafts) {
    most = std::max(most, ++counts[{draft.package, draft.item}]);
  }
  return most;
}

std::string CommonPackagePrefix(const std::vector<import::ImportFile>& files) {
  bool first = true;
  std::string prefix;
  for (const import::ImportFile& file : files) {
    for (const import::Draft& draft : file.drafts) {
      if (first) prefix = draft.package;
      first = false;
      const auto end =
          std::mismatch(prefix.begin(), prefix.end(), draft.package.begin(), draft.package.end());
      prefix.erase(end.first, prefix.end());
    }
  }
  return prefix;
}

std::string ImportSource(const std::string& format, const import::ImportFile& file) {
  return "import/" + format + "/" + file.sha256_hex.substr(0, 32);
}

}  // namespace kembar::ctl
