// part_writer.h — writes what does not come from the stream (a reconciliation, large objects) as
// one transaction in parts, each of which ends with a marker.
//
// Thread-safety: none.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/agent/postgres/capturer.h"

namespace kembar::agent {

class PartWriter {
 public:
  using EmitFn = std::function<Status(Batch)>;
  struct Options {
    std::string source;
    size_t records_max = 4'096;
    size_t bytes_max = size_t{1} << 20;
    Lsn lsn = 0;
    int64_t time_us = 0;
  };
  PartWriter(Options options, EmitFn emit);

  Status Put(const std::string& package, const std::string& item, std::string payload,
             const capture::Placement* of_package = nullptr);
  Status Delete(const std::string& package, const std::string& item);
  // The last part, if it holds the marker alone. Returns that marker.
  Result<Marker> Finish();
  uint64_t written() const { return marker_.changes + drafts_.size(); }

 private:
  Status MakeRoom();
  Status Emit(bool last);

  const Options options_;
  const EmitFn emit_;
  Marker marker_;
  std::vector<v1::Draft> drafts_;
  size_t bytes_ = 0;
};

// What a row says of its package, into its draft.
void AddStatements(const capture::Placement& placement, v1::Draft* draft);
// One draft; shared by all who make them.
v1::Draft MakeDraft(v1::RecordKind kind, const std::string& package, const std::string& item,
                    std::string payload);

}  // namespace kembar::agent
