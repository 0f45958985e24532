// log_reader.h — what restore, compare, audit and the sink ask of a log: items as of an index,
// packages, and the records as they come.
//
// An interface, so that the engine can be tested without a node. NodeLog asks one node.
//
// Thread-safety: NodeLog may be used from many threads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"
#include "tools/client/channel.h"
#include "tools/client/deadline.h"

namespace kembar::restore {

// A version of an item, in our own words.
struct Version {
  std::string package;
  std::string item;
  uint64_t index = 0;
  int64_t time_us = 0;
  bool deleted = false;
  Digest sha256{};
  std::string payload;  // when asked for
};

struct ItemQuery {
  std::string package;        // exactly this; empty: all
  std::string item_prefix;    // empty: all
  v1::AsOf as_of;             // unset: now
  uint32_t versions_max = 1;  // of each item, the newest first
  bool with_payload = false;
};
inline constexpr uint32_t kAllVersions = UINT32_MAX;

v1::AsOf AtIndex(uint64_t index);

struct PackageFacts {
  std::string package;
  std::string title;
  std::string value;  // exact decimal or empty
  uint64_t items = 0;
};

class LogReader {
 public:
  // A failure ends the listing and is what List returns.
  using EachVersion = std::function<Status(Version)>;
  using EachPackage = std::function<Status(PackageFacts)>;
  // Return false to stop.
  using EachRecord = std::function<bool(const v1::Record&)>;

  virtual ~LogReader() = default;
  // Deleted items included.
  virtual Status List(const ItemQuery& query, const EachVersion& each) = 0;
  // With payload. nullopt: never there, or deleted, as of then.
  virtual Result<std::optional<Version>> Get(const std::string& package, const std::string& item,
                                             const v1::AsOf& as_of) = 0;
  virtual Status Packages(const v1::AsOf& as_of, const EachPackage& each) = 0;
  // From index `from` on as they are committed, until `each` returns false or `deadline`
  // (kTimeout).
  virtual Status Watch(uint64_t from, const client::Deadline& deadline, const EachRecord& each) = 0;
};

class NodeLog : public LogReader {
 public:
  NodeLog(std::shared_ptr<client::NodeStubs> node, std::string log)
      : node_(std::move(node)), log_(std::move(log)) {}

  Status List(const ItemQuery& query, const EachVersion& each) override;
  Result<std::optional<Version>> Get(const std::string& package, const std::string& item,
                                     const v1::AsOf& as_of) override;
  Status Packages(const v1::AsOf& as_of, const EachPackage& each) override;
  Status Watch(uint64_t from, const client::Deadline& deadline, const EachRecord& each) override;

 private:
  const std::shared_ptr<client::NodeStubs> node_;
  const std::string log_;
};

}  // namespace kembar::restore
