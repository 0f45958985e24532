// connection.cc — see connection.h.
#include "tools/postgres/connection.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "replicator/base/check.h"
#include "tools/postgres/connection_impl.h"
#include "tools/postgres/copy_text.h"

namespace kembar::postgres {
namespace {

// What makes text forms the same at every server and for every role, and what pg_dump sets too so
// that a long copy is not cut short. row_security off: a policy that would hide rows is an error.
// lc_monetary: money's text form depends on it.
constexpr char kSettings[] =
    "SET client_encoding = 'UTF8'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; "
    "SET timezone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = 'hex'; "
    "SET xmlbinary = 'base64'; SET lc_monetary = 'C'; SET standard_conforming_strings = on; "
    "SET search_path = ''; SET row_security = off; SET synchronize_seqscans = off; "
    "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0";

constexpr size_t kCopyChunkBytes = size_t{1} << 20;

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using OptionsPtr = std::unique_ptr<PQconninfoOption, FreeOptions>;

// libpq's words on one line.
std::string OneLine(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') {
      if (text.find_first_not_of(" \t\n", i) != std::string_view::npos) out += "; ";
    } else if (text[i] == '\t') {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else {
      out += text[i];
    }
  }
  return out;
}

// Of a DSN that is not well-formed libpq quotes pieces, which may be the password.
std::string WithoutQuotations(std::string text) {
  const size_t from = text.find('"');
  const size_t to = text.rfind('"');
  if (from == std::string::npos || from == to) return text;
  return text.substr(0, from) + "\"…\"" + text.substr(to + 1);
}

const char* OptionOf(const PQconninfoOption* options, std::string_view keyword) {
  for (const PQconninfoOption* o = options; o->keyword != nullptr; ++o) {
    if (keyword == o->keyword) return o->val;
  }
  return nullptr;
}

std::string TextOr(const char* text, const char* fallback) {
  return text == nullptr || *text == '\0' ? fallback : text;
}

std::string WhereOf(PGconn* conn) {
  std::string where = "host=" + TextOr(PQhost(conn), "?") + " port=" + TextOr(PQport(conn), "?");
  return where + " dbname=" + TextOr(PQdb(conn), "?");
}

std::string ConnectHint(std::string_view message) {
  const auto says = [message](std::string_view words) {
    return message.find(words) != std::string_view::npos;
  };
  if (says("pg_hba.conf")) return "add a line for this user and database to pg_hba.conf";
  if (says("password authentication failed") || says("no password supplied")) {
    return "set the password in ~/.pgpass or the configuration's DSN";
  }
  if (says("Connection refused") || says("No such file or directory")) {
    return "is the server running, and does it listen there (listen_addresses, port)?";
  }
  if (says("number of requested standby connections exceeds max_wal_senders")) {
    return "raise max_wal_senders";
  }
  return {};
}

Code CodeOf(std::string_view sqlstate) {
  struct Known {
    std::string_view prefix;
    Code code;
  };
  static constexpr std::array kKnown = {
      Known{"08", Code::kUnavailable},     // connection exception
      Known{"40", Code::kUnavailable},     // serialization failure, deadlock
      Known{"42P01", Code::kNotFound},     // undefined table
      Known{"42704", Code::kNotFound},     // undefined object: a slot, a publication
      Known{"3D000", Code::kNotFound},     // no such database
      Known{"42710", Code::kExists},       // duplicate object
      Known{"42P07", Code::kExists},       // duplicate table
      Known{"42P06", Code::kExists},       // duplicate schema
      Known{"53100", Code::kFull},         // disk full
      Known{"53", Code::kUnavailable},     // insufficient resources
      Known{"55006", Code::kUnavailable},  // object in use: a slot that another session holds
      Known{"55P03", Code::kUnavailable},  // lock not available
      Known{"57014", Code::kCancelled},    // cancelled by request or a timeout
      Known{"57", Code::kUnavailable},     // shutting down, starting up
      Known{"58", Code::kIo},              // the server's system failed
      Known{"XX000", Code::kInternal},
      Known{"XX", Code::kCorrupt},  // data or index corrupted
  };
  for (const Known& known : kKnown) {
    if (sqlstate.starts_with(known.prefix)) return known.code;
  }
  return Code::kInvalid;
}

bool IsGood(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY: return true;
    default: return false;
  }
}

bool IsCopy(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: return true;
    default: return false;
  }
}

Rows RowsOf(const PGresult* result) {
  const int columns = PQnfields(result);
  const int count = PQntuples(result);
  Rows rows(static_cast<size_t>(count));
  for (int r = 0; r < count; ++r) {
    std::vector<Value>& row = rows[static_cast<size_t>(r)];
    row.reserve(static_cast<size_t>(columns));
    for (int c = 0; c < columns; ++c) {
      if (PQgetisnull(result, r, c) != 0) {
        row.emplace_back(std::nullopt);
      } else {
        row.emplace_back(
            std::string(PQgetvalue(result, r, c), static_cast<size_t>(PQgetlength(result, r, c))));
      }
    }
  }
  return rows;
}

// Stops the statement under way; what it still sends must be drained.
void Cancel(PGconn* conn) {
  if (PGcancel* cancel = PQgetCancel(conn)) {
    std::array<char, 256> error{};
    PQcancel(cancel, error.data(), static_cast<int>(error.size()));
    PQfreeCancel(cancel);
  }
}

void IgnoreNotice(void*, const char*) {}

Result<PGconn*> Connect(const ConnectOptions& options) {
  char* raw = nullptr;
  const OptionsPtr given(PQconninfoParse(options.dsn.c_str(), &raw));
  const std::string why = raw == nullptr ? "out of memory" : OneLine(raw);
  PQfreemem(raw);
  if (given == nullptr) {
    return Status(Code::kInvalid, "the DSN is not well-formed: " + WithoutQuotations(why),
                  "write e.g. host=db.local port=5432 dbname=epns_prod user=kembar");
  }
  const std::string timeout = std::to_string(options.connect_timeout_s);
  const char* own_timeout = OptionOf(given.get(), "connect_timeout");
  const std::array keywords = {"dbname",
                               "client_encoding",
                               "application_name",
                               "connect_timeout",
                               options.replication ? "replication" : static_cast<char*>(nullptr),
                               static_cast<const char*>(nullptr)};
  const std::array values = {options.dsn.c_str(),
                             "UTF8",
                             options.application_name.c_str(),
                             own_timeout == nullptr ? timeout.c_str() : own_timeout,
                             "database",
                             static_cast<const char*>(nullptr)};
  PGconn* conn = PQconnectdbParams(keywords.data(), values.data(), /*expand_dbname=*/1);
  CHECK_MSG(conn != nullptr, "libpq is out of memory");
  return conn;
}

}  // namespace

Status Connection::Impl::Failure(const PGresult* result) {
  const auto field = [result](int code) {
    const char* text = result == nullptr ? nullptr : PQresultErrorField(result, code);
    return std::string(text == nullptr ? "" : text);
  };
  sqlstate = field(PG_DIAG_SQLSTATE);
  const bool gone = PQstatus(conn) != CONNECTION_OK;
  std::string message = OneLine(field(PG_DIAG_MESSAGE_PRIMARY));
  if (message.empty()) message = OneLine(PQerrorMessage(conn));
  if (message.empty() && result != nullptr) message = OneLine(PQresultErrorMessage(result));
  if (message.empty()) message = gone ? "the connection is gone" : "failed without a reason";
  if (!sqlstate.empty()) message += " (SQLSTATE " + sqlstate + ")";
  if (const std::string detail = OneLine(field(PG_DIAG_MESSAGE_DETAIL)); !detail.empty()) {
    message += "; " + detail;
  }
  const Code code = gone || sqlstate.empty() ? Code::kUnavailable : CodeOf(sqlstate);
  return {code, where + ": " + message, OneLine(field(PG_DIAG_MESSAGE_HINT))};
}

Status Connection::Impl::Drain() {
  Status first;
  while (const ResultPtr result{PQgetResult(conn)}) {
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_BOTH) {
      if (PQputCopyEnd(conn, "not wanted") < 0) break;
    }
    if (status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      char* buffer = nullptr;
      while (PQgetCopyData(conn, &buffer, /*async=*/0) > 0) PQfreemem(buffer);
    }
    if (!IsCopy(result.get()) && !IsGood(result.get()) && first.ok()) first = Failure(result.get());
    // A connection that is gone would answer with the same failure for ever.
    if (PQstatus(conn) != CONNECTION_OK) break;
  }
  return first;
}

namespace {

// Ends what `result` has begun and says that it is the caller's mistake.
Status NotWanted(Connection::Impl* impl, const PGresult* result, const std::string& why) {
  if (PQresultStatus(result) == PGRES_COPY_OUT) Cancel(impl->conn);
  const Status drained = impl->Drain();  // reports only that the COPY was ended
  impl->sqlstate.clear();
  return {Code::kInvalid, impl->where + ": " + why};
}

// `wanted` is PGRES_COPY_OUT or PGRES_COPY_IN.
Status StartCopy(Connection::Impl* impl, const std::string& sql, ExecStatusType wanted,
                 int* columns) {
  const ResultPtr result(PQexec(impl->conn, sql.c_str()));
  *columns = PQnfields(result.get());
  if (PQresultStatus(result.get()) == wanted) return Status::Ok();
  if (IsCopy(result.get()) || IsGood(result.get())) {
    return NotWanted(
        impl, result.get(),
        wanted == PGRES_COPY_OUT ? "not a COPY … TO STDOUT" : "not a COPY … FROM STDIN");
  }
  return impl->Failure(result.get());
}

}  // namespace

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::Open(const ConnectOptions& options) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->conn, Connect(options));
  impl->where = WhereOf(impl->conn);
  if (PQstatus(impl->conn) != CONNECTION_OK) {
    const std::string why = OneLine(PQerrorMessage(impl->conn));
    return Status(Code::kUnavailable, "cannot connect to " + impl->where + ": " + why,
                  ConnectHint(why));
  }
  PQsetNoticeProcessor(impl->conn, IgnoreNotice, nullptr);
  if (const int version = PQserverVersion(impl->conn); version < 100000) {
    return Status(Code::kInvalid, impl->where + ": the server's version is " +
                                      std::to_string(version / 10000) + "; 10 is needed at least");
  }
  std::unique_ptr<Connection> connection(new Connection(std::move(impl)));
  RETURN_IF_ERROR(connection->Execute(kSettings));
  return connection;
}

Result<Rows> Connection::Query(const std::string& sql, std::span<const ValueView> parameters) {
  impl_->sqlstate.clear();
  std::vector<std::string> texts;
  std::vector<const char*> values;
  texts.reserve(parameters.size());
  for (const ValueView& parameter : parameters) {
    if (parameter && parameter->find('\0') != std::string_view::npos) {
      return Status(Code::kInvalid, impl_->where + ": a parameter has a zero byte in it");
    }
    values.push_back(parameter ? texts.emplace_back(*parameter).c_str() : nullptr);
  }
  const ResultPtr result(parameters.empty()
                             ? PQexec(impl_->conn, sql.c_str())
                             : PQexecParams(impl_->conn, sql.c_str(),
                                            static_cast<int>(values.size()), nullptr, values.data(),
                                            nullptr, nullptr, /*resultFormat=*/0));
  if (IsGood(result.get())) return RowsOf(result.get());
  if (IsCopy(result.get())) {
    return NotWanted(impl_.get(), result.get(), "COPY is not a query");
  }
  return impl_->Failure(result.get());
}

Status Connection::Execute(const std::string& sql, std::span<const ValueView> parameters) {
  return Query(sql, parameters).status();
}

const std::string& Connection::sqlstate() const { return impl_->sqlstate; }

Status Connection::CopyOut(const std::string& sql, const EachRow& each) {
  impl_->sqlstate.clear();
  PGconn* const conn = impl_->conn;
  int columns = 0;
  RETURN_IF_ERROR(StartCopy(impl_.get(), sql, PGRES_COPY_OUT, &columns));
  std::vector<std::string> storage;
  Status stopped;
  char* buffer = nullptr;
  int size = 0;
  while ((size = PQgetCopyData(conn, &buffer, /*async=*/0)) > 0) {
    std::string_view line(buffer, static_cast<size_t>(size));
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (stopped.ok() && columns == 0) {
      stopped = each({});
    } else if (stopped.ok()) {
      const auto values = ParseCopyRow(line, &storage);
      stopped = values.ok() ? each(*values) : values.status().Prepend(impl_->where);
    }
    PQfreemem(buffer);
    // Once: what is on the way is still read, and dropped.
    if (!stopped.ok()) break;
  }
  if (!stopped.ok()) {
    Cancel(conn);
    while (PQgetCopyData(conn, &buffer, /*async=*/0) > 0) PQfreemem(buffer);
    const Status drained = impl_->Drain();
    impl_->sqlstate.clear();
    return stopped;
  }
  const Status failure = size == -2 ? impl_->Failure(nullptr) : Status::Ok();
  const Status end = impl_->Drain();
  return failure.ok() ? end : failure;
}

Result<uint64_t> Connection::CopyIn(const std::string& sql, std::string_view data) {
  impl_->sqlstate.clear();
  PGconn* const conn = impl_->conn;
  int columns = 0;
  RETURN_IF_ERROR(StartCopy(impl_.get(), sql, PGRES_COPY_IN, &columns));
  Status sent;
  while (sent.ok() && !data.empty()) {
    const std::string_view chunk = data.substr(0, kCopyChunkBytes);
    if (PQputCopyData(conn, chunk.data(), static_cast<int>(chunk.size())) != 1) {
      sent = impl_->Failure(nullptr);
    }
    data.remove_prefix(chunk.size());
  }
  if (sent.ok() && PQputCopyEnd(conn, nullptr) != 1) sent = impl_->Failure(nullptr);
  uint64_t rows = 0;
  Status end;
  while (const ResultPtr result{PQgetResult(conn)}) {
    if (IsGood(result.get())) {
      rows = std::strtoull(PQcmdTuples(result.get()), nullptr, 10);
    } else if (end.ok()) {
      end = impl_->Failure(result.get());
    }
    if (PQstatus(conn) != CONNECTION_OK) break;
  }
  // The server's reason says more than that the line broke while we sent.
  if (!end.ok()) return end;
  if (!sent.ok()) return sent;
  return rows;
}

int Connection::server_version() const { return PQserverVersion(impl_->conn); }

const std::string& Connection::where() const { return impl_->where; }

std::string Connection::QuoteIdent(std::string_view name) const {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string Connection::QuoteLiteral(std::string_view text) const {
  // E'' only where it is needed: the replication commands' grammar does not know it.
  const bool escapes = text.find('\\') != std::string_view::npos;
  std::string out = escapes ? "E'" : "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

}  // namespace kembar::postgres
