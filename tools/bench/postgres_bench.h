// postgres_bench.h — what capture costs the database: pgbench's transactions per second of one
// PostgreSQL server without capture, with asynchronous capture, and with commits that wait until
// both sites hold them; beside PostgreSQL's own synchronous standby, all in one run on one machine.
//
// Makes everything it needs (a server, two nodes, an agent, a standby) in a directory of its own
// under `dir`, and removes it at the end. Nothing of it is tuned for the benchmark: fsync is on
// everywhere, all share one disk.
#pragma once

#include <string>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::bench {

struct PostgresOptions {
  std::string dir = "/tmp";  // where to make the directory: on the disk that is measured
  std::string pg_bin;        // of initdb, pg_ctl …; empty: the newest under /usr/lib/postgresql
  std::string kembar_bin;    // of kembard …; empty: beside this program
  int clients = 16;
  int scale = 10;     // pgbench -s: 100,000 accounts each
  int seconds = 10;   // of each measurement
  int rounds = 2;     // the four ways are measured in turn, so often; medians count
  bool keep = false;  // leave the directory
};

struct PostgresFigure {
  std::string way;  // "without capture", …
  std::vector<double> tps;
  std::vector<double> latency_ms;  // pgbench's average
  double median_tps = 0;
  double median_latency_ms = 0;
  double ratio = 0;  // of tps to that without capture
};

// In the order in which they are named above.
Result<std::vector<PostgresFigure>> MeasurePostgres(const PostgresOptions& options);

}  // namespace kembar::bench
