// boundary.h — the transaction boundaries of a captured database in its log: where a restore or a
// comparison may stand (docs/capture.md).
//
// Thread-safety: functions use the reader they are given.
#pragma once

#include <string>

#include "tools/capture/facts.h"
#include "tools/restore/log_reader.h"

namespace kembar::restore {

struct Boundary {
  std::string source;  // "postgres/NAME"
  uint64_t index = 0;  // of the marker's record
  capture::Marker marker;
  int64_t time_us = 0;  // the server's commit time, or, when it is not known, the log's
};

// The newest boundary at or before `as_of`. `source` empty: the only one; kInvalid names them when
// there are several. kNotFound: the log holds no captured database (as of then).
Result<Boundary> FindBoundary(LogReader* log, const v1::AsOf& as_of, const std::string& source);

// The newest boundary whose LSN is at or before `lsn`. kNotFound: none.
Result<Boundary> FindBoundaryAtLsn(LogReader* log, const std::string& source, capture::Lsn lsn);

}  // namespace kembar::restore
