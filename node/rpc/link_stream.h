// link_stream.h — one stream between two nodes, whichever side dialled: what waits to be sent, what
// comes in, pings, and the end.
//
// Owned by shared_ptr: the stream holds itself until gRPC has no more to tell it. Its owner (the
// link manager) hears of the peer's hello, of every message and, exactly once and last, of the end.
//
// Order of sending: small messages (heartbeats, positions, acknowledgements, refusals) first, then
// live Entries, then Entries of logs that catch up, one log after the other in turn. A log's live
// Entries wait behind its own catch-up, so that they arrive in order. The last lane keeps to the
// node's rate limit; nothing else is ever limited. Entries that find the queue full are dropped,
// and a log's waiting catch-up gives way to a newer reading of it: the protocol makes both good.
//
// Contents of documents go last of all, when nothing else may go; what little of them is handed to
// gRPC at a time is their sender's affair (node/blob/exchange.h).
//
// Thread-safety: public methods from any thread; none blocks. The owner is called on gRPC's threads
// or the timer's, never under the stream's lock.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "kembar/v1/replication.grpc.pb.h"
#include "node/blob/message.h"
#include "node/rpc/rate_limit.h"
#include "node/rpc/replication_link.h"
#include "node/rpc/workers.h"

namespace kembar {

class LinkStream;

class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  // The peer's first message. OK makes the stream a link; anything else ends it with that status.
  virtual grpc::Status OnHello(const std::shared_ptr<LinkStream>& stream,
                               const v1::LinkHello& hello) = 0;
  virtual void OnMessage(const LinkStream& stream, const std::string& log, Message message) = 0;
  virtual void OnBlob(const LinkStream& stream, blob::Message message) = 0;
  virtual void OnHolding(const LinkStream& stream, const std::string& log, Holding holding) = 0;
  virtual void OnEnd(const std::shared_ptr<LinkStream>& stream, const grpc::Status& why) = 0;
};

// What all streams of a node share; outlives them.
struct LinkContext {
  LinkOptions options;
  LinkOwner* owner = nullptr;
  RateLimit* rate = nullptr;
  Workers* workers = nullptr;
  Timers* timers = nullptr;
};

class LinkStream : public std::enable_shared_from_this<LinkStream> {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~LinkStream() = default;

  // Sends nothing before the stream is a link.
  void Send(const std::string& log, Message message);
  void SendBlob(blob::Message message);
  void SendHolding(const std::string& log, const Holding& holding);
  // Ends the stream; the first reason given is the one that is told.
  void Close(const grpc::Status& why);

  bool dialled() const { return dialled_; }  // by this node
  // The peer's name: as configured when dialled, else as its hello says. Empty before that.
  const std::string& peer() const { return peer_; }
  // Called by the owner within OnHello: from here on messages may be sent.
  void Admit(const std::string& peer);
  std::chrono::milliseconds Silence() const;
  bool was_link() const { return was_link_; }
  Clock::time_point started() const { return started_; }

 protected:
  LinkStream(const LinkContext* context, bool dialled, std::string peer);

  // The two kinds of stream. Called under mutex_; EndCall once.
  virtual void ReadCall(v1::LinkMessage* into) = 0;
  virtual void WriteCall(const v1::LinkMessage* message, grpc::WriteOptions options) = 0;
  virtual void EndCall(const grpc::Status& why, bool writing) = 0;

  Timers* timers() const { return context_->timers; }
  void Begin();  // hold on to itself, first read, pings; a dialler says hello
  void ReadDone(bool ok);
  void WriteDone(bool ok);
  void CallDone(const grpc::Status& status);  // nothing comes after

  std::mutex mutex_;
  bool writing_ = false;        // a message is being made or written: one thread has the pen
  bool write_started_ = false;  // gRPC has it

 private:
  struct Outgoing {
    std::string log;
    std::optional<Message> message;
    std::unique_ptr<v1::LinkMessage> ready;  // ping, and all about chunks
    size_t bytes = 0;                        // of entries
    size_t answer_bytes = 0;                 // of small messages about chunks
    bool catch_up = false;
    bool last = false;         // behind everything else: contents of documents
    uint64_t first_index = 0;  // of entries
  };
  using Lane = std::deque<Outgoing>;

  void Take(v1::LinkMessage* message);
  void TakeBlob(v1::LinkMessage* message);
  void TakeHolding(const v1::LinkMessage& message);
  void TakeHello(const v1::LinkHello& hello);
  void SayHello();  // mutex_ is held
  void Enqueue(Outgoing out);
  void WriteNext();
  // mutex_ is held.
  bool Queue(Outgoing out);  // false: dropped
  void QueueCatchUp(Outgoing out);
  bool MaySend();    // something may go out now; sets a timer when only the limit forbids
  Lane* NextLane();  // null: nothing may
  bool NextIsHeavy();
  Outgoing TakeFrom(Lane* lane);

  static RateLimit::Time RateTime();
  void OnRateTimer();
  void OnTimer();
  void ArmTimer();

  const LinkContext* const context_;
  const bool dialled_;
  const Clock::time_point started_;
  std::string peer_;
  std::shared_ptr<LinkStream> self_;
  std::atomic<Clock::rep> heard_;
  std::atomic<bool> was_link_{false};

  // The reading reaction's alone.
  v1::LinkMessage in_;
  bool greeted_ = false;
  bool warned_ = false;

  // Who has the pen.
  v1::LinkMessage out_;

  // Under mutex_.
  Lane urgent_, live_, last_;
  std::map<std::string, Lane> catch_up_;  // by log; no lane is empty
  std::string last_caught_up_;            // the log whose turn was last
  uint64_t rate_timer_ = 0;
  size_t bulk_bytes_ = 0, answer_bytes_ = 0;
  uint64_t dropped_ = 0;
  bool closed_ = false;
  std::optional<grpc::Status> why_;
  uint64_t timer_ = 0;
};

// Dials; the stream begins at once.
std::shared_ptr<LinkStream> DialLink(const LinkContext* context, const std::string& peer,
                                     const std::shared_ptr<grpc::Channel>& channel);
// Accepts; `made` is told of the stream before anything can happen to it.
grpc::ServerBidiReactor<v1::LinkMessage, v1::LinkMessage>* AcceptLink(
    const LinkContext* context, grpc::CallbackServerContext* call,
    const std::function<void(const std::shared_ptr<LinkStream>&)>& made);

}  // namespace kembar
