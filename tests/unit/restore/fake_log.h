// fake_log.h — a log in memory, for tests of what reads one.
//
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tools/restore/log_reader.h"

namespace kembar::restore {

class FakeLog : public LogReader {
 public:
  // Each gives the record's index: 1, 2, 3…
  uint64_t Put(const std::string& package, const std::string& item, const std::string& payload) {
    return Add(package, item, payload, false);
  }
  uint64_t Delete(const std::string& package, const std::string& item) {
    return Add(package, item, "", true);
  }

  Status List(const ItemQuery& query, const EachVersion& each) override {
    ++lists;
    std::vector<Version> found;
    for (const Version& version : records_) {
      if (version.index > End(query.as_of)) continue;
      if (!query.package.empty() && version.package != query.package) continue;
      if (version.item.starts_with(query.item_prefix)) found.push_back(version);
    }
    std::stable_sort(found.begin(), found.end(), [](const Version& a, const Version& b) {
      return std::tie(a.package, a.item, b.index) < std::tie(b.package, b.item, a.index);
    });
    std::string last;
    uint32_t count = 0;
    for (Version& version : found) {
      const std::string name = version.package + "\n" + version.item;
      count = name == last ? count + 1 : 1;
      last = name;
      if (count > query.versions_max) continue;
      if (!query.with_payload) version.payload.clear();
      RETURN_IF_ERROR(each(version));
    }
    return {};
  }

  Result<std::optional<Version>> Get(const std::string& package, const std::string& item,
                                     const v1::AsOf& as_of) override {
    std::optional<Version> found;
    for (const Version& version : records_) {
      if (version.package == package && version.item == item && version.index <= End(as_of)) {
        found = version;
      }
    }
    if (found && found->deleted) found.reset();
    return found;
  }

  Status Packages(const v1::AsOf&, const EachPackage& each) override {
    for (const PackageFacts& facts : packages) RETURN_IF_ERROR(each(facts));
    return {};
  }

  Status Watch(uint64_t, const client::Deadline&, const EachRecord&) override {
    return Status(Code::kTimeout, "nothing comes");
  }

  std::vector<PackageFacts> packages;
  int lists = 0;

 private:
  uint64_t End(const v1::AsOf& as_of) const {
    return as_of.at_case() == v1::AsOf::kIndex ? as_of.index() : records_.size();
  }
  uint64_t Add(const std::string& package, const std::string& item, const std::string& payload,
               bool deleted) {
    const uint64_t index = records_.size() + 1;
    records_.push_back({.package = package,
                        .item = item,
                        .index = index,
                        .time_us = static_cast<int64_t>(index) * 1'000'000,
                        .deleted = deleted,
                        .sha256 = deleted ? Digest{} : Sha256({payload}),
                        .payload = payload});
    return index;
  }

  std::vector<Version> records_;
};

}  // namespace kembar::restore
