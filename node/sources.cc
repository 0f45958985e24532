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
  RETURN_IF_ERROR(EachNewest(store, log, as_of, kCanary, [&](const ItemVersion& version) {
    if (version.item != kCanary) return Status::Ok();
    // A damaged record must not hide when the capture was heard, nor anything else of the status.
    const Result<Record> record = ReadRecord(store, log, version.index);
    note(record.ok() ? record->source : std::string(kUnreadable), version);
    return Status::Ok();
  }));
  RETURN_IF_ERROR(EachNewest(store, log, as_of, kRetired, [&](const ItemVersion& version) {
    const std::string source = version.item.substr(kRetired.size());
    if (!seen.contains(source)) note(source, version);
    seen.at(source).retired = version.index >= seen.at(source).index;
    return Status::Ok();
  }));
  std::vector<SourceSeen> sources;
  sources.reserve(seen.size());
  for (auto& [name, source] : seen) sources.push_back(std::move(source));
  return sources;
}

}  // namespace kembar
