// session.h — one attempt at capturing: from connecting to both sides until either fails or the
// program is to stop.
//
// Everything a session knows it reads from the log and the server at its start; a failure of any
// kind ends it, and the next one goes on exactly where the log stands (docs/capture.md, "Exactly
// once").
//
// All work is done on one thread, which never blocks for long: while it waits for the log it
// answers the server. Files: session_start.cc, session.cc (the loop), session_snapshot.cc
// (reconciliation and audit), session_periodic.cc.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tools/agent/config.h"
#include "tools/agent/postgres/capturer.h"
#include "tools/agent/postgres/database.h"
#include "tools/agent/postgres/log_client.h"
#include "tools/agent/postgres/log_writer.h"
#include "tools/agent/postgres/part_writer.h"
#include "tools/agent/postgres/reconcile.h"
#include "tools/agent/postgres/schema_dump.h"
#include "tools/agent/stats.h"
#include "tools/agent/wakeup.h"
#include "tools/postgres/replication.h"

namespace kembar::agent {

struct SessionOptions {
  bool accept_new_database = false;
  bool first = true;          // of the process: what can't be captured refuses the start
  bool discontinued = false;  // the session before found that the server has another history
};

class Session : private CaptureHost {
 public:
  // All outlive the session.
  Session(const AgentConfig& config, SessionOptions options, StatsBoard* board, Wakeup* wakeup);
  ~Session() override;

  // OK: stopped as told.
  Status Run();
  // After a failure: trying again will not help.
  bool fatal() const { return fatal_; }
  // After a failure: the server has another history than the log.
  bool diverged() const { return diverged_; }
  // Whether it came as far as streaming.
  bool streamed() const { return streamed_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Purpose : uint8_t { kReconcile, kAudit };

  // A snapshot on its way, and what it is for.
  struct Snapshot {
    Purpose purpose = Purpose::kReconcile;
    bool all = false;
    std::set<TableName> tables;  // unless all
    std::unique_ptr<postgres::ReplicationStream> connection;
    std::optional<postgres::CreatedSlot> slot;
    std::unique_ptr<SchemaDump> dump;
    Touches touches;
  };
  // Something that is done every so often.
  struct Period {
    int64_t every_s = 0;  // 0: never
    Clock::time_point next;
    bool Due() const { return every_s > 0 && Clock::now() >= next; }
    void Done() { next = Clock::now() + std::chrono::seconds(every_s); }
  };

  // session_start.cc
  Status Connect();
  Status CheckBoth();
  Status CheckTables();
  Status LoadLog();
  Status LoadRows();
  Status CheckIdentity();
  Status CheckHistory(const Marker& marker);
  Status PrepareServer();
  Status PrepareTables();
  Status PrepareSlot();
  Status CreateSlot();
  Status StartStream();
  Status Fatal(Status status);

  // session.cc
  Status Loop();
  Status Turns();
  Status Feedback(bool now);
  Status Boundary();
  Status Next();
  Status OnEvent(postgres::StreamEvent event);
  Status OnStreamFailure(Status status);
  Status AdvanceIdle();
  Status Tick();
  Status WaitIdle();
  Status Shutdown();
  // Appends drafts of our own between transactions: the boundary stays where it is.
  Status EmitAside(std::vector<v1::Draft> drafts);
  bool Reached(Lsn lsn) const { return covered_ >= lsn; }

  // CaptureHost
  Status Emit(Batch batch) override;
  Result<std::optional<std::string>> CurrentPayload(const std::string& package,
                                                    const std::string& item) override;
  Result<std::vector<LiveItem>> LiveItems(const TableName& table) override;
  Result<std::vector<LiveItem>> PackageRows(const std::string& package) override;
  Result<std::vector<std::string>> TypeNames(const postgres::RelationMessage& relation) override;
  Result<std::optional<TableShape>> VisibleShape(uint32_t oid) override;

  // session_snapshot.cc
  Status BeginSnapshot(Purpose purpose);
  Status AdvanceSnapshot();
  bool HoldsStream() const;
  void AbandonSnapshot(const Status& why);
  void EndSnapshot();
  Reconciler::Parts ReconcilerParts(postgres::Connection* connection);
  Result<bool> LockTables(postgres::Connection* connection,
                          const std::vector<postgres::TableInfo>& tables);
  Status LeaveOutRewritten(postgres::Connection* connection,
                           std::vector<postgres::TableInfo>* tables);
  Status UseSnapshot();
  Status Reconcile(postgres::Connection* connection, std::vector<postgres::TableInfo> tables);
  Status PutSchema(PartWriter* writer);
  Status Audit(postgres::Connection* connection, std::vector<postgres::TableInfo> tables);
  PartWriter NewPartWriter(Lsn lsn);

  // session_periodic.cc
  Status Periodic();
  Status PollServer();
  Status Canary();
  Status Sequences();
  Status CheckSchema();
  Status TakeSchema();
  Status LargeObjects();
  Status OneLargeObject(const std::string& oid, std::map<std::string, Digest>* known,
                        PartWriter* writer);
  void ReportProgress();

  const AgentConfig& config_;
  const PostgresConfig& postgres_;
  const SessionOptions options_;
  const std::string source_;
  StatsBoard* const board_;
  Wakeup* const wakeup_;
  bool fatal_ = false;
  bool streamed_ = false;
  bool diverged_ = false;

  std::unique_ptr<Database> database_;
  std::unique_ptr<postgres::ReplicationStream> stream_;
  postgres::SystemIdentity identity_;
  LogClient log_;
  LogStanding standing_;
  std::vector<v1::Draft> identity_record_;  // to be written; empty: it is there
  CapturedState state_;
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<Capturer> capturer_;

  // What the log holds besides rows and tables.
  std::string mapping_recorded_;
  SchemaTexts schema_;                            // as recorded
  std::map<std::string, std::string> sequences_;  // item -> payload

  // False until the log is whole at some LSN: what comes before that is not taken from the stream.
  bool complete_ = false;
  bool discontinued_ = false;  // the server is not where the log left it
  bool resent_ = false;        // the server sends the last transaction of the log again
  bool reconcile_all_ = false;
  bool rewrite_packages_ = false;
  bool canary_on_ = false;
  Inventory inventory_;

  Lsn covered_ = 0;    // everything that was committed before has been handled
  Lsn confirmed_ = 0;  // told to the server
  bool reply_wanted_ = false;
  Clock::time_point feedback_at_;
  std::optional<postgres::PgMessage> held_;  // the first after a snapshot that is waited for
  std::unique_ptr<Snapshot> snapshot_;
  Clock::time_point snapshot_after_;  // not sooner, after a failure
  std::unique_ptr<SchemaDump> schema_dump_;
  bool synchronous_ = false;
  Capturer::Counts reported_;
  uint64_t reported_batches_ = 0;
  uint64_t repaired_pending_ = 0;  // differences of an audit that is being repaired

  Period poll_{.every_s = 2, .next = {}};
  Period canary_;
  Period sequences_due_;
  Period schema_due_;
  Period large_objects_due_;
  Period audit_due_;
  Clock::time_point advanced_at_;
  bool audit_asked_ = false;
  bool audit_follows_up_ = false;   // it looks whether a repair helped; is not followed by another
  bool pending_unwritten_ = false;  // state_.pending holds more than the log says
  Lsn target_wal_ = 0;              // what the server had written at `target_us_`
  int64_t target_us_ = 0;
};

}  // namespace kembar::agent
