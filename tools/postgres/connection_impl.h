// connection_impl.h — what a Connection is made of, for the files of this directory that speak to
// libpq themselves (connection.cc, replication.cc). No other directory includes this.
//
// Thread-safety: as Connection, one thread.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>

#include "replicator/base/status.h"
#include "tools/postgres/connection.h"

namespace kembar::postgres {

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ClearResult>;

struct Connection::Impl {
  ~Impl() { PQfinish(conn); }

  // The Status for a failed `result` (may be null: the connection itself failed). Remembers the
  // SQLSTATE.
  Status Failure(const PGresult* result);
  // Takes all results that are still to come, and ends a COPY that is under way, so that the next
  // statement finds the connection idle. The first error among them.
  Status Drain();

  PGconn* conn = nullptr;
  std::string where;     // "host=… port=… dbname=…"
  std::string sqlstate;  // of the last failure
};

}  // namespace kembar::postgres
