// engine_turn.cc — what the engine's thread does: take all that waits, step it, tick, flush, carry
// the actions out.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "node/engine_impl.h"
#include "replicator/base/check.h"

namespace kembar {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr int64_t kTickPauseMs = 10;    // ticks of many logs are gathered for so long
constexpr size_t kLogIdBytesMax = 255;  // as the store allows
constexpr size_t kRefusedLogsMax = 10'000;

// A log id stands in keys, URLs, metrics and file names.
Status CheckLogId(const std::string& log) {
  const bool fine = std::all_of(log.begin(), log.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (log.empty() || log.size() > kLogIdBytesMax || !fine || log.front() == '.') {
    return {Code::kInvalid, "log id \"" + log +
                                "\": must be letters, digits, '-', '_' or '.', not beginning "
                                "with '.', and at most " +
                                std::to_string(kLogIdBytesMax) + " bytes"};
  }
  return {};
}

Status UnknownLog(const std::string& log, const std::string& node) {
  return {Code::kNotFound, "node " + node + " does not hold log " + log, "see: kembarctl status"};
}

}  // namespace

Now EngineNow() {
  return {.mono_ms = duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count(),
          .wall_us = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count()};
}

// ---- The turn ----------------------------------------------------------------------------------

void Engine::Impl::Run() {
  std::vector<EngineItem> batch;
  while (TakeItems(&batch)) {
    const Now now = EngineNow();
    for (EngineItem& item : batch) {
      std::visit([&](auto& one) { Handle(one, now); }, item);
    }
    batch.clear();
    TickWhatIsDue(now);
    FinishTurn(now);
  }
}

// Waits for items or for the next tick. False when the engine stops.
bool Engine::Impl::TakeItems(std::vector<EngineItem>* batch) {
  std::unique_lock lock(mutex);
  const auto ready = [this] { return stopping || !items.empty(); };
  if (ticks.empty()) {
    wake.wait(lock, ready);
  } else {
    const int64_t due = std::max(ticks.front().first, ticked_ms + kTickPauseMs);
    wake.wait_until(lock, steady_clock::time_point(milliseconds(due)), ready);
  }
  if (stopping) return false;
  batch->swap(items);
  return true;
}

void Engine::Impl::TickWhatIsDue(Now now) {
  if (now.mono_ms < ticked_ms + std::min(kTickPauseMs, tick_ms)) return;
  while (!ticks.empty() && ticks.front().first <= now.mono_ms) {
    LogSlot* slot = ticks.front().second;
    ticks.pop_front();
    Step(slot, Tick{}, now);
    ticks.emplace_back(now.mono_ms + tick_ms, slot);
    ticked_ms = now.mono_ms;
  }
}

void Engine::Impl::FinishTurn(Now now) {
  std::vector<WriteJob> writes;
  // A reply's callback may post, never step: `touched` does not grow here.
  for (LogSlot* slot : touched) {
    slot->replica->Flush(now, &slot->actions);
    Actions actions = std::move(slot->actions);
    slot->actions.clear();
    slot->touched = false;
    for (Action& action : actions) CarryOut(slot, std::move(action), &writes);
    if (const uint64_t commit = slot->replica->commit_index(); commit != slot->published_commit) {
      slot->published_commit = commit;
      commits.Publish(slot->log, commit);
    }
  }
  touched.clear();
  if (!writes.empty()) writer.Submit(std::move(writes));
  RemoveDoomed();
}

void Engine::Impl::CarryOut(LogSlot* slot, Action action, std::vector<WriteJob>* writes) {
  if (auto* persist = std::get_if<Persist>(&action)) {
    ++slot->pending;
    writes->push_back({slot, std::move(persist->write)});
  } else if (auto* message = std::get_if<Send>(&action)) {
    send(message->peer, slot->log, std::move(message->message));
  } else if (auto* read = std::get_if<ReadAndSend>(&action)) {
    ++slot->pending;
    reader.Submit({slot, slot->log, std::move(*read)});
  } else {
    Answer(slot, std::get<Reply>(action));
  }
}

void Engine::Impl::Answer(LogSlot* slot, const Reply& reply) {
  if (auto made = creating.find(reply.ticket); made != creating.end()) {
    if (!reply.status.ok() && slot->pending == 0) slot->doomed = any_doomed = true;
    creating.erase(made);
  }
  auto it = waiting.find(reply.ticket);
  if (it == waiting.end()) return;  // it has given up
  const WaitingReply waiter = std::move(it->second);
  waiting.erase(it);
  if (waiter.append && !reply.status.ok()) {
    refused_appends.fetch_add(1, std::memory_order_relaxed);
  } else if (waiter.append) {
    acknowledged_batches.fetch_add(1, std::memory_order_relaxed);
    if (!reply.duplicate) {
      appended_records.fetch_add(waiter.records, std::memory_order_relaxed);
      appended_bytes.fetch_add(waiter.bytes, std::memory_order_relaxed);
    }
  }
  waiter.done(reply);
}

void Engine::Impl::Step(LogSlot* slot, Event event, Now now) {
  if (!slot->touched) {
    slot->touched = true;
    touched.push_back(slot);
  }
  slot->replica->Step(std::move(event), now, &slot->actions);
}

// ---- Items -------------------------------------------------------------------------------------

void Engine::Impl::Handle(EventItem& item, Now now) {
  LogSlot* slot = Find(item.log);
  if (slot == nullptr && std::holds_alternative<CreateLog>(item.event)) {
    Status status = CheckLogId(item.log);
    if (status.ok()) {
      Result<LogSlot*> created = Create(item.log, now);
      if (created.ok()) slot = *created;
      status = created.status();
    }
    if (!status.ok()) return item.done(Reply{.ticket = item.ticket, .status = status});
    creating.emplace(item.ticket, slot);
  }
  if (slot == nullptr) {
    if (std::holds_alternative<AppendRequest>(item.event)) ++refused_appends;
    return item.done(Reply{.ticket = item.ticket, .status = UnknownLog(item.log, options.node)});
  }
  WaitingReply waiter{.done = std::move(item.done)};
  if (auto* append = std::get_if<AppendRequest>(&item.event)) {
    waiter.append = true;
    waiter.source = append->source;
    waiter.position = append->position;
    waiter.records = append->drafts.size();
    for (const Draft& draft : append->drafts) waiter.bytes += draft.payload.size();
  }
  waiting.emplace(item.ticket, std::move(waiter));
  Step(slot, std::move(item.event), now);
}

void Engine::Impl::Handle(GiveUpItem& item, Now now) {
  auto it = waiting.find(item.ticket);
  LogSlot* slot = Find(item.log);
  if (it == waiting.end() || slot == nullptr) return;
  for (const Action& action : slot->actions) {
    // Decided in this very turn, not yet told.
    const auto* reply = std::get_if<Reply>(&action);
    if (reply != nullptr && reply->ticket == item.ticket) return;
  }
  const WaitingReply waiter = std::move(it->second);
  waiting.erase(it);
  if (waiter.append) refused_appends.fetch_add(1, std::memory_order_relaxed);
  waiter.done(Reply{.ticket = item.ticket, .status = WhyWaiting(*slot, waiter, now)});
}

void Engine::Impl::Handle(LinkItem& item, Now now) {
  if (item.connected) {
    connected.insert(item.peer);
  } else {
    connected.erase(item.peer);
  }
  for (auto& [log, slot] : slots) {
    if (item.connected) {
      Step(slot.get(), Connected{item.peer}, now);
    } else {
      Step(slot.get(), Disconnected{item.peer}, now);
    }
  }
}

void Engine::Impl::Handle(MessageItem& item, Now now) {
  LogSlot* slot = Find(item.log);
  if (slot == nullptr) {
    // Only a primary's heartbeat brings a log here.
    if (!std::holds_alternative<Heartbeat>(item.message)) return;
    Status status = CheckLogId(item.log);
    if (status.ok() && !(options.accept_log && options.accept_log(item.log, item.peer))) {
      status = Status(Code::kInvalid, "the configuration does not let it be mirrored here");
    }
    if (status.ok()) {
      Result<LogSlot*> created = Create(item.log, now);
      if (created.ok()) slot = *created;
      status = created.status();
    }
    if (!status.ok()) {
      if (refused_logs.size() < kRefusedLogsMax &&
          refused_logs.emplace(item.peer, item.log).second) {
        spdlog::warn("log_refused log=\"{}\" peer={} why=\"{}\"", item.log, item.peer,
                     status.ToString());
      }
      return;
    }
    spdlog::info("log_joined log={} peer={}", item.log, item.peer);
  }
  Step(slot, Received{item.peer, std::move(item.message)}, now);
}

void Engine::Impl::Handle(WrittenItem& item, Now now) {
  for (WriteResult& result : item.results) {
    --result.slot->pending;
    if (result.recovered) result.slot->replica->Reload(*std::move(result.recovered));
    Step(result.slot, Persisted{std::move(result.status)}, now);
  }
}

void Engine::Impl::Handle(ReadItem& item, Now now) {
  --item.slot->pending;
  Step(item.slot, std::move(item.done), now);
}

void Engine::Impl::Handle(DiskItem& item, Now now) {
  if (disk_full != item.full) {
    if (item.full) {
      spdlog::error("disk_full node={} appends=refused", options.node);
    } else {
      spdlog::info("disk_free node={} appends=taken", options.node);
    }
  }
  disk_full = item.full;
  for (auto& [log, slot] : slots) Step(slot.get(), DiskSpace{item.full}, now);
}

void Engine::Impl::Handle(StatusItem& item, Now now) {
  std::map<std::string, ReplicaStatus> answer;
  for (const auto& [log, slot] : slots) {
    if (item.log.empty() || item.log == log) answer.emplace(log, slot->replica->status(now));
  }
  if (answer.empty() && !item.log.empty()) {
    item.answer->set_value(UnknownLog(item.log, options.node));
  } else {
    item.answer->set_value(std::move(answer));
  }
}

// ---- Logs --------------------------------------------------------------------------------------

LogSlot* Engine::Impl::Find(const std::string& log) {
  auto it = slots.find(log);
  return it == slots.end() ? nullptr : it->second.get();
}

Result<LogSlot*> Engine::Impl::Create(const std::string& log, Now now) {
  Result<Recovered> recovered = store->Recover(log);
  if (!recovered.ok()) return recovered.status().Prepend("recover log " + log);
  auto slot = std::make_unique<LogSlot>(store, log);
  ReplicaOptions replica;
  replica.log = log;
  replica.self = options.node;
  replica.address = options.address;
  replica.heartbeat_ms = options.heartbeat_ms;
  replica.silence_ms = options.silence_ms;
  slot->replica =
      std::make_unique<Replica>(std::move(replica), &slot->reader, *std::move(recovered), now);
  LogSlot* made = slot.get();
  slots.emplace(log, std::move(slot));
  ticks.emplace_back(now.mono_ms + tick_ms, made);
  made->published_commit = made->replica->commit_index();
  commits.Publish(log, made->published_commit);
  for (const std::string& peer : connected) Step(made, Connected{peer}, now);
  if (disk_full) Step(made, DiskSpace{true}, now);
  return made;
}

// A log that an order would have made, and that was refused, leaves no trace.
void Engine::Impl::RemoveDoomed() {
  if (!any_doomed) return;
  any_doomed = false;
  for (auto it = slots.begin(); it != slots.end();) {
    LogSlot* slot = it->second.get();
    if (!slot->doomed || slot->pending != 0) {
      slot->doomed = false;
      ++it;
      continue;
    }
    std::erase_if(ticks, [slot](const auto& tick) { return tick.second == slot; });
    commits.Forget(slot->log);
    it = slots.erase(it);
  }
}

// Says what an append or order that was given up waits for.
Status Engine::Impl::WhyWaiting(const LogSlot& slot, const WaitingReply& waiter, Now now) const {
  const ReplicaStatus status = slot.replica->status(now);
  uint64_t index = 0;
  if (waiter.append) {
    Result<uint64_t> found = store->FindPosition(slot.log, waiter.source, waiter.position);
    if (found.ok()) index = *found;
  }
  std::string text = "not acknowledged in time: ";
  if (index != 0) {
    text += "held here on " + options.node + " at index " + std::to_string(index);
  } else {
    text += "not yet durable here on " + options.node;
  }
  std::string waits;
  for (const PeerStatus& peer : status.peers) {
    if (!peer.member || (index != 0 && peer.durable_index >= index)) continue;
    waits += (waits.empty() ? "" : ", ") + peer.name;
    if (!peer.connected) {
      waits += " (no link)";
    } else {
      waits += " (linked, holds up to " + std::to_string(peer.durable_index) + ")";
    }
    if (!peer.trouble.empty()) waits += " [" + peer.trouble + "]";
  }
  if (!waits.empty()) text += ", waits for mirror " + waits;
  return {Code::kTimeout, text, "safe to retry with the same source and position"};
}

}  // namespace kembar
