// transaction.h — a database transaction that is rolled back unless it was committed.
//
// Thread-safety: as its connection.
#pragma once

#include <string>

#include "replicator/base/status.h"
#include "tools/postgres/connection.h"

namespace kembar::restore {

class Transaction {
 public:
  explicit Transaction(postgres::Connection* connection) : connection_(connection) {}
  // A failed rollback leaves a broken connection, and the server rolls back by itself.
  ~Transaction() {
    if (open_) (void)connection_->Execute("ROLLBACK");
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // `how`: "" or "ISOLATION LEVEL REPEATABLE READ READ ONLY".
  Status Begin(const std::string& how = "") {
    RETURN_IF_ERROR(connection_->Execute("BEGIN " + how));
    open_ = true;
    return {};
  }
  Status Commit() {
    open_ = false;
    return connection_->Execute("COMMIT").Prepend("commit");
  }

 private:
  postgres::Connection* const connection_;
  bool open_ = false;
};

// Of a restore whose transaction ended so: nothing of it stays, and what is to be done.
inline Status RolledBack(const Status& why) {
  return Status(why.code(), why.message() + "; nothing was written to the database",
                why.hint().empty() ? "the same restore can be run again" : why.hint());
}

}  // namespace kembar::restore
