// engine.cc — see engine.h: the public side, start and stop. The turn is in engine_turn.cc.
#include "node/engine.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "node/engine_impl.h"
#include "replicator/base/check.h"

namespace kembar {
namespace {

// A batch travels and is written as one; this keeps it within one message of a link.
constexpr size_t kAppendBytesMax = size_t{32} << 20;

Status Stopping() { return {Code::kCancelled, "the node is stopping", "retry in a moment"}; }

size_t BytesOf(const AppendRequest& request) {
  size_t bytes = 0;
  for (const Draft& draft : request.drafts) {
    bytes += draft.payload.size() + draft.package.size() + draft.item.size() + draft.title.size() +
             draft.value.size() + draft.unit.size() + request.source.size();
  }
  return bytes;
}

Status CheckAppendForm(const AppendRequest& request) {
  if (request.drafts.empty()) return {Code::kInvalid, "drafts: an append needs at least one"};
  if (request.source.empty() || request.source.size() > kNameBytesMax) {
    return {Code::kInvalid,
            "source: needs 1 to " + std::to_string(kNameBytesMax) + " bytes to name the appender"};
  }
  if (request.position == 0) return {Code::kInvalid, "position: must be above 0"};
  for (size_t i = 0; i < request.drafts.size(); ++i) {
    Status status = ValidateDraft(request.drafts[i]);
    if (!status.ok()) return status.Prepend("drafts[" + std::to_string(i) + "]");
  }
  if (const size_t bytes = BytesOf(request); bytes > kAppendBytesMax) {
    return {Code::kInvalid,
            "drafts: " + std::to_string(bytes) + " bytes, more than the " +
                std::to_string(kAppendBytesMax) + " that one append may hold",
            "append it in smaller batches"};
  }
  return {};
}

void SetTicket(Event* event, Ticket ticket) {
  std::visit(
      [ticket](auto& e) {
        if constexpr (requires { e.ticket; }) e.ticket = ticket;
      },
      *event);
}

}  // namespace

void NameThisThread(const char* name) { pthread_setname_np(pthread_self(), name); }

Engine::Impl::Impl(EngineOptions options_in, Store* store_in, SendFn send_in)
    : options(std::move(options_in)),
      store(store_in),
      send(std::move(send_in)),
      tick_ms(std::max<int64_t>(1, options.heartbeat_ms / 2)),
      writer(store,
             [this](std::vector<WriteResult> results) { Post(WrittenItem{std::move(results)}); }),
      reader(store, send, [this](LogSlot* slot, ReadDone done) {
        Post(ReadItem{slot, std::move(done)});
      }) {}

bool Engine::Impl::Post(EngineItem&& item) {
  bool first = false;
  {
    std::lock_guard lock(mutex);
    if (stopping) return false;
    first = items.empty();
    items.push_back(std::move(item));
  }
  if (first) wake.notify_one();
  return true;
}

void Engine::Impl::PostEvent(EventItem event) {
  EngineItem item(std::move(event));
  if (Post(std::move(item))) return;
  EventItem& back = std::get<EventItem>(item);  // a refused item is left as it was
  back.done(Reply{.ticket = back.ticket, .status = Stopping()});
}

bool Engine::Impl::QueueFull() const {
  std::lock_guard lock(mutex);
  return items.size() >= options.queue_max;
}

Engine::Engine(EngineOptions options, Store* store, SendFn send)
    : impl_(std::make_unique<Impl>(std::move(options), store, std::move(send))) {}

Engine::~Engine() { Stop(); }

Status Engine::Start() {
  CHECK(!impl_->running);
  Result<std::vector<std::string>> logs = impl_->store->Logs();
  if (!logs.ok()) return logs.status().Prepend("list the logs of the store");
  const Now now = EngineNow();
  for (const std::string& log : *logs) {
    Result<LogSlot*> slot = impl_->Create(log, now);
    if (!slot.ok()) return slot.status();
  }
  // Spread over one interval, so that many logs do not tick at once.
  int64_t n = 0;
  for (auto& [due, slot] : impl_->ticks) {
    due = now.mono_ms + impl_->tick_ms * n++ / static_cast<int64_t>(impl_->ticks.size());
  }
  impl_->running = true;
  impl_->writer.Start();
  impl_->reader.Start();
  impl_->thread = std::thread([impl = impl_.get()] {
    NameThisThread("kembar-engine");
    impl->Run();
  });
  return {};
}

void Engine::Stop() {
  std::lock_guard stop(impl_->stop_mutex);
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
  impl_->writer.Stop();
  impl_->reader.Stop();
  impl_->AnswerCancelled();
  impl_->commits.Close();
}

void Engine::Impl::AnswerCancelled() {
  const Reply reply{.ticket = 0, .status = Stopping()};
  std::vector<EngineItem> left;
  {
    std::lock_guard lock(mutex);
    left.swap(items);
  }
  for (EngineItem& item : left) {
    if (auto* event = std::get_if<EventItem>(&item)) event->done(reply);
    if (auto* status = std::get_if<StatusItem>(&item)) status->answer->set_value(Stopping());
  }
  std::unordered_map<Ticket, WaitingReply> cut;
  cut.swap(waiting);
  for (auto& [ticket, waiter] : cut) waiter.done(reply);
}

Ticket Engine::Append(const std::string& log, AppendRequest request, ReplyFn done) {
  const Ticket ticket = impl_->next_ticket.fetch_add(1, std::memory_order_relaxed);
  request.ticket = ticket;
  Status status = CheckAppendForm(request);
  if (status.ok() && impl_->QueueFull()) {
    status = Status(Code::kUnavailable, "this node is too busy: its queue is full",
                    "retry with the same position in a moment");
  }
  if (!status.ok()) {
    impl_->refused_appends.fetch_add(1, std::memory_order_relaxed);
    done(Reply{.ticket = ticket, .status = std::move(status)});
    return ticket;
  }
  impl_->PostEvent({log, std::move(request), ticket, std::move(done)});
  return ticket;
}

void Engine::GiveUp(const std::string& log, Ticket ticket) { impl_->Post(GiveUpItem{log, ticket}); }

void Engine::Order(const std::string& log, Event order, ReplyFn done) {
  const Ticket ticket = impl_->next_ticket.fetch_add(1, std::memory_order_relaxed);
  SetTicket(&order, ticket);
  impl_->PostEvent({log, std::move(order), ticket, std::move(done)});
}

void Engine::PeerConnected(const std::string& peer) { impl_->Post(LinkItem{peer, true}); }

void Engine::PeerDisconnected(const std::string& peer) { impl_->Post(LinkItem{peer, false}); }

void Engine::PeerMessage(const std::string& peer, const std::string& log, Message message) {
  impl_->Post(MessageItem{peer, log, std::move(message)});
}

void Engine::SetDiskFull(bool full) { impl_->Post(DiskItem{full}); }

Result<std::map<std::string, ReplicaStatus>> Engine::ReadStatus(const std::string& log) {
  CHECK_MSG(std::this_thread::get_id() != impl_->thread.get_id(),
            "ReadStatus waits for the engine's thread and must not be called on it");
  auto answer = std::make_shared<std::promise<StatusItem::Answer>>();
  auto future = answer->get_future();
  if (!impl_->Post(StatusItem{log, answer})) return Stopping();
  return future.get();
}

uint64_t Engine::CommitIndex(const std::string& log) const {
  return impl_->commits.CommitIndex(log);
}

std::vector<std::string> Engine::Logs() const { return impl_->commits.Logs(); }

uint64_t Engine::WaitCommit(const std::string& log, uint64_t index, std::function<void()> wake) {
  return impl_->commits.Wait(log, index, std::move(wake));
}

void Engine::CancelWait(uint64_t id) { impl_->commits.Cancel(id); }

Store* Engine::store() const { return impl_->store; }

Engine::Stats Engine::stats() const {
  const auto get = [](const std::atomic<uint64_t>& n) { return n.load(std::memory_order_relaxed); };
  return {.appended_records = get(impl_->appended_records),
          .appended_bytes = get(impl_->appended_bytes),
          .acknowledged_batches = get(impl_->acknowledged_batches),
          .refused_appends = get(impl_->refused_appends),
          .write_groups = impl_->writer.groups(),
          .write_group_logs = impl_->writer.group_logs(),
          .write_micros = impl_->writer.micros(),
          .catch_up_bytes = impl_->reader.bytes(),
          .store_error = impl_->writer.error()};
}

}  // namespace kembar
