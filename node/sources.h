// sources.h — the captures that feed a log, and when each was last heard. A backup that has
// silently stopped shows here, at every site: no news from a source is news.
//
// A capture of a database is heard by its transactions, one of documents by its canary file; the
// agent makes both of them come every few minutes, also where nothing happens (docs/agent.md).
// Imports come when somebody makes them and are not among these.
//
// Pure functions over a Store, which may be read from any thread. A call costs a few look-ups.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replicator/base/status.h"
#include "replicator/log/store.h"

namespace kembar {

struct SourceSeen {
  std::string source;    // "postgres/epns", "documents/file_prod"
  uint64_t index = 0;    // of its newest sign of life
  int64_t time_us = 0;   // when that was appended
  bool retired = false;  // an operator said that it has ended, and nothing came since
};

// As of record `as_of`, in order of name.
Result<std::vector<SourceSeen>> FindSources(const Store& store, const std::string& log,
                                            uint64_t as_of);

}  // namespace kembar
