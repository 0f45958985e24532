// connection.h — a connection to a PostgreSQL server through libpq, with our Status for errors.
//
// Messages name the server (host, port, database: never the password) and carry the SQLSTATE; hints
// come from the server or say what to set. client_encoding is UTF8 and DateStyle ISO, IntervalStyle
// postgres, extra_float_digits 3, bytea_output hex on every connection, so that text forms are the
// same wherever a row is read.
//
// Thread-safety: a Connection belongs to one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"
#include "tools/capture/row.h"

namespace kembar::postgres {

using capture::Value;
using capture::ValueView;

// All rows of an answer, as text.
using Rows = std::vector<std::vector<Value>>;

struct ConnectOptions {
  std::string dsn;                          // as libpq takes it: "host=… dbname=…" or a URI
  bool replication = false;                 // "replication=database"
  std::string application_name = "kembar";  // what synchronous_standby_names matches
  int connect_timeout_s = 10;
};

class Connection {
 public:
  // kUnavailable: cannot connect. kInvalid: the DSN is wrong.
  static Result<std::unique_ptr<Connection>> Open(const ConnectOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One statement with parameters ($1, $2 …; nullopt is NULL), or without parameters also several
  // (then the rows of the last). Any server error is a Status; kUnavailable when the connection is
  // gone. sqlstate() then tells more.
  Result<Rows> Query(const std::string& sql, std::span<const ValueView> parameters = {});
  Status Execute(const std::string& sql, std::span<const ValueView> parameters = {});
  // "55P03" of the last failure; empty when the server gave none.
  const std::string& sqlstate() const;

  // COPY … TO STDOUT in text form: one call a row, unescaped. Return false to stop (cancels).
  using EachRow = std::function<Status(std::span<const ValueView> values)>;
  Status CopyOut(const std::string& sql, const EachRow& each);
  // COPY … FROM STDIN: `data` is whole rows in COPY text form (see copy_text.h). Rows written.
  Result<uint64_t> CopyIn(const std::string& sql, std::string_view data);

  // 150020 for 15.20.
  int server_version() const;
  // "host=db port=5432 dbname=epns_prod": for messages.
  const std::string& where() const;
  std::string QuoteIdent(std::string_view name) const;
  std::string QuoteLiteral(std::string_view text) const;

  // For ReplicationStream, in this directory only.
  struct Impl;
  Impl* impl() { return impl_.get(); }

 private:
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar::postgres
