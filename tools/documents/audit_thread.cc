// audit_thread.cc — see audit_thread.h.
#include "tools/documents/audit_thread.h"

#include <chrono>
#include <utility>

#include "tools/capture/names.h"
#include "tools/client/reader.h"
#include "tools/documents/throttle.h"

namespace kembar::documents {
namespace {

constexpr client::Millis kCallPatience(5'000);
// What hours of reading have found is not thrown away because a node is restarted.
constexpr std::chrono::seconds kListPatience(300);
constexpr std::chrono::seconds kListPause(1);

}  // namespace

AuditThread::AuditThread(Options options, Tree tree, std::function<void()> on_done)
    : options_(std::move(options)),
      tree_(std::move(tree)),
      cluster_(options_.nodes),
      result_(Status(Code::kInternal, "the audit is not done")) {
  thread_ = std::jthread(
      [this, on_done = std::move(on_done)](const std::stop_token& stop) { Main(stop, on_done); });
}

void AuditThread::Main(const std::stop_token& stop, const std::function<void()>& on_done) {
  result_ = AuditDocuments(
      tree_, [this, &stop] { return List(stop); }, options_.audit, nullptr, stop);
  done_ = true;
  if (!stop.stop_requested()) on_done();
}

Result<std::vector<PlacedDocument>> AuditThread::List(const std::stop_token& stop) {
  const auto until = std::chrono::steady_clock::now() + kListPatience;
  while (true) {
    Result<std::vector<PlacedDocument>> documents = ListOnce(stop);
    if (documents.ok() || documents.status().code() == Code::kCorrupt) return documents;
    const auto next = std::chrono::steady_clock::now() + kListPause;
    if (next > until || !WaitUnlessStopped(stop, next)) return documents;
  }
}

Result<std::vector<PlacedDocument>> AuditThread::ListOnce(const std::stop_token& stop) {
  if (!follower_) {
    RETURN_IF_ERROR(cluster_.Refresh());
    ASSIGN_OR_RETURN(const std::string log, cluster_.ResolveLog(options_.log));
    follower_ = std::make_unique<client::PrimaryFollower>(&cluster_, log);
  }
  const auto deadline = client::Deadline::After(kCallPatience);
  ASSIGN_OR_RETURN(const v1::SourcePositionResponse last,
                   client::ReadSourcePosition(follower_.get(), options_.source, deadline));
  std::vector<PlacedDocument> documents;
  const Status status =
      client::ReadCommitted(follower_.get(), deadline, [&](client::NodeStubs* node) {
        RETURN_IF_ERROR(Reaches(node, last.index()));
        auto listed = ListDocumentsOf(node, follower_->log(), {}, options_.source, stop);
        if (listed.ok()) documents = *std::move(listed);
        return listed.status();
      });
  if (!status.ok()) follower_->Failed({});
  RETURN_IF_ERROR(status.Prepend("read what the log holds"));
  return documents;
}

// kGap: the node does not know yet that all which the source has recorded is committed.
Status AuditThread::Reaches(client::NodeStubs* node, uint64_t index) const {
  if (index == 0) return Status::Ok();
  v1::ListItemsRequest request;
  request.set_log(follower_->log());
  request.set_package("-");
  request.set_item_prefix(capture::AuditItem(options_.source));
  request.mutable_as_of()->set_index(index);
  return client::ListItems(node, request, client::Deadline::After(kCallPatience),
                           [](const v1::ItemVersion&) { return true; });
}

}  // namespace kembar::documents
