// append_bench.h — many clients that append as fast as they are acknowledged.
//
// Each client is a source of its own, NAME/1, NAME/2 …, whose positions have no gaps and whose
// payloads follow from source and position. A batch that is not acknowledged is sent again with the
// same position until it is, so whatever happens to the nodes each position ends up in the log
// once. What was acknowledged can be written to a file, one line "SOURCE POSITION INDEX SHA256"
// each, before the next batch of that source: the client's memory, for tests that destroy nodes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "replicator/base/status.h"
#include "tools/bench/histogram.h"

namespace kembar::bench {

struct AppendOptions {
  std::string node;  // HOST:PORT[,HOST:PORT…]
  std::string log;   // empty: the only one
  std::string source = "bench";
  std::string package = "bench/1";
  size_t clients = 16;
  size_t connections = 8;  // shared by the clients
  uint64_t records = 0;    // of each client; 0: no limit
  double seconds = 0;      // 0: no limit
  size_t size = 1'000;
  bool stream = false;  // pipelined, instead of one call a record
  size_t window = 64;   // stream: records in flight a client
  double timeout_s = 30;
  std::string acked;  // file; empty: none
  bool stop_on_error = false;
};

struct AppendTotals {
  Histogram latency;        // microseconds from the first sending to the acknowledgement
  uint64_t duplicates = 0;  // were there already when they were acknowledged
  uint64_t errors = 0;      // attempts that were given up, and repeated
  double seconds = 0;
  std::string log;
};

// Runs until the limits are reached or *stop is set. An error only with stop_on_error, or when it
// cannot begin.
Result<AppendTotals> RunAppends(const AppendOptions& options, const std::atomic<bool>* stop);

}  // namespace kembar::bench
