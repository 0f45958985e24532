// replication.cc — see replication.h.
// https://www.postgresql.org/docs/15/protocol-replication.html
#include "tools/postgres/replication.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "tools/postgres/connection_impl.h"
#include "tools/postgres/pgoutput.h"
#include "tools/postgres/wire.h"

namespace kembar::postgres {
namespace {

constexpr int kVersionSnapshotOption = 150'000;  // CREATE_REPLICATION_SLOT … (SNAPSHOT '…')

struct FreeMemory {
  void operator()(char* memory) const { PQfreemem(memory); }
};

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<StreamEvent> DecodeStreamEvent(std::string_view bytes) {
  WireReader in(bytes);
  switch (in.U8()) {
    case 'w': {
      in.U64();  // where the message stands in the WAL; of no use to pgoutput's version 1
      in.U64();
      in.U64();
      if (in.ok()) return StreamEvent(StreamData{std::string(in.rest())});
      break;
    }
    case 'k': {
      StreamKeepalive keepalive;
      keepalive.end = in.U64();
      in.U64();
      keepalive.reply_wanted = in.U8() != 0;
      if (in.AtEnd()) return StreamEvent(keepalive);
      break;
    }
    default: break;
  }
  return Status(Code::kCorrupt,
                "replication message of " + std::to_string(bytes.size()) + " bytes is malformed");
}

std::string EncodeStandbyStatus(Lsn received, Lsn flushed, int64_t now_us, bool reply_wanted) {
  std::string out = "r";
  AppendWire64(&out, received);
  AppendWire64(&out, flushed);
  AppendWire64(&out, flushed);  // applied: for us the same
  AppendWire64(&out, static_cast<uint64_t>(now_us - kPostgresEpochUs));
  out.push_back(reply_wanted ? '\1' : '\0');
  return out;
}

ReplicationStream::ReplicationStream(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)) {}

ReplicationStream::~ReplicationStream() = default;

Result<std::unique_ptr<ReplicationStream>> ReplicationStream::Open(ConnectOptions options) {
  options.replication = true;
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Connection::Open(options));
  return std::unique_ptr<ReplicationStream>(new ReplicationStream(std::move(connection)));
}

Result<SystemIdentity> ReplicationStream::IdentifySystem() {
  ASSIGN_OR_RETURN(const Rows rows, connection_->Query("IDENTIFY_SYSTEM"));
  if (rows.size() != 1 || rows[0].size() < 4 || !rows[0][0] || !rows[0][1] || !rows[0][2] ||
      !rows[0][3]) {
    return Status(Code::kCorrupt, "the server's answer to IDENTIFY_SYSTEM is not complete");
  }
  SystemIdentity identity{.system_identifier = *rows[0][0], .database = *rows[0][3]};
  const std::string& timeline = *rows[0][1];
  std::from_chars(timeline.data(), timeline.data() + timeline.size(), identity.timeline);
  ASSIGN_OR_RETURN(identity.flushed, capture::ParseLsn(*rows[0][2]));
  return identity;
}

Status ReplicationStream::BeginCreateSlot(const SlotOptions& options) {
  Connection::Impl* impl = connection_->impl();
  std::string command = "CREATE_REPLICATION_SLOT " + connection_->QuoteIdent(options.name) +
                        (options.temporary ? " TEMPORARY" : "") + " LOGICAL pgoutput ";
  if (connection_->server_version() >= kVersionSnapshotOption) {
    command += options.export_snapshot ? "(SNAPSHOT 'export')" : "(SNAPSHOT 'nothing')";
  } else {
    command += options.export_snapshot ? "EXPORT_SNAPSHOT" : "NOEXPORT_SNAPSHOT";
  }
  if (PQsendQuery(impl->conn, command.c_str()) != 1) return impl->Failure(nullptr);
  return Status::Ok();
}

Result<std::optional<CreatedSlot>> ReplicationStream::PollCreatedSlot(int timeout_ms) {
  Connection::Impl* impl = connection_->impl();
  if (PQisBusy(impl->conn) == 1) {
    RETURN_IF_ERROR(WaitReadable(timeout_ms));
    if (PQisBusy(impl->conn) == 1) return std::optional<CreatedSlot>();
  }
  const ResultPtr result(PQgetResult(impl->conn));
  if (result == nullptr || PQresultStatus(result.get()) != PGRES_TUPLES_OK) {
    const Status failure = impl->Failure(result.get());
    (void)impl->Drain();  // the first failure is the one that tells
    return failure;
  }
  if (PQntuples(result.get()) != 1 || PQnfields(result.get()) < 3) {
    return Status(Code::kCorrupt, "the server's answer to CREATE_REPLICATION_SLOT is not complete");
  }
  CreatedSlot slot;
  slot.name = PQgetvalue(result.get(), 0, 0);
  ASSIGN_OR_RETURN(slot.consistent_point, capture::ParseLsn(PQgetvalue(result.get(), 0, 1)));
  slot.snapshot = PQgetvalue(result.get(), 0, 2);
  RETURN_IF_ERROR(impl->Drain());
  return std::optional<CreatedSlot>(std::move(slot));
}

Status ReplicationStream::Start(const std::string& slot, const std::string& publication, Lsn from) {
  Connection::Impl* impl = connection_->impl();
  const std::string command = "START_REPLICATION SLOT " + connection_->QuoteIdent(slot) +
                              " LOGICAL " + capture::FormatLsn(from) +
                              " (proto_version '1', publication_names " +
                              connection_->QuoteLiteral(connection_->QuoteIdent(publication)) + ")";
  const ResultPtr result(PQexec(impl->conn, command.c_str()));
  if (result == nullptr || PQresultStatus(result.get()) != PGRES_COPY_BOTH) {
    return impl->Failure(result.get());
  }
  return Status::Ok();
}

Status ReplicationStream::WaitReadable(int timeout_ms, int wake_fd) {
  Connection::Impl* impl = connection_->impl();
  // poll ignores an fd below 0.
  std::array<pollfd, 2> waiting{pollfd{.fd = PQsocket(impl->conn), .events = POLLIN, .revents = 0},
                                pollfd{.fd = wake_fd, .events = POLLIN, .revents = 0}};
  const int ready = ::poll(waiting.data(), waiting.size(), timeout_ms);
  if (ready < 0 && errno != EINTR) {
    return Status(Code::kIo, std::string("poll: ") + std::strerror(errno));
  }
  if (ready > 0 && waiting[0].revents != 0 && PQconsumeInput(impl->conn) != 1)
    return impl->Failure(nullptr);
  return Status::Ok();
}

Result<std::optional<StreamEvent>> ReplicationStream::Receive(int timeout_ms, int wake_fd) {
  Connection::Impl* impl = connection_->impl();
  char* buffer = nullptr;
  int size = PQgetCopyData(impl->conn, &buffer, 1);
  if (size == 0) {
    RETURN_IF_ERROR(WaitReadable(timeout_ms, wake_fd));
    size = PQgetCopyData(impl->conn, &buffer, 1);
  }
  if (size == 0) return std::optional<StreamEvent>();
  const std::unique_ptr<char, FreeMemory> owned(buffer);
  if (size > 0) {
    ASSIGN_OR_RETURN(StreamEvent event, DecodeStreamEvent({buffer, static_cast<size_t>(size)}));
    return std::optional<StreamEvent>(std::move(event));
  }
  if (size == -2) return impl->Failure(nullptr);
  // The server ended the stream: with an error, or because it shuts down.
  const ResultPtr result(PQgetResult(impl->conn));
  if (result != nullptr && PQresultStatus(result.get()) == PGRES_FATAL_ERROR) {
    return impl->Failure(result.get());
  }
  return Status(Code::kUnavailable, impl->where + ": the server ended the replication stream");
}

Status ReplicationStream::SendStatus(Lsn received, Lsn flushed, bool reply_wanted) {
  Connection::Impl* impl = connection_->impl();
  const std::string message = EncodeStandbyStatus(received, flushed, NowUs(), reply_wanted);
  if (PQputCopyData(impl->conn, message.data(), static_cast<int>(message.size())) != 1 ||
      PQflush(impl->conn) != 0) {
    return impl->Failure(nullptr);
  }
  return Status::Ok();
}

}  // namespace kembar::postgres
