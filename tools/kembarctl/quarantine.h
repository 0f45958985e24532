// quarantine.h — records that a failover set aside: found on all nodes, compared with what the log
// holds now, and made ready to be appended again, once.
//
// A set-aside batch counts as present when the log holds each of its rows again: either from the
// same source and position (the source has repeated it itself), or resubmitted from any node's
// quarantine with the same original index and content. So the same tail set aside on two nodes does
// not come back twice, and nothing is taken for present that is not.
//
// It is superseded when something newer came for any of its items since the histories parted: a
// capture that went on has said what is there now, and its old rows and markers on top would undo
// that. Such a batch stays in quarantine; `export` gives it to whom it may concern.
//
// The rules are pure; QuarantineReader asks nodes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/client/cluster.h"
#include "tools/kembarctl/tables.h"

namespace kembar::ctl {

// An atomic batch as it was set aside, without control records.
struct SetAsideBatch {
  uint64_t index = 0;  // of its last record, in the history that was left
  uint64_t epoch = 0;  // likewise
  std::vector<v1::Record> records;
};

struct SetAside {
  std::string node;
  v1::QuarantineEntry entry;
  std::vector<SetAsideBatch> batches;
  uint64_t control_records = 0;  // left where they are
};

// "quarantine/<node>/<id>/<epoch>": together with the position, its original index, that says where
// a resubmitted record stood in the history that was left.
std::string ResubmitSource(const SetAside& aside, const SetAsideBatch& batch);

// Groups records into batches and drops those that only concern the log itself.
void AddRecords(const std::vector<v1::Record>& records, SetAside* aside);

enum class Standing : uint8_t { kAbsent, kPresent, kSuperseded };

// What became of a batch, by the log's records of its items since the histories parted: of each
// item the newest, and all that say the same as the batch.
Standing StandingOf(const SetAsideBatch& batch, const std::vector<v1::Record>& since);

// The request that appends the batch again.
v1::AppendRequest ResubmitRequest(const std::string& log, const SetAside& aside,
                                  const SetAsideBatch& batch);

struct QuarantineFilter {
  std::string node;     // empty: all nodes
  uint64_t id = 0;      // 0: all
  std::string package;  // empty: all
};

class QuarantineReader {
 public:
  QuarantineReader(client::Cluster* cluster, std::string log, client::Millis timeout)
      : cluster_(cluster), log_(std::move(log)), timeout_(timeout) {}

  // What the reachable nodes have set aside. `silent` names the nodes that could not be asked.
  Result<std::vector<SetAside>> Read(const QuarantineFilter& filter,
                                     std::vector<std::string>* silent);
  // What became of the batch in the log, as the primary holds it.
  Result<Standing> Find(const SetAside& aside, const SetAsideBatch& batch);
  // The batch's items have new versions: what was read of them before does not count.
  void Forget(const SetAsideBatch& batch);

 private:
  Status ReadNode(const client::NodeView& view, const QuarantineFilter& filter,
                  std::vector<SetAside>* out);
  using ItemName = std::pair<std::string, std::string>;  // package, item
  using Versions = std::vector<v1::ItemVersion>;         // newest first

  Result<const Versions*> VersionsSince(client::NodeStubs* node, uint64_t first_index,
                                        const v1::Record& row);
  Result<const v1::Record*> RecordAt(client::NodeStubs* node, uint64_t index);
  Status ReadSince(client::NodeStubs* node, uint64_t first_index, const v1::Record& row,
                   std::vector<v1::Record>* since);

  client::Cluster* const cluster_;
  const std::string log_;
  const client::Millis timeout_;
  // Many batches of a capture have items in common, such as its marker.
  std::map<ItemName, std::pair<uint64_t, Versions>> versions_;  // with the first index asked for
  std::map<uint64_t, v1::Record> records_;
};

}  // namespace kembar::ctl
