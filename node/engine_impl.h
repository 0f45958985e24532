// engine_impl.h — inside Engine: the queue, the turn, and what the engine's thread owns.
//
// Private to node/engine*.cc. Members are in three groups: constant after construction, owned by
// the engine's thread, shared (under mutex_ or atomic).
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "node/engine.h"
#include "node/engine_reader.h"
#include "node/engine_waits.h"
#include "node/engine_writer.h"

namespace kembar {

// For debuggers and `top -H`; at most 15 characters.
void NameThisThread(const char* name);
Now EngineNow();

class StoreReader final : public LogReader {
 public:
  StoreReader(const Store* store, std::string log) : store_(store), log_(std::move(log)) {}
  Result<Digest> RootAt(uint64_t size) const override { return store_->RootAt(log_, size); }

 private:
  const Store* const store_;
  const std::string log_;
};

// One log of this node. Lives until the engine ends, unless the order that made it is refused.
struct LogSlot {
  LogSlot(const Store* store, const std::string& name) : log(name), reader(store, name) {}

  const std::string log;
  const StoreReader reader;
  std::unique_ptr<Replica> replica;
  Actions actions;       // of this turn
  bool touched = false;  // stepped in this turn
  bool doomed = false;   // goes away at the end of this turn
  uint32_t pending = 0;  // writes and reads that are under way and point here
  uint64_t published_commit = 0;
};

// ---- What waits in the queue -------------------------------------------------------------------

struct EventItem {  // an append or an order
  std::string log;
  Event event;
  Ticket ticket = 0;
  Engine::ReplyFn done;
};
struct GiveUpItem {
  std::string log;
  Ticket ticket = 0;
};
struct LinkItem {
  std::string peer;
  bool connected = false;
};
struct MessageItem {
  std::string peer;
  std::string log;
  Message message;
};
struct WrittenItem {
  std::vector<WriteResult> results;
};
struct ReadItem {
  LogSlot* slot = nullptr;
  ReadDone done;
};
struct DiskItem {
  bool full = false;
};
struct StatusItem {
  using Answer = Result<std::map<std::string, ReplicaStatus>>;
  std::string log;
  std::shared_ptr<std::promise<Answer>> answer;
};
using EngineItem = std::variant<EventItem, GiveUpItem, LinkItem, MessageItem, WrittenItem, ReadItem,
                                DiskItem, StatusItem>;

// A client that waits for its Reply.
struct WaitingReply {
  Engine::ReplyFn done;
  std::string source;  // append only
  uint64_t position = 0;
  size_t records = 0, bytes = 0;
  bool append = false;
};

struct Engine::Impl {
  Impl(EngineOptions options_in, Store* store_in, SendFn send_in);

  // Any thread. False when the engine is stopping; `item` is then left as it was.
  bool Post(EngineItem&& item);
  // Posts, or answers that the node is stopping.
  void PostEvent(EventItem event);
  bool QueueFull() const;

  // The engine's thread.
  void Run();
  bool TakeItems(std::vector<EngineItem>* items);
  void Handle(EventItem& item, Now now);
  void Handle(GiveUpItem& item, Now now);
  void Handle(LinkItem& item, Now now);
  void Handle(MessageItem& item, Now now);
  void Handle(WrittenItem& item, Now now);
  void Handle(ReadItem& item, Now now);
  void Handle(DiskItem& item, Now now);
  void Handle(StatusItem& item, Now now);
  void TickWhatIsDue(Now now);
  void FinishTurn(Now now);
  void CarryOut(LogSlot* slot, Action action, std::vector<WriteJob>* writes);
  void Answer(LogSlot* slot, const Reply& reply);
  void Step(LogSlot* slot, Event event, Now now);
  LogSlot* Find(const std::string& log);
  Result<LogSlot*> Create(const std::string& log, Now now);
  void RemoveDoomed();
  Status WhyWaiting(const LogSlot& slot, const WaitingReply& waiting, Now now) const;

  // The thread that stops.
  void AnswerCancelled();

  // Constant after construction.
  const EngineOptions options;
  Store* const store;
  const SendFn send;
  const int64_t tick_ms;

  // The engine's thread.
  std::map<std::string, std::unique_ptr<LogSlot>> slots;
  std::vector<LogSlot*> touched;
  std::deque<std::pair<int64_t, LogSlot*>> ticks;  // when due; soonest first
  int64_t ticked_ms = 0;
  std::unordered_map<Ticket, WaitingReply> waiting;
  std::map<Ticket, LogSlot*> creating;  // slots that exist only for this order
  std::set<std::string> connected;
  std::set<std::pair<std::string, std::string>> refused_logs;  // (peer, log), told once
  bool disk_full = false;
  bool any_doomed = false;  // some slot is; saves looking at each in every turn

  // Shared.
  std::mutex stop_mutex;  // held for the whole of Stop
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::vector<EngineItem> items;
  bool running = false;
  bool stopping = false;
  CommitWatch commits;
  std::atomic<Ticket> next_ticket{1};
  std::atomic<uint64_t> appended_records{0}, appended_bytes{0}, acknowledged_batches{0},
      refused_appends{0};

  GroupWriter writer;
  CatchUpReader reader;
  std::thread thread;
};

}  // namespace kembar
