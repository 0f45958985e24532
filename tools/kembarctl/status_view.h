// status_view.h — one picture of a log out of what each node said for itself.
//
// What is not known stays unset and is shown as unknown; it is never filled with a hopeful value.
//
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/client/cluster.h"
#include "tools/kembarctl/json.h"

namespace kembar::ctl {

// Packages by state, as one node has counted them.
struct PackageTally {
  uint64_t complete = 0;
  uint64_t incomplete = 0;
  uint64_t at_risk = 0;
};

struct NodeRow {
  std::string name;
  std::string address;
  std::string role;        // "primary", "mirror", "left-out", "removed"; empty: not known
  bool reachable = false;  // by this program
  bool linked = false;     // some other node is in contact with it
  bool counts = false;     // a member: its acknowledgement counts
  std::optional<uint64_t> durable_index;  // of a node that does not answer: as last acknowledged
  std::optional<uint64_t> commit_index;
  std::optional<uint64_t> lag_records;
  std::optional<uint64_t> lag_bytes;  // as its primary says
  std::optional<double> lag_seconds;
  std::optional<int64_t> last_contact_us;  // between it and another node of the log
  std::optional<PackageTally> packages;
  std::string trouble;
  std::string version;
  uint64_t quarantines = 0;
  bool disk_full = false;
};

// A capture that feeds the log, as the node says that has heard of it last.
struct SourceRow {
  std::string name;  // "postgres/epns"
  uint64_t last_index = 0;
  int64_t last_time_us = 0;
  double age_seconds = 0;  // by that node's clock
  bool retired = false;
};

struct LogView {
  std::string log;
  uint64_t epoch = 0;
  std::string primary;  // empty: none is known
  bool primary_reachable = false;
  std::string mode;   // "unknown" when no node says
  std::string state;  // "protected" …, "no-primary"
  uint64_t last_index = 0;
  uint64_t commit_index = 0;
  uint32_t sync_mirrors = 0;
  size_t mirrors = 0;  // members besides the primary
  std::vector<std::string> left_out;
  std::vector<NodeRow> nodes;
  std::vector<SourceRow> sources;   // in order of name
  std::vector<std::string> alarms;  // divergence, closed stores, two primaries
};

// Of the nodes that were asked, those of the log.
LogView MakeLogView(const std::vector<client::NodeView>& asked, const std::string& log);
Json StatusJson(const LogView& view);
Json SourcesJson(const LogView& view);

}  // namespace kembar::ctl
