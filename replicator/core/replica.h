// replica.h — one node's mind about one log: append, replicate, commit, fence, promote, step down,
// rejoin. A deterministic state machine: the same events give the same actions. It does no I/O,
// starts no thread and reads no clock; the same object runs in kembard and in the simulator.
//
// Use: Step for each event, then Flush once when no event is waiting (this forms groups: all
// appends of a turn become one batch), and carry the actions out in order. Writes are asynchronous:
// after each Persist the owner reports Persisted, in the order of the Persists. A message or reply
// that depends on a write is an action only after that report.
//
// Reads that the protocol needs (a root, a range for catching up) go through LogReader or, where
// they are long, out as a ReadAndSend action.
//
// Thread-safety: none; owned and stepped by one thread.
//
// Protocol: docs/protocol.md. Failover is flexible Paxos (Howard, Malkhi, Spiegelman 2016) with the
// operator's tool as proposer; replication follows Raft's log matching (Ongaro 2014, section 3.5),
// with a Merkle root (RFC 6962) in place of the previous entry's term.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "replicator/core/message.h"
#include "replicator/log/control.h"
#include "replicator/log/merkle.h"
#include "replicator/log/store.h"

namespace kembar {

struct Now {
  int64_t mono_ms = 0;  // monotonic, for intervals
  int64_t wall_us = 0;  // wall clock, only written into records and shown; never compared for order
};

using Ticket = uint64_t;  // names a waiting client; chosen by the owner, 0 is nobody

// ---- Events ------------------------------------------------------------------------------------

struct AppendRequest {
  Ticket ticket = 0;
  std::string source;
  uint64_t position = 0;
  // The position that the source believes to be its last here: protects against skipping. Unset:
  // any position above the last is taken.
  std::optional<uint64_t> after_position;
  std::vector<Draft> drafts;  // one atomic batch, at least one, each validated by the owner
};
struct Connected {
  std::string peer;
};
struct Disconnected {
  std::string peer;
};
struct Received {
  std::string peer;
  Message message;
};
struct Persisted {
  Status status;
};                 // for the oldest Persist not yet reported
struct ReadDone {  // for a ReadAndSend
  std::string peer;
  uint64_t session = 0;
  Status status;
  uint64_t last_index = 0;
  Digest root{};
  size_t bytes = 0;
};
struct Tick {};
struct DiskSpace {
  bool full = false;
};  // appends are refused while full

// Admin orders. Each is answered by a Reply with the same ticket.
struct CreateLog {
  Ticket ticket = 0;
  ControlState state;
};  // on an empty log only
struct FenceRequest {
  Ticket ticket = 0;
  uint64_t epoch = 0;
  std::string candidate;
};
struct PromoteRequest {
  Ticket ticket = 0;
  uint64_t epoch = 0;
  ControlState state;
};
// Stop taking appends until resumed, fenced, or `for_ms` later: the first step of a switchover.
struct PauseAppends {
  Ticket ticket = 0;
  int64_t for_ms = 0;
};
struct ResumeAppends {
  Ticket ticket = 0;
};
// Changes mode, sync_mirrors, solo_after_ms or members on the primary, as a Config record.
struct ChangeConfig {
  Ticket ticket = 0;
  Config config;
  std::string actor;
  std::string reason;
};
struct AppendNote {
  Ticket ticket = 0;
  std::string text;
};  // an operator's act, kept in the log

// Ends an alarm in favour of the reigning primary's log: what differs here goes to quarantine, and
// the node catches up. On a mirror with an alarm that hears its primary.
struct RepairRequest {
  Ticket ticket = 0;
  std::string actor;
  std::string reason;
};

using Event = std::variant<AppendRequest, Connected, Disconnected, Received, Persisted, ReadDone,
                           Tick, DiskSpace, CreateLog, FenceRequest, PromoteRequest, PauseAppends,
                           ResumeAppends, ChangeConfig, AppendNote, RepairRequest>;

// ---- Actions -----------------------------------------------------------------------------------

struct Persist {
  LogWrite write;
};
// A Persist that holds a truncation needs the replica's state read back: after it, the owner calls
// Replica::Reload with Store::Recover's answer, before reporting Persisted.
struct Send {
  std::string peer;
  Message message;
};
// Read frames from first_index (no further than last_index, about bytes_max) and send them as
// Entries; then report ReadDone with the same session.
struct ReadAndSend {
  std::string peer;
  uint64_t session = 0;
  uint64_t first_index = 0;
  uint64_t last_index = 0;
  size_t bytes_max = 0;
  Entries header;  // batch is null: to be filled in
};
struct FenceAnswer {
  uint64_t promised_epoch = 0;
  std::string promised_to;
  uint64_t last_epoch = 0;  // epoch of the last durable record
  uint64_t seen_epoch = 0;
  uint64_t durable_index = 0;
  Digest root{};
  uint64_t commit_index = 0;
  uint64_t must_reach = 0;
  uint64_t config_index = 0;
  ControlState control;  // the latest this node holds
  std::string alarm;     // why its log is stopped; empty: it is not
};
struct Reply {
  Ticket ticket = 0;
  Status status;
  // append: last index of the batch. promote, create: the EpochStart. repair: the first record
  // that went, or the one behind the last if none had to go
  uint64_t index = 0;
  uint64_t epoch = 0;
  bool duplicate = false;    // append: it was there already; index 0 means: ask FindPosition
  uint32_t sites = 0;        // append: how many sites hold it durably now
  uint64_t quarantined = 0;  // repair: how many records
  std::string primary;       // repair: whose log is followed
  std::optional<FenceAnswer> fence;
};
using Action = std::variant<Persist, Send, ReadAndSend, Reply>;
using Actions = std::vector<Action>;

// ---- What a replica shows ----------------------------------------------------------------------

enum class Role : uint8_t { kMirror, kPrimary };
enum class LogState : uint8_t { kProtected, kCatchingUp, kStalled, kSolo, kNoPrimary };
std::string_view LogStateName(LogState state);  // "protected", "catching-up" …

struct PeerStatus {
  std::string name;
  std::string address;
  bool member = false;
  bool connected = false;
  uint64_t durable_index = 0;  // as last acknowledged, root verified
  uint64_t commit_index = 0;
  int64_t level_ms_ago = -1;  // since it last held everything; -1: never in this reign
  int64_t contact_ms_ago = -1;
  // What it does not hold yet. Exact where that is still in memory here; for what is older, an
  // estimate from the average record that this node has written or read since it started.
  uint64_t lag_bytes = 0;
  std::string trouble;  // divergence and the like; empty: none
};

struct ReplicaStatus {
  Role role = Role::kMirror;
  LogState state = LogState::kNoPrimary;
  uint64_t epoch = 0;
  std::string primary;  // empty: none known
  std::string primary_address;
  uint64_t last_index = 0;
  uint64_t durable_index = 0;
  uint64_t commit_index = 0;
  Digest durable_root{};
  uint64_t primary_last_index = 0;  // mirror: as the primary last said
  int64_t primary_contact_ms_ago = -1;
  int64_t level_ms_ago = -1;  // mirror: since it last held all that the primary had
  ControlState control;
  uint64_t control_index = 0;
  HardState hard;
  bool paused = false;
  std::string trouble;
  std::vector<PeerStatus> peers;  // primary only
};

// Reads the replica needs at once; the owner's Store satisfies it. Sizes up to the durable index.
class LogReader {
 public:
  virtual ~LogReader() = default;
  virtual Result<Digest> RootAt(uint64_t size) const = 0;
};

struct ReplicaOptions {
  std::string log;
  std::string self;     // this node's name
  std::string address;  // where clients reach this node; told to mirrors
  int64_t heartbeat_ms = 200;
  int64_t silence_ms = 2'000;  // without contact this long: the peer or primary counts as gone
  size_t batch_bytes_max = size_t{1} << 20;
  size_t window_bytes = size_t{8} << 20;        // per peer, sent and not yet acknowledged
  size_t tail_bytes = size_t{16} << 20;         // kept in memory for live shipping
  size_t pending_bytes_max = size_t{64} << 20;  // appends not yet committed; beyond: refused
  size_t read_bytes = size_t{512} << 10;        // one catch-up message
  int64_t resend_ms = 5'000;  // send again when nothing was acknowledged for so long
};

class Replica {
 public:
  Replica(ReplicaOptions options, const LogReader* reader, Recovered recovered, Now now);
  ~Replica();

  void Step(Event event, Now now, Actions* out);
  // Ends a turn: forms the batch of the appends since the last Flush and ships what can be shipped.
  void Flush(Now now, Actions* out);
  // See Persist. Replaces everything that is derived from records.
  void Reload(Recovered recovered);

  ReplicaStatus status(Now now) const;
  uint64_t commit_index() const { return commit_index_; }
  bool is_primary() const { return role_ == Role::kPrimary; }

 private:
  // What waits for a write to become durable.
  struct PendingWrite {
    uint64_t last_index = 0;  // of its batch; 0: it holds none
    Digest root{};
    uint64_t ack_epoch = 0;       // mirror: acknowledge to the primary of this reign; 0: do not
    bool reloads = false;         // holds a truncation
    uint64_t promised_epoch = 0;  // the promise that is durable with it
    std::string promised_to;
    Ticket fence_ticket = 0;
    std::optional<Reply> reply;
    std::optional<Event> again;  // step this event (once more) when durable
  };

  // One other node of the log, as the primary sees it.
  struct Peer {
    enum class State : uint8_t { kProbe, kReplicating, kDiverged };
    bool connected = false;
    State state = State::kProbe;
    uint64_t session = 0;  // grows whenever `next` is set anew
    uint64_t next = 1;     // next index to send
    uint64_t match = 0;    // durable there, root verified; never beyond last_index_
    uint64_t commit = 0;   // as the peer last said
    std::deque<std::pair<uint64_t, size_t>> inflight;  // last index and bytes, not acknowledged
    size_t inflight_bytes = 0;
    bool reading = false;  // a ReadAndSend is out
    uint64_t heartbeat_seq = 0;
    uint64_t heartbeat_next = 1;  // `next` and `match` when that heartbeat left
    uint64_t heartbeat_match = 0;
    uint64_t probe_index = 0;  // asked in heartbeats
    uint64_t probe_seq = 1;    // what answers an earlier heartbeat says nothing of this probe
    uint64_t match_below = 0, differ_above = 0;  // bisecting a divergence; 0,0: not bisecting
    int64_t contact_ms = -1;
    int64_t level_ms = -1;
    uint64_t level_target = 0;      // level once match reaches this
    int64_t progress_ms = 0;        // last time match grew or sending began
    int64_t resend_ms = 0;          // wait for progress before sending again
    int64_t asked_ms = -1'000'000;  // last time it asked for what it missed, and got it
    std::string trouble;
  };

  struct Waiter {
    Ticket ticket = 0;
    bool duplicate = false;
    uint64_t answer_index = 0;
    size_t bytes = 0;
  };

  // replica.cc
  void PersistHard(PendingWrite then, Actions* out);
  void PersistWrite(LogWrite write, PendingWrite then, Actions* out);
  void OnPersisted(const Persisted& event, Now now, Actions* out);
  void CompleteWrite(PendingWrite done, Now now, Actions* out);
  void Stop(const Status& why, Actions* out);
  void ApplyFrame(std::string_view frame, const FrameHeader& header);
  void ApplyControl(const Record& record);
  void SetCommit(uint64_t limit);
  std::optional<Digest> OwnRoot(uint64_t index) const;
  void OnMessage(const std::string& from, Message message, Now now, Actions* out);
  void OnTick(Now now, Actions* out);
  FenceAnswer MakeFenceAnswer() const;
  static void Answer(Ticket ticket, Status status, Actions* out);

  // replica_primary.cc
  void OnAppend(AppendRequest request, Now now, Actions* out);
  Status CheckAppend(const AppendRequest& request, Now now) const;
  bool AnswerDuplicate(const AppendRequest& request, Actions* out);
  void AddRecord(Record record, Now now);
  void CloseTurn(Actions* out);
  void WaitForCommit(uint64_t index, Waiter waiter, Actions* out);
  void AnswerCommitted(Actions* out);
  void FailWaiters(const Status& why, Actions* out);
  void ResetPeer(Peer* peer, Now now);
  void BeginReplicating(Peer* peer, uint64_t match, Now now);
  void SendHeartbeat(const std::string& name, Peer* peer, Now now, Actions* out);
  void OnPosition(const std::string& from, const Position& position, Now now, Actions* out);
  void OnProbeAnswer(const std::string& from, Peer* peer, const Position& position, Now now,
                     Actions* out);
  void Probe(const std::string& name, Peer* peer, uint64_t index, Now now, Actions* out);
  void Bisect(const std::string& from, Peer* peer, Now now, Actions* out);
  void OnAck(const std::string& from, uint64_t durable_index, const Digest& root, Now now,
             Actions* out);
  void OnRefusal(const std::string& from, const Refusal& refusal, Actions* out);
  void OnReadDone(const ReadDone& done, Now now);
  void Ship(const std::string& name, Peer* peer, Now now, Actions* out);
  SharedBatch FindInTail(uint64_t first_index) const;
  void TrimTail();
  uint64_t LagBytes(uint64_t match) const;
  void AdvanceCommit(Actions* out);
  bool ChangeIsOpen() const;
  uint64_t HeldByQuorum(const Config& config) const;
  uint32_t LevelMirrors(Now now, int64_t within_ms) const;
  uint32_t ConnectedMirrors(Now now) const;
  LogState PrimaryState(Now now) const;

  // replica_reign.cc
  void BecomePrimary(uint64_t epoch, ControlState state, Ticket ticket, Now now, Actions* out);
  void StepDown(const Status& why, Actions* out);
  void SyncPeers(Now now);
  void AppendConfig(Config config, const std::string& actor, const std::string& reason, Now now);
  void ReviewMembership(Now now);
  void TickPrimary(Now now, Actions* out);

  // replica_mirror.cc
  struct Reign {
    uint64_t epoch;
    const std::string& primary;
    const std::string& log_uuid;
  };
  bool Follow(const std::string& from, const Reign& reign, const Message& message, Now now,
              Actions* out);
  void OnHeartbeat(const std::string& from, const Heartbeat& heartbeat, Now now, Actions* out);
  void OnEntries(const std::string& from, const Entries& entries, Now now, Actions* out);
  void AppendEntries(const std::string& from, const Entries& entries, Actions* out);
  void OnOverlap(const std::string& from, const Entries& entries, Now now, Actions* out);
  void Truncate(uint64_t after, const std::string& origin, std::optional<Event> again, Now now,
                Actions* out);
  void RaiseAlarm(const std::string& text, uint64_t first_differing, Actions* out);
  void SendPosition(const std::string& to, uint64_t seq, Actions* out);
  LogState MirrorState(Now now) const;

  // replica_admin.cc
  void OnCreate(CreateLog order, Now now, Actions* out);
  void OnFence(const FenceRequest& order, Actions* out);
  void OnPromote(PromoteRequest order, Now now, Actions* out);
  Status CheckPromote(const PromoteRequest& order) const;
  void ResumeReign(Actions* out);
  void OnPause(const PauseAppends& order, Now now, Actions* out);
  void OnChangeConfig(ChangeConfig order, Now now, Actions* out);
  void OnNote(AppendNote order, Now now, Actions* out);
  void OnRepair(const RepairRequest& order, Now now, Actions* out);
  Status CheckRepair(Now now) const;

  // Constant after construction.
  const ReplicaOptions options_;
  const LogReader* const reader_;

  // Derived from the records; replaced by Reload.
  uint64_t last_index_ = 0;  // in memory; durable_index_ follows
  uint64_t last_batch_end_ = 0;
  merkle::Frontier frontier_;
  EpochHistory history_;
  std::string log_uuid_;
  ControlState control_;
  uint64_t control_index_ = 0;
  Config control_before_;  // in force before that record; see AdvanceCommit
  std::map<std::string, std::pair<uint64_t, uint64_t>> positions_;

  // Both roles.
  Role role_ = Role::kMirror;
  HardState hard_;
  HardState hard_written_;  // as last handed to a Persist
  int64_t hard_written_ms_ = 0;
  uint64_t durable_promise_ = 0;  // the epoch of the promise that is on disk
  bool resume_ = false;           // was primary before the restart; see ResumeReign
  uint64_t durable_index_ = 0;
  Digest durable_root_{};
  uint64_t commit_index_ = 0;
  std::deque<uint64_t> batch_ends_;   // beyond commit_index_, as far as known
  std::deque<PendingWrite> pending_;  // Persists not yet reported, oldest first
  bool recovering_ = false;           // between a truncation and its Persisted
  Status stopped_;                    // not OK: fail-stop
  bool disk_full_ = false;
  std::map<std::string, bool> links_;  // connected nodes, by name

  // Primary.
  uint64_t epoch_ = 0;        // own reign
  uint64_t reign_start_ = 0;  // index of its EpochStart
  int64_t reign_start_ms_ = 0;
  std::map<std::string, Peer> peers_;
  std::multimap<uint64_t, Waiter> waiters_;  // by index that must be committed
  size_t waiting_bytes_ = 0;
  std::vector<std::string> turn_frames_;  // appended since the last CloseTurn
  std::vector<merkle::Node> turn_nodes_;
  size_t turn_bytes_ = 0;
  Digest turn_prev_root_{};
  std::deque<SharedBatch> tail_;
  size_t tail_bytes_ = 0;
  uint64_t met_records_ = 0;  // written or read since the start; for their average size
  uint64_t met_bytes_ = 0;
  uint64_t next_seq_ = 1;
  int64_t last_heartbeat_ms_ = 0;
  int64_t paused_until_ms_ = 0;
  int64_t enough_mirrors_ms_ = 0;  // last time that the required mirrors were level

  // Mirror: the reign it follows.
  uint64_t following_epoch_ = 0;
  std::string following_;
  std::string following_address_;
  int64_t following_contact_ms_ = -1;
  int64_t following_level_ms_ = -1;
  uint64_t following_last_index_ = 0;
  uint64_t following_commit_index_ = 0;
  uint64_t following_acked_ = 0;    // what it remembers us to have acknowledged
  EpochHistory following_history_;  // empty: it has not told
  uint64_t verified_index_ = 0;     // up to here the log is known to equal the primary's
  std::string trouble_;
};

}  // namespace kembar
