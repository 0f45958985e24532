// sources.cc — see sources.h.
#include "node/sources.h"

#include <map>

#include "node/inventory.h"

namespace kembar {
namespace {

constexpr std::string_view kTransaction = "transaction/";
constexpr std::string_view kRetired = "retired/";
constexpr std::string_view kCanary = "document/.kembar-canary";
constexpr std::string_view kUnreadable = "documents/?";  // whose canary's record is damaged

}  // namespace

Result<std::vector<SourceSeen>> FindSources(const Store& store, const std::string& log,
                                            uint64_t as_of) {
  std::map<std::string, SourceSeen> seen;
  const auto note = [&seen](std::string source, const ItemVersion& version) {
    seen[source] = {.source = source, .index = version.index, .time_us = version.time_us};
  };
  const InventoryScope scope{.log = log, .as_of = as_of};
  const auto each_newest = [&](std::string_view prefix, const auto& each) {
    const ItemQuery query{.package = kNoPackage, .item_prefix = std::string(prefix)};
    return ForEachVersion(store, scope, query, [&each](const ItemVersion& version) {
      each(version);
      return true;
    });
  };
  RETURN_IF_ERROR(each_newest(kTransaction, [&](const ItemVersion& version) {
    note(version.item.substr(kTransaction.size()), version);
  }));
  const Result<ItemVersion> canary = FindItem(store, scope, kNoPackage, std::string(kCanary));
  if (canary.ok()) {
    // A damaged record must not hide when the capture was heard, nor anything else of the status.
    const Result<Record> record = ReadRecord(store, log, canary->index);
    note(record.ok() ? record->source : std::string(kUnreadable), *canary);
  } else if (canary.status().code() != Code::kNotFound) {
    return canary.status();
  }
  RETURN_IF_ERROR(each_newest(kRetired, [&](const ItemVersion& version) {
    const std::string source = version.item.substr(kRetired.size());
    if (!seen.contains(source)) note(source, version);
    seen.at(source).retired = version.index >= seen.at(source).index;
  }));
  std::vector<SourceSeen> sources;
  sources.reserve(seen.size());
  for (auto& [name, source] : seen) sources.push_back(std::move(source));
  return sources;
}

}  // namespace kembar
