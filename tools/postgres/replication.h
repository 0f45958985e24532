// replication.h — logical replication over one walsender connection: slots, snapshots, the stream.
//
// Nothing here waits for longer than it is told, but for Open, IdentifySystem and Start, which wait
// for the server's answer. Making a slot can take as long as the longest transaction that is open,
// so it is begun and then asked about.
//
// Thread-safety: belongs to one thread, like the Connection inside.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "replicator/base/status.h"
#include "tools/capture/facts.h"
#include "tools/postgres/connection.h"

namespace kembar::postgres {

using capture::Lsn;

struct SystemIdentity {
  std::string system_identifier;  // of the cluster, decimal
  uint32_t timeline = 0;
  Lsn flushed = 0;
  std::string database;
};

struct CreatedSlot {
  std::string name;
  Lsn consistent_point = 0;  // transactions whose commit record begins before are in the snapshot
  std::string snapshot;      // exported; lives until the next use of this connection
};

// One message of the plugin.
struct StreamData {
  std::string bytes;
};
// Everything that was committed before `end` was sent.
struct StreamKeepalive {
  Lsn end = 0;
  bool reply_wanted = false;
};
using StreamEvent = std::variant<StreamData, StreamKeepalive>;

class ReplicationStream {
 public:
  static Result<std::unique_ptr<ReplicationStream>> Open(ConnectOptions options);
  ~ReplicationStream();

  Result<SystemIdentity> IdentifySystem();

  struct SlotOptions {
    std::string name;
    bool temporary = false;
    bool export_snapshot = false;
  };
  Status BeginCreateSlot(const SlotOptions& options);
  // Waits so long; nullopt: not made yet.
  Result<std::optional<CreatedSlot>> PollCreatedSlot(int timeout_ms);

  // Begins to stream. `from` 0: from where the slot stands.
  Status Start(const std::string& slot, const std::string& publication, Lsn from);
  // The next event, or nullopt after the timeout or when `wake_fd` becomes readable. kUnavailable:
  // the connection ended. A server's error carries its SQLSTATE in the message; see sqlstate().
  Result<std::optional<StreamEvent>> Receive(int timeout_ms, int wake_fd = -1);
  // `flushed` and everything before is safe: the server may forget it, and commits that wait for a
  // synchronous standby return.
  Status SendStatus(Lsn received, Lsn flushed, bool reply_wanted);

  // Ends the stream in order; what was sent but not received is lost, as after a broken connection.
  void Close() { connection_.reset(); }
  const std::string& sqlstate() const { return connection_->sqlstate(); }
  Connection* connection() { return connection_.get(); }

 private:
  explicit ReplicationStream(std::unique_ptr<Connection> connection);
  Status WaitReadable(int timeout_ms, int wake_fd = -1);

  std::unique_ptr<Connection> connection_;
};

// XLogData and keepalive as CopyData carries them. Total: any bytes give an event or kCorrupt.
Result<StreamEvent> DecodeStreamEvent(std::string_view bytes);
std::string EncodeStandbyStatus(Lsn received, Lsn flushed, int64_t now_us, bool reply_wanted);

}  // namespace kembar::postgres
