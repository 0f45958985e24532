// sources.cc — see sources.h.
#include "node/sources.h"

#include <map>

#include "node/inventory.h"

namespace kembar {
namespace {

constexpr std::string_view kTransaction = "transaction/";
constexpr std::string_view kRetired = "retired/";
constexpr std::string_view kCanary = "document/.kembar-canary";

// The newest version of each item of package "-" whose name begins so.
Status EachNewest(const Store& store, const std::string& log, uint64_t as_of,
                  std::string_view prefix, const std::function<Status(const ItemVersion&)>& each) {
  Status status;
  const ItemRange range{
      .package = std::string(kNoPackage), .item_prefix = std::string(prefix), .as_of = as_of};
  RETURN_IF_ERROR(store.VisitItems(log, range, [&](const ItemVersion& version) {
    status = each(version);
    return status.ok() ? Visit::kNextItem : Visit::kStop;
  }));
  return status;
}

}  // namespace

Result<std::vector<SourceSeen>> FindSources(const Store& store, const std::string& log,
                                            uint64_t as_of) {
  std::map<std::string, SourceSeen> seen;
  const auto note = [&seen](std::string source, const ItemVersion& version) {
    seen[source] = {.source = source, .index = version.index, .time_us = version.time_us};
  };
  RETURN_IF_ERROR(EachNewest(store, log, as_of, kTransaction, [&](const ItemVersion& version) {
    note(version.item.substr(kTransaction.size()), version);
    return Status::Ok();
  }));
  uint64_t canary = 0;
  RETURN_IF_ERROR(EachNewest(store, log, as_of, kCanary, [&](const ItemVersion& version) {
    if (version.item == kCanary) canary = version.index;
    return Status::Ok();
  }));
  if (canary > 0) {
    ASSIGN_OR_RETURN(const Record record, ReadRecord(store, log, canary));
    seen[record.source] = {
        .source = record.source, .index = record.index, .time_us = record.time_us};
  }
  RETURN_IF_ERROR(EachNewest(store, log, as_of, kRetired, [&](const ItemVersion& version) {
    const auto at = seen.find(version.item.substr(kRetired.size()));
    if (at != seen.end()) at->second.retired = version.index > at->second.index;
    return Status::Ok();
  }));
  std::vector<SourceSeen> sources;
  sources.reserve(seen.size());
  for (auto& [name, source] : seen) sources.push_back(std::move(source));
  return sources;
}

}  // namespace kembar
