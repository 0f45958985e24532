// captured.h — what a log holds of a database besides its rows, as of one index: tables, SQL,
// sequences, mapping.
//
// Thread-safety: functions use the reader they are given; a Captured is a value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/capture/facts.h"
#include "tools/capture/mapping.h"
#include "tools/restore/boundary.h"
#include "tools/restore/log_reader.h"

namespace kembar::restore {

// Tables of Kembar itself (canary, sink): kept and restored, but no difference when they differ.
inline constexpr char kOwnSchema[] = "kembar";
inline bool IsOwn(const capture::TableName& table) { return table.schema == kOwnSchema; }

struct Captured {
  std::map<capture::TableName, capture::TableShape> tables;
  std::map<capture::TableName, capture::SequenceState> sequences;
  std::vector<uint32_t> large_objects;  // in order
  std::string pre_data, post_data;
  std::string mapping;  // TOML; empty: none

  std::vector<std::string> Schemas() const;
};

// kCorrupt names the record. The SQL may be missing: Restore complains, compare need not.
Result<Captured> ReadCaptured(LogReader* log, const Boundary& boundary);

}  // namespace kembar::restore
