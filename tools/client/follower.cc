// follower.cc — see follower.h.
#include "tools/client/follower.h"

#include <grpcpp/grpcpp.h>

namespace kembar::client {
namespace {

std::string Ago(int64_t ms) {
  return ms < 0 ? "never seen" : "last seen " + std::to_string(ms / 1000) + " s ago";
}

// Calls the primary until it answers or something that waiting cannot mend comes back. `what` names
// the attempt; a deadline that passes without the node's own words is explained.
template <class Call>
Status CallPrimary(PrimaryFollower* follower, const Deadline& deadline, Millis timeout,
                   const Call& call) {
  Backoff backoff;
  Status last;
  do {
    Result<std::shared_ptr<NodeStubs>> stubs = follower->Get(deadline);
    if (!stubs.ok()) return last.ok() ? stubs.status() : last;
    grpc::ClientContext context;
    // A little longer than we wait ourselves: so the node can say in its own words what is missing.
    Deadline::After(deadline.remaining() + Millis(500)).ApplyTo(&context);
    const grpc::Status result = call(**stubs, &context);
    if (result.ok()) return Status::Ok();
    const bool silent = SaysNothing(result);
    Status status = FromGrpc(result, context);
    if (!IsRetryable(status.code())) return status;
    follower->Failed(PrimaryFrom(context));
    if (last.ok() || !silent) last = std::move(status);
  } while (backoff.Wait(deadline));
  if (last.code() == Code::kTimeout || last.ok()) return follower->WhyNotAcknowledged(timeout);
  return last;
}

}  // namespace

Result<std::shared_ptr<NodeStubs>> PrimaryFollower::Get(const Deadline& deadline) {
  if (current_) return current_;
  Result<const NodeView*> primary = cluster_->WaitForPrimary(log_, deadline);
  if (!primary.ok()) return primary.status();
  hinted_ = false;
  current_ = cluster_->Stubs((*primary)->address);
  return current_;
}

void PrimaryFollower::Failed(const PrimaryHint& hint) {
  const bool follow =
      !hint.address.empty() && !hinted_ && current_ != nullptr && hint.address != current_->address;
  current_ = follow ? cluster_->Stubs(hint.address) : nullptr;
  hinted_ = follow;
}

Status PrimaryFollower::WhyNotAcknowledged(Millis waited) {
  const std::string what = "not acknowledged within " + std::to_string(waited.count()) + " ms";
  const std::string hint = "retry: the same source and position are never appended twice";
  if (Status status = cluster_->Refresh(); !status.ok()) return status.Prepend(what);
  const NodeView* primary = cluster_->Primary(log_);
  if (primary == nullptr) {
    return Status(Code::kTimeout, what + ": log " + log_ + " has no reachable primary",
                  "see kembarctl status");
  }
  const v1::LogStatus& log = *primary->Log(log_);
  std::string mirrors;
  for (const v1::PeerStatus& peer : log.peers()) {
    if (!peer.member()) continue;
    mirrors += "; mirror " + peer.name() + ": ";
    if (!peer.trouble().empty()) {
      mirrors += peer.trouble();
    } else if (!peer.connected()) {
      mirrors += "not connected, " + Ago(peer.contact_ms_ago());
    } else {
      mirrors += "holds " + std::to_string(peer.durable_index()) + " of " +
                 std::to_string(log.last_index());
    }
  }
  return Status(Code::kTimeout,
                what + ": primary " + primary->name + " is " + log.state() + mirrors, hint);
}

Result<v1::AppendResponse> AppendOnce(PrimaryFollower* follower, const v1::AppendRequest& request,
                                      Millis timeout) {
  v1::AppendResponse response;
  const auto call = [&](NodeStubs& stubs, grpc::ClientContext* context) {
    return stubs.log->Append(context, request, &response);
  };
  RETURN_IF_ERROR(CallPrimary(follower, Deadline::After(timeout), timeout, call));
  return response;
}

Result<v1::SourcePositionResponse> ReadSourcePosition(PrimaryFollower* follower,
                                                      const std::string& source,
                                                      const Deadline& deadline) {
  v1::SourcePositionRequest request;
  request.set_log(follower->log());
  request.set_source(source);
  v1::SourcePositionResponse response;
  const auto call = [&](NodeStubs& stubs, grpc::ClientContext* context) {
    return stubs.log->SourcePosition(context, request, &response);
  };
  RETURN_IF_ERROR(CallPrimary(follower, deadline, deadline.remaining(), call));
  return response;
}

Status ReadCommitted(PrimaryFollower* follower, const Deadline& deadline,
                     const std::function<Status(NodeStubs*)>& read) {
  Backoff backoff;
  while (true) {
    ASSIGN_OR_RETURN(const std::shared_ptr<NodeStubs> node, follower->Get(deadline));
    Status status = read(node.get());
    if (status.code() != Code::kGap || !backoff.Wait(deadline)) return status;
    follower->Failed({});
  }
}

}  // namespace kembar::client
