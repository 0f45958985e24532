// link_stream.cc — see link_stream.h.
#include "node/rpc/link_stream.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "node/rpc/convert.h"
#include "node/rpc/convert_blob.h"

namespace kembar {
namespace {

constexpr uint32_t kProtocol = 1;
// Entries up to this size are put into their message at once, larger ones on a worker.
constexpr size_t kLightBytes = size_t{64} << 10;
constexpr auto kLastWordWait = std::chrono::milliseconds(1'000);
constexpr size_t kLastMax = 256;        // waiting pieces and offers; beyond, they are dropped
constexpr size_t kUrgentMax = 100'000;  // small messages waiting; beyond, heartbeats are dropped
// Answers about chunks waiting; beyond, they are dropped: a peer may ask without reading them.
constexpr size_t kAnswerBytesMax = size_t{4} << 20;

}  // namespace

LinkStream::LinkStream(const LinkContext* context, bool dialled, std::string peer)
    : context_(context),
      dialled_(dialled),
      started_(Clock::now()),
      peer_(std::move(peer)),
      heard_(started_.time_since_epoch().count()) {}

std::chrono::milliseconds LinkStream::Silence() const {
  const Clock::time_point heard{Clock::duration(heard_.load(std::memory_order_relaxed))};
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - heard);
}

void LinkStream::Begin() {
  std::lock_guard lock(mutex_);
  self_ = shared_from_this();
  if (dialled_) SayHello();
  ReadCall(&in_);
  ArmTimer();
}

// ---- Out ---------------------------------------------------------------------------------------

void LinkStream::SayHello() {
  const LinkOptions& options = context_->options;
  v1::LinkHello* hello = out_.mutable_hello();
  hello->set_node(options.node);
  hello->set_node_uuid(options.node_uuid);
  hello->set_born_us(options.born_us);
  hello->set_protocol(kProtocol);
  hello->set_address(options.address);
  hello->set_program_version(options.version);
  writing_ = write_started_ = true;
  WriteCall(&out_, {});
}

void LinkStream::Admit(const std::string& peer) {
  std::lock_guard lock(mutex_);
  peer_ = peer;
  if (!dialled_ && !closed_) SayHello();
  was_link_ = true;
}

void LinkStream::Send(const std::string& log, Message message) {
  Outgoing out{.log = log};
  if (const auto* entries = std::get_if<Entries>(&message)) {
    out.bytes = entries->batch->bytes;
    out.catch_up = entries->catch_up;
    out.first_index = entries->batch->first_index;
  }
  out.message = std::move(message);
  Enqueue(std::move(out));
}

void LinkStream::SendBlob(blob::Message message) {
  Outgoing out{.ready = std::make_unique<v1::LinkMessage>()};
  out.last =
      std::holds_alternative<blob::Piece>(message) || std::holds_alternative<blob::Offer>(message);
  ToProto(std::move(message), out.ready.get());
  if (!out.last) out.answer_bytes = out.ready->ByteSizeLong();
  Enqueue(std::move(out));
}

void LinkStream::SendHolding(const std::string& log, const Holding& holding) {
  Outgoing out{.ready = std::make_unique<v1::LinkMessage>()};
  ToProto(log, holding, out.ready.get());
  Enqueue(std::move(out));
}

void LinkStream::Enqueue(Outgoing out) {
  {
    std::lock_guard lock(mutex_);
    if (closed_ || !was_link_ || !Queue(std::move(out)) || writing_ || !MaySend()) return;
    writing_ = true;
    if (NextIsHeavy()) {
      context_->workers->Run([self = shared_from_this()] { self->WriteNext(); });
      return;
    }
  }
  WriteNext();
}

bool LinkStream::Queue(Outgoing out) {
  if (out.last) {
    if (last_.size() >= kLastMax) return false;
    last_.push_back(std::move(out));
    return true;
  }
  if (out.bytes == 0) {
    if (urgent_.size() >= kUrgentMax && out.message &&
        std::holds_alternative<Heartbeat>(*out.message)) {
      return false;
    }
    if (out.answer_bytes != 0 && answer_bytes_ + out.answer_bytes > kAnswerBytesMax) return false;
    answer_bytes_ += out.answer_bytes;
    urgent_.push_back(std::move(out));
    return true;
  }
  if (bulk_bytes_ != 0 && bulk_bytes_ + out.bytes > context_->options.queue_bytes_max) {
    if (dropped_++ == 0) {
      spdlog::warn("link_queue_full peer={} waiting_bytes={} entries=dropped", peer_, bulk_bytes_);
    }
    return false;
  }
  bulk_bytes_ += out.bytes;
  if (out.catch_up || catch_up_.contains(out.log)) {
    QueueCatchUp(std::move(out));
  } else {
    live_.push_back(std::move(out));
  }
  return true;
}

// A primary that has begun to read again from an earlier record sends all that follows once more:
// what still waits from there on would arrive twice.
void LinkStream::QueueCatchUp(Outgoing out) {
  Lane& lane = catch_up_[out.log];
  while (!lane.empty() && lane.back().first_index >= out.first_index) {
    bulk_bytes_ -= lane.back().bytes;
    lane.pop_back();
  }
  lane.push_back(std::move(out));
}

RateLimit::Time LinkStream::RateTime() {
  const std::time_t wall = std::time(nullptr);
  std::tm parts{};
  localtime_r(&wall, &parts);
  return {.mono_ms =
              std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch())
                  .count(),
          .minute_of_day = parts.tm_hour * 60 + parts.tm_min};
}

// The logs take turns. Live Entries behind their log's catch-up are not held back by the limit.
LinkStream::Lane* LinkStream::NextLane() {
  if (!urgent_.empty()) return &urgent_;
  if (!live_.empty()) return &live_;
  if (catch_up_.empty()) return last_.empty() ? nullptr : &last_;
  const bool open = context_->rate == nullptr || !context_->rate->limits_anything() ||
                    context_->rate->WaitMs(RateTime()) == 0;
  auto next = catch_up_.upper_bound(last_caught_up_);
  for (size_t i = 0; i < catch_up_.size(); ++i, ++next) {
    if (next == catch_up_.end()) next = catch_up_.begin();
    if (open || !next->second.front().catch_up) return &next->second;
  }
  return last_.empty() ? nullptr : &last_;
}

bool LinkStream::MaySend() {
  if (NextLane() != nullptr) return true;
  if (catch_up_.empty() || rate_timer_ != 0) return false;
  const int64_t wait_ms = std::max<int64_t>(context_->rate->WaitMs(RateTime()), 1);
  rate_timer_ =
      context_->timers->After(std::chrono::milliseconds(wait_ms), [weak = weak_from_this()] {
        if (auto stream = weak.lock()) stream->OnRateTimer();
      });
  return false;
}

void LinkStream::OnRateTimer() {
  {
    std::lock_guard lock(mutex_);
    rate_timer_ = 0;
    if (closed_ || writing_ || !MaySend()) return;
    writing_ = true;
  }
  context_->workers->Run([self = shared_from_this()] { self->WriteNext(); });
}

bool LinkStream::NextIsHeavy() {
  const Lane* lane = NextLane();
  return lane != nullptr && lane->front().bytes > kLightBytes;
}

// The front of the lane whose turn it is.
LinkStream::Outgoing LinkStream::TakeFrom(Lane* lane) {
  Outgoing next = std::move(lane->front());
  lane->pop_front();
  answer_bytes_ -= next.answer_bytes;
  bulk_bytes_ -= next.bytes;
  if (bulk_bytes_ == 0) dropped_ = 0;
  if (lane == &urgent_ || lane == &live_ || lane == &last_) return next;
  last_caught_up_ = next.log;
  if (lane->empty()) catch_up_.erase(next.log);
  if (next.catch_up && context_->rate != nullptr) context_->rate->Take(next.bytes, RateTime());
  return next;
}

// The caller has the pen (writing_).
void LinkStream::WriteNext() {
  Outgoing next;
  bool more = false;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || !MaySend()) {
      writing_ = false;
      return;
    }
    next = TakeFrom(NextLane());
    more = !urgent_.empty();
  }
  if (next.ready) {
    out_ = std::move(*next.ready);
  } else {
    ToProto(next.log, *next.message, context_->options.compress_from_bytes, &out_);
    next.message.reset();  // frees the batch before the network has taken the bytes
  }
  std::lock_guard lock(mutex_);
  if (closed_) {
    writing_ = false;
    return;
  }
  write_started_ = true;
  grpc::WriteOptions options;
  if (more) options.set_buffer_hint();  // what follows goes along
  WriteCall(&out_, options);
}

void LinkStream::WriteDone(bool ok) {
  {
    std::lock_guard lock(mutex_);
    write_started_ = false;
    if (!ok || closed_ || !MaySend()) {
      writing_ = false;
      return;  // after a failure the read ends too
    }
    if (NextIsHeavy()) {
      context_->workers->Run([self = shared_from_this()] { self->WriteNext(); });
      return;
    }
  }
  WriteNext();
}

// ---- In ----------------------------------------------------------------------------------------

void LinkStream::ReadDone(bool ok) {
  if (!ok) return Close(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the peer ended the link"));
  heard_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  Take(&in_);
  std::lock_guard lock(mutex_);
  if (!closed_) ReadCall(&in_);
}

void LinkStream::Take(v1::LinkMessage* message) {
  if (!greeted_) {
    greeted_ = true;
    if (message->has_hello()) return TakeHello(message->hello());
    return Close(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                              "the first message of a link must be hello"));
  }
  if (message->body_case() == v1::LinkMessage::kPing) return;
  if (IsBlob(*message)) return TakeBlob(message);
  if (message->has_blob_holding()) return TakeHolding(*message);
  const std::string log = message->log();
  Result<Message> read = MessageFromProto(message);
  if (read.ok()) return context_->owner->OnMessage(*this, log, *std::move(read));
  const Status bad = read.status().Prepend("message of log " + log);
  if (bad.code() == Code::kUnimplemented) {
    if (!warned_) spdlog::warn("link_message_unknown peer={} why=\"{}\"", peer_, bad.ToString());
    warned_ = true;  // a newer node says more than this one understands
    return;
  }
  Close(grpc::Status(bad.code() == Code::kCorrupt ? grpc::StatusCode::DATA_LOSS
                                                  : grpc::StatusCode::INVALID_ARGUMENT,
                     "malformed: " + bad.ToString()));
}

void LinkStream::TakeBlob(v1::LinkMessage* message) {
  Result<blob::Message> read = BlobFromProto(message);
  if (read.ok()) return context_->owner->OnBlob(*this, *std::move(read));
  Close(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                     "malformed: message about chunks: " + read.status().ToString()));
}

void LinkStream::TakeHolding(const v1::LinkMessage& message) {
  Result<Holding> read = HoldingFromProto(message);
  if (read.ok()) return context_->owner->OnHolding(*this, message.log(), *std::move(read));
  Close(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                     "malformed: message about documents: " + read.status().ToString()));
}

void LinkStream::TakeHello(const v1::LinkHello& hello) {
  grpc::Status status;
  if (hello.protocol() != kProtocol) {
    status = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                          "node " + hello.node() + " (" + hello.program_version() +
                              ") speaks link protocol " + std::to_string(hello.protocol()) +
                              ", this node " + std::to_string(kProtocol));
  } else {
    status = context_->owner->OnHello(shared_from_this(), hello);
  }
  if (!status.ok()) Close(status);
}

// ---- The end -----------------------------------------------------------------------------------

void LinkStream::Close(const grpc::Status& why) {
  Lane dropped_urgent, dropped_live, dropped_last;  // freed outside the lock
  std::map<std::string, Lane> dropped_catch_up;
  std::lock_guard lock(mutex_);
  if (closed_) return;
  closed_ = true;
  why_ = why;
  dropped_urgent.swap(urgent_);
  dropped_live.swap(live_);
  dropped_last.swap(last_);
  dropped_catch_up.swap(catch_up_);
  bulk_bytes_ = 0;
  if (rate_timer_ != 0) context_->timers->Cancel(rate_timer_);
  if (timer_ != 0) context_->timers->Cancel(timer_);
  EndCall(why, write_started_);
}

void LinkStream::CallDone(const grpc::Status& status) {
  grpc::Status why = status;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    if (timer_ != 0) context_->timers->Cancel(timer_);
    // What the peer says tells more than that it hung up.
    const bool peer_says = dialled_ && status.error_code() != grpc::StatusCode::CANCELLED;
    if (why_ && !peer_says) why = *why_;
  }
  context_->owner->OnEnd(self_, why);
  self_.reset();
}

void LinkStream::ArmTimer() {
  timer_ = context_->timers->After(std::chrono::milliseconds(context_->options.ping_ms),
                                   [weak = weak_from_this()] {
                                     if (auto stream = weak.lock()) stream->OnTimer();
                                   });
}

void LinkStream::OnTimer() {
  const auto silence = Silence();
  if (silence.count() > context_->options.silence_ms) {
    return Close(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                              "nothing heard for " + std::to_string(silence.count()) + " ms"));
  }
  Outgoing ping{.ready = std::make_unique<v1::LinkMessage>()};
  ping.ready->set_ping(true);
  Enqueue(std::move(ping));
  std::lock_guard lock(mutex_);
  if (!closed_) ArmTimer();
}

// ---- The two kinds -----------------------------------------------------------------------------

namespace {

class DialledStream final : public LinkStream,
                            public grpc::ClientBidiReactor<v1::LinkMessage, v1::LinkMessage> {
 public:
  DialledStream(const LinkContext* context, const std::string& peer,
                const std::shared_ptr<grpc::Channel>& channel)
      : LinkStream(context, /*dialled=*/true, peer), stub_(v1::Replication::NewStub(channel)) {}

  void Dial() {
    stub_->async()->Link(&call_, this);
    AddHold();  // until EndCall: writes come from other threads
    Begin();
    StartCall();
  }

  void OnReadDone(bool ok) override { ReadDone(ok); }
  void OnWriteDone(bool ok) override { WriteDone(ok); }
  void OnDone(const grpc::Status& status) override { CallDone(status); }

 private:
  void ReadCall(v1::LinkMessage* into) override { StartRead(into); }
  void WriteCall(const v1::LinkMessage* message, grpc::WriteOptions options) override {
    StartWrite(message, options);
  }
  void EndCall(const grpc::Status& /*why*/, bool /*writing*/) override {
    call_.TryCancel();
    RemoveHold();
  }

  const std::unique_ptr<v1::Replication::Stub> stub_;
  grpc::ClientContext call_;
};

class AcceptedStream final : public LinkStream,
                             public grpc::ServerBidiReactor<v1::LinkMessage, v1::LinkMessage> {
 public:
  AcceptedStream(const LinkContext* context, grpc::CallbackServerContext* call)
      : LinkStream(context, /*dialled=*/false, ""), call_(call) {}

  void Accept() { Begin(); }

  void OnReadDone(bool ok) override { ReadDone(ok); }
  void OnWriteDone(bool ok) override {
    WriteDone(ok);
    std::lock_guard lock(mutex_);
    if (!finish_ || write_started_) return;
    Finish(*finish_);
    finish_.reset();
  }
  void OnCancel() override {
    Close(grpc::Status(grpc::StatusCode::CANCELLED, "the peer is gone or ended the link"));
  }
  void OnDone() override { CallDone(grpc::Status::OK); }

 private:
  void ReadCall(v1::LinkMessage* into) override { StartRead(into); }
  void WriteCall(const v1::LinkMessage* message, grpc::WriteOptions options) override {
    StartWrite(message, options);
  }
  // The status follows the write that is under way, so that the peer hears why. A write that is
  // stuck is cut off, and the status with it.
  void EndCall(const grpc::Status& why, bool writing) override {
    if (!writing) return Finish(why);
    finish_ = why;
    const bool peer_hears = why.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED &&
                            why.error_code() != grpc::StatusCode::CANCELLED &&
                            why.error_code() != grpc::StatusCode::UNAVAILABLE;
    if (!peer_hears) return call_->TryCancel();
    timers()->After(kLastWordWait, [weak = weak_from_this()] {
      auto stream = std::static_pointer_cast<AcceptedStream>(weak.lock());
      if (!stream) return;
      std::lock_guard lock(stream->mutex_);
      if (stream->finish_) stream->call_->TryCancel();
    });
  }

  grpc::CallbackServerContext* const call_;
  std::optional<grpc::Status> finish_;
};

}  // namespace

std::shared_ptr<LinkStream> DialLink(const LinkContext* context, const std::string& peer,
                                     const std::shared_ptr<grpc::Channel>& channel) {
  auto stream = std::make_shared<DialledStream>(context, peer, channel);
  stream->Dial();
  return stream;
}

grpc::ServerBidiReactor<v1::LinkMessage, v1::LinkMessage>* AcceptLink(
    const LinkContext* context, grpc::CallbackServerContext* call,
    const std::function<void(const std::shared_ptr<LinkStream>&)>& made) {
  auto stream = std::make_shared<AcceptedStream>(context, call);
  made(stream);
  stream->Accept();
  return stream.get();
}

}  // namespace kembar
