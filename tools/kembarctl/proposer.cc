// proposer.cc — see proposer.h.
#include "tools/kembarctl/proposer.h"

#include <grpcpp/grpcpp.h>

#include <optional>
#include <thread>

#include "replicator/log/epoch_history.h"
#include "tools/client/convert.h"
#include "tools/client/rpc_status.h"

namespace kembar::ctl {
namespace {

constexpr int kAttemptsMax = 12;
constexpr client::Millis kFenceTimeout{5'000};

Status FillControl(const v1::ControlState& control, uint64_t index, NodeFact* fact) {
  fact->control_index = index;
  fact->holds_log = index != 0;
  if (index == 0) return Status::Ok();
  ASSIGN_OR_RETURN(fact->control, client::FromProto(control));
  return Status::Ok();
}

Result<NodeFact> FactFromPromise(const client::NodeView& view, const v1::FenceResponse& answer) {
  NodeFact fact{.name = view.name, .address = view.address, .reachable = true};
  fact.epoch = answer.last_epoch();
  fact.last_index = fact.durable_index = answer.durable_index();
  fact.commit_index = answer.commit_index();
  fact.promised_epoch = answer.promised_epoch();
  fact.promised_to = answer.promised_to();
  fact.seen_epoch = answer.seen_epoch();
  fact.must_reach = answer.must_reach();
  fact.alarm = answer.alarm();
  RETURN_IF_ERROR(FillControl(answer.control(), answer.control_index(), &fact));
  return fact;
}

}  // namespace

Result<std::vector<NodeFact>> FactsFromStatus(const std::vector<client::NodeView>& nodes,
                                              const std::string& log) {
  std::vector<NodeFact> facts;
  for (const client::NodeView& view : nodes) {
    NodeFact fact{.name = view.name.empty() ? view.address : view.name, .address = view.address};
    fact.reachable = view.reachable;
    if (const v1::LogStatus* status = view.Log(log)) {
      fact.is_primary = status->role() == "primary";
      fact.epoch = status->epoch();
      fact.last_index = status->last_index();
      fact.durable_index = status->durable_index();
      fact.commit_index = status->commit_index();
      fact.promised_epoch = status->hard().promised_epoch();
      fact.promised_to = status->hard().promised_to();
      fact.seen_epoch = status->hard().seen_epoch();
      fact.must_reach = status->hard().must_reach();
      fact.alarm = status->hard().alarm();
      fact.contact_ms_ago = status->primary_contact_ms_ago();
      fact.level_ms_ago = status->level_ms_ago();
      RETURN_IF_ERROR(
          FillControl(status->control(), status->control_index(), &fact).Prepend(view.name));
    }
    facts.push_back(std::move(fact));
  }
  return facts;
}

Result<NodeFact> Proposer::FenceOne(const std::string& node, uint64_t epoch,
                                    const std::string& candidate) {
  const client::NodeView* view = cluster_->Find(node);
  if (view == nullptr) return Status(Code::kNotFound, "node " + node + " is not known");
  v1::FenceRequest request;
  request.set_log(log_);
  request.set_epoch(epoch);
  request.set_candidate(candidate);
  v1::FenceResponse response;
  grpc::ClientContext context;
  deadline_.Within(kFenceTimeout).ApplyTo(&context);
  const grpc::Status status =
      cluster_->Stubs(view->address)->admin->Fence(&context, request, &response);
  if (!status.ok()) return client::FromGrpc(status, context).Prepend("fence node " + node);
  return FactFromPromise(*view, response);
}

// kFenced when any node has promised otherwise.
Result<std::vector<NodeFact>> Proposer::FenceOnce(const std::vector<std::string>& nodes,
                                                  uint64_t epoch) {
  const std::string& candidate = nodes.front();
  ASSIGN_OR_RETURN(NodeFact first, FenceOne(candidate, epoch, candidate));
  std::vector<std::optional<Result<NodeFact>>> answers(nodes.size());
  std::vector<std::thread> threads;
  for (size_t i = 1; i < nodes.size(); ++i) {
    threads.emplace_back([&, i] { answers[i] = FenceOne(nodes[i], epoch, candidate); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<NodeFact> promises{std::move(first)};
  for (size_t i = 1; i < nodes.size(); ++i) {
    if (answers[i]->ok()) {
      promises.push_back(**answers[i]);
    } else if (answers[i]->status().code() == Code::kFenced) {
      return answers[i]->status();
    }
  }
  return promises;
}

Result<std::vector<NodeFact>> Proposer::Fence(const std::vector<std::string>& nodes, uint64_t reign,
                                              uint64_t* epoch) {
  client::Backoff backoff(client::Millis(50), client::Millis(1'000));
  Status last;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    Result<std::vector<NodeFact>> promises = FenceOnce(nodes, *epoch);
    if (promises.ok() || promises.status().code() != Code::kFenced) return promises;
    last = promises.status();
    if (!backoff.Wait(deadline_)) break;
    RETURN_IF_ERROR(cluster_->Refresh());
    const client::NodeView* primary = cluster_->Primary(log_);
    if (primary != nullptr && EpochNumber(primary->Log(log_)->epoch()) > EpochNumber(reign)) {
      return Status(Code::kFenced,
                    "another failover made " + primary->name + " primary in epoch " +
                        EpochText(primary->Log(log_)->epoch()) + " meanwhile",
                    "see kembarctl status");
    }
    ASSIGN_OR_RETURN(const std::vector<NodeFact> facts, FactsFromStatus(cluster_->nodes(), log_));
    *epoch = std::max(kembar::NextEpoch(*epoch), NextEpoch(facts));
  }
  return Status(Code::kFenced, "another failover is under way: " + last.message(),
                "agree on one operator and try again");
}

Result<Promotion> Proposer::Promote(const std::string& candidate, uint64_t epoch,
                                    const ControlState& state) {
  const client::NodeView* view = cluster_->Find(candidate);
  if (view == nullptr) return Status(Code::kNotFound, "node " + candidate + " is not known");
  v1::PromoteRequest request;
  request.set_log(log_);
  request.set_epoch(epoch);
  *request.mutable_control() = client::ToProto(state);
  client::Backoff backoff;
  Status last;
  do {
    v1::PromoteResponse response;
    grpc::ClientContext context;
    deadline_.ApplyTo(&context);
    const auto stubs = cluster_->Stubs(view->address);
    const grpc::Status status = stubs->admin->Promote(&context, request, &response);
    if (status.ok()) return Promotion{.epoch = response.epoch(), .from_index = response.index()};
    last = client::FromGrpc(status, context).Prepend("promote " + candidate);
    if (last.code() != Code::kUnavailable && last.code() != Code::kTimeout) return last;
  } while (backoff.Wait(deadline_));
  return last;
}

Result<bool> Proposer::WaitUntilAcknowledging(const std::string& candidate, Promotion* promotion,
                                              client::Millis longest) {
  const client::Deadline deadline = deadline_.Within(longest);
  client::Backoff backoff(client::Millis(5), client::Millis(100));
  const client::NodeView* view = cluster_->Find(candidate);
  if (view == nullptr) return false;
  const auto stubs = cluster_->Stubs(view->address);
  v1::LogStatus log;
  do {
    grpc::ClientContext context;
    deadline.ApplyTo(&context);
    v1::StatusRequest request;
    request.set_log(log_);
    v1::StatusResponse response;
    const grpc::Status status = stubs->admin->Status(&context, request, &response);
    if (!status.ok() || response.logs_size() != 1) continue;
    log = response.logs(0);
    if (log.role() == "primary" && log.commit_index() >= promotion->from_index) {
      promotion->epoch = log.epoch();
      return true;
    }
  } while (backoff.Wait(deadline));
  const std::string& promised_to = log.hard().promised_to();
  if (promised_to.empty() || promised_to == candidate) return false;
  return Status(Code::kFenced,
                candidate + " became primary, but another failover followed at once: it has " +
                    "promised epoch " + EpochText(log.hard().promised_epoch()) + " to " +
                    promised_to,
                "see kembarctl status");
}

}  // namespace kembar::ctl
