// sink_database.h — the standby database as the sink's own: its connection, where it stands in the
// log (kembar.sink_position), and how it is emptied again.
//
// Thread-safety: as the connection.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tools/postgres/connection.h"
#include "tools/restore/boundary.h"
#include "tools/restore/captured.h"

namespace kembar::restore {

// Where the database stands: a boundary of the log.
struct SinkPosition {
  uint64_t index = 0;
  std::string lsn;

  static SinkPosition Of(const Boundary& boundary);
  bool operator==(const SinkPosition&) const = default;
};

// Triggers and foreign keys do not work on this connection, and no other sink on this database.
// kInvalid: the DSN is wrong.
Result<std::unique_ptr<postgres::Connection>> ConnectStandby(const std::string& dsn);

// nullopt: no sink of this source has filled the database, or it was taken away from it.
Result<std::optional<SinkPosition>> ReadPosition(postgres::Connection* connection,
                                                 const std::string& source);
// The first one, inside the caller's transaction.
Status MakePosition(postgres::Connection* connection, const Boundary& boundary);
// Inside the caller's transaction. kPrecondition: the database does not stand at `from`, which only
// this sink moves: it was taken away.
Status MovePosition(postgres::Connection* connection, const SinkPosition& from,
                    const Boundary& boundary);

// Takes away what was filled, `before` and `after` the change, inside the caller's transaction.
Status DropCaptured(postgres::Connection* connection, const Captured& before,
                    const Captured& after);

}  // namespace kembar::restore
