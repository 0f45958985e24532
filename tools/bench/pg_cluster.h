// pg_cluster.h — a PostgreSQL server of its own for a benchmark, and pgbench on it.
//
// PostgreSQL refuses to run as root: then everything of it runs as the system user "postgres".
//
// Thread-safety: none.
#pragma once

#include <string>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::bench {

class PgCluster {
 public:
  // `folder` exists and is the server's to write; `bin` holds initdb, pg_ctl, psql, pgbench.
  PgCluster(std::string bin, std::string folder, int port);
  ~PgCluster();  // stops it
  PgCluster(const PgCluster&) = delete;
  PgCluster& operator=(const PgCluster&) = delete;

  // A new, empty cluster with wal_level=logical and durability on.
  Status Init();
  // A physical standby of `primary`, under the application name "standby".
  Status InitStandby(const PgCluster& primary);
  Status Start();
  Status Stop();

  // What psql prints for one statement, unaligned, without the last newline.
  Result<std::string> Query(const std::string& sql) const;
  // Asks until the answer is `wanted`.
  Status WaitFor(const std::string& sql, const std::string& wanted, int seconds) const;
  // pgbench with these options; gives its report.
  Result<std::string> Pgbench(std::vector<std::string> options) const;

  std::string dsn() const;
  const std::string& log() const { return log_; }

 private:
  std::vector<std::string> Command(const std::string& program,
                                   std::vector<std::string> arguments) const;

  const std::string bin_;
  const std::string folder_;
  const std::string data_;
  const std::string log_;
  const int port_;
  bool running_ = false;
};

// Gives a directory to the user that runs PostgreSQL, where that is not this one.
Status GiveToPostgres(const std::string& folder);

}  // namespace kembar::bench
