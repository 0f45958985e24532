// session.cc — see session.h: the loop, what keeps the server informed, and what the capturer asks.
#include "tools/agent/postgres/session.h"

#include <spdlog/spdlog.h>

namespace kembar::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kFeedbackEvery{5};          // wal_sender_timeout is a minute
constexpr milliseconds kFeedbackPause{1};     // between confirmations
constexpr seconds kAdvanceEvery{60};          // idle: a marker moves the boundary
constexpr Lsn kAdvanceBytes = Lsn{16} << 20;  // or so much WAL of others
constexpr seconds kShutdownWait{10};

}  // namespace

Status Session::Loop() {
  Status status = Turns();
  diverged_ = status.code() == Code::kDiverged;
  return status;
}

Status Session::Turns() {
  while (!wakeup_->stopping()) {
    RETURN_IF_ERROR(writer_->status());
    RETURN_IF_ERROR(Feedback(false));
    if (!capturer_->in_transaction()) RETURN_IF_ERROR(Boundary());
    RETURN_IF_ERROR(Next());
  }
  return Shutdown();
}

// Tells the server what the log has committed. An acknowledged boundary is told at once: a commit
// may be waiting for it.
Status Session::Feedback(bool now) {
  const LogWriter::Acknowledged acknowledged = writer_->acknowledged();
  const auto time = Clock::now();
  const bool moved = complete_ && acknowledged.boundary.lsn > confirmed_;
  const bool due = now || reply_wanted_ || time - feedback_at_ >= kFeedbackEvery ||
                   (moved && time - feedback_at_ >= kFeedbackPause);
  if (!due) return Status::Ok();
  if (moved) confirmed_ = acknowledged.boundary.lsn;
  RETURN_IF_ERROR(stream_->SendStatus(std::max(covered_, confirmed_), confirmed_, now));
  feedback_at_ = time;
  reply_wanted_ = false;
  return Status::Ok();
}

// Between transactions: everything that is not the stream itself.
Status Session::Boundary() {
  if (snapshot_) RETURN_IF_ERROR(AdvanceSnapshot());
  const bool wanted = reconcile_all_ || !state_.pending.empty();
  if (!snapshot_ && wanted && Clock::now() >= snapshot_after_) {
    RETURN_IF_ERROR(BeginSnapshot(Purpose::kReconcile));
  }
  if (held_ || HoldsStream()) return Status::Ok();
  RETURN_IF_ERROR(Periodic());
  return complete_ ? AdvanceIdle() : Status::Ok();
}

// WAL that holds nothing for us is confirmed too, or it would be kept forever, and commits that
// changed no captured table would wait. The log comes first all the same: a slot that stands beyond
// the log always means a loss.
Status Session::AdvanceIdle() {
  const Lsn boundary = capturer_->marker().lsn;
  if (covered_ <= boundary || !writer_->Idle()) return Status::Ok();
  const bool due = synchronous_ || covered_ - boundary >= kAdvanceBytes ||
                   Clock::now() - advanced_at_ >= kAdvanceEvery;
  if (!due) return Status::Ok();
  RETURN_IF_ERROR(capturer_->VerifyResent());
  advanced_at_ = Clock::now();
  Marker marker{.lsn = covered_};
  capturer_->StartAfter(marker);
  return EmitAside({});
}

Status Session::Next() {
  if (held_ && !HoldsStream()) {
    const postgres::PgMessage message = *std::move(held_);
    held_.reset();
    return capturer_->Handle(message);
  }
  if (held_ || HoldsStream()) {
    wakeup_->Wait(50);
    return Status::Ok();
  }
  int timeout_ms = snapshot_ ? 50 : 500;
  if (complete_ && writer_->acknowledged().boundary.lsn > confirmed_) timeout_ms = 1;
  Result<std::optional<postgres::StreamEvent>> event = stream_->Receive(timeout_ms, wakeup_->fd());
  wakeup_->Drain();
  if (!event.ok()) return OnStreamFailure(event.status());
  return *event ? OnEvent(**std::move(event)) : Status::Ok();
}

// The publication was not there yet, or not any more, where the server decodes: it can't go on from
// there, ever.
Status Session::OnStreamFailure(Status status) {
  if (stream_->sqlstate() != "42704") return status;
  stream_->Close();
  spdlog::error("source={} slot {} can't be read: {}; it is made anew", source_, postgres_.slot,
                status.ToString());
  RETURN_IF_ERROR(database_->DropSlot());
  return status;
}

Status Session::OnEvent(postgres::StreamEvent event) {
  if (const auto* keepalive = std::get_if<postgres::StreamKeepalive>(&event)) {
    if (!capturer_->in_transaction()) covered_ = std::max(covered_, keepalive->end);
    reply_wanted_ = reply_wanted_ || keepalive->reply_wanted;
    return Status::Ok();
  }
  ASSIGN_OR_RETURN(postgres::PgMessage message,
                   postgres::DecodePgMessage(std::get<postgres::StreamData>(event).bytes));
  if (const auto* begin = std::get_if<postgres::BeginMessage>(&message)) {
    covered_ = std::max(covered_, begin->commit_lsn);
    if (snapshot_ && snapshot_->slot && Reached(snapshot_->slot->consistent_point)) {
      held_ = std::move(message);
      return Status::Ok();
    }
  }
  RETURN_IF_ERROR(capturer_->Handle(message));
  covered_ = std::max(covered_, capturer_->handled());
  return Status::Ok();
}

Status Session::Tick() {
  RETURN_IF_ERROR(writer_->status());
  if (wakeup_->stopping()) return Status(Code::kCancelled, "stopping");
  return Feedback(false);
}

Status Session::WaitIdle() {
  while (!writer_->Idle()) {
    RETURN_IF_ERROR(Tick());
    wakeup_->Wait(100);
  }
  log_.ReadAsOf(writer_->acknowledged().index);
  return writer_->status();
}

Status Session::Emit(Batch batch) {
  while (!writer_->HasRoom()) {
    RETURN_IF_ERROR(Tick());
    wakeup_->Wait(100);
  }
  RETURN_IF_ERROR(Tick());
  writer_->Push(std::move(batch));
  return Status::Ok();
}

Status Session::EmitAside(std::vector<v1::Draft> drafts) {
  Batch batch{.drafts = std::move(drafts), .marker = capturer_->marker()};
  batch.drafts.push_back(MakeDraft(v1::RECORD_KIND_PUT, "-",
                                   capture::TransactionItem(source_, batch.marker.last),
                                   capture::EncodeMarker(batch.marker)));
  return Emit(std::move(batch));
}

Result<std::optional<std::string>> Session::CurrentPayload(const std::string& package,
                                                           const std::string& item) {
  RETURN_IF_ERROR(WaitIdle());
  return log_.Get(package, item);
}

Result<std::vector<LiveItem>> Session::LiveItems(const TableName& table) {
  RETURN_IF_ERROR(WaitIdle());
  std::vector<LiveItem> items;
  RETURN_IF_ERROR(
      log_.List(capture::RowPrefix(table), false, [&](const v1::ItemVersion& version) -> Status {
        items.push_back({version.package(), version.item(), {}});
        return items.size() % 1'024 == 0 ? Tick() : Status::Ok();
      }));
  return items;
}

Result<std::vector<LiveItem>> Session::PackageRows(const std::string& package) {
  RETURN_IF_ERROR(WaitIdle());
  std::vector<LiveItem> rows;
  RETURN_IF_ERROR(log_.ListOf(package, "row/", true, [&](const v1::ItemVersion& version) -> Status {
    rows.push_back({version.package(), version.item(), version.payload()});
    return rows.size() % 1'024 == 0 ? Tick() : Status::Ok();
  }));
  return rows;
}

Result<std::vector<std::string>> Session::TypeNames(const postgres::RelationMessage& relation) {
  return database_->TypeNames(relation);
}

Result<std::optional<TableShape>> Session::VisibleShape(uint32_t oid) {
  return database_->VisibleShape(oid);
}

// What is on its way is waited for; what the server has not been told it sends again.
Status Session::Shutdown() {
  const auto deadline = Clock::now() + kShutdownWait;
  while (!writer_->Idle() && writer_->status().ok() && Clock::now() < deadline) {
    wakeup_->Wait(50);
  }
  const LogWriter::Acknowledged acknowledged = writer_->acknowledged();
  if (complete_) confirmed_ = std::max(confirmed_, acknowledged.boundary.lsn);
  const Status told = stream_->SendStatus(std::max(covered_, confirmed_), confirmed_, false);
  if (!told.ok()) spdlog::warn("source={} {}", source_, told.ToString());
  spdlog::info("source={} stopped at {}, {}", source_, capture::FormatLsn(confirmed_),
               writer_->Idle() ? "everything acknowledged" : "the rest is sent again");
  return Status::Ok();
}

}  // namespace kembar::agent
