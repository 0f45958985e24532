// failover_run.cc — see failover_run.h.
#include "tools/kembarctl/failover_run.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "replicator/log/epoch_history.h"
#include "tools/client/reader.h"
#include "tools/client/rpc_status.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/proposer.h"

namespace kembar::ctl {
namespace {

constexpr size_t kPackagesNamedMax = 20;
constexpr uint64_t kRecordsLookedAt = 200;
constexpr client::Millis kPause{15'000};
constexpr client::Millis kFirstCommitWait{3'000};

std::string JoinLines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

// The packages of the records from..to as `node` holds them, latest first. Best effort: it serves
// the account, nothing is decided by it.
std::vector<std::string> PackagesOf(client::NodeStubs* node, const std::string& log, uint64_t from,
                                    uint64_t to) {
  v1::ReadRequest request;
  request.set_log(log);
  request.set_from(from);
  request.set_to(to);
  std::vector<std::string> packages;
  const Status ignored = client::ReadRecords(
      node, request, client::Deadline::After(client::Millis(2'000)), [&](const v1::Record& record) {
        if (record.package() == "-") return true;
        std::erase(packages, record.package());
        packages.insert(packages.begin(), record.package());
        return true;
      });
  (void)ignored;
  if (packages.size() > kPackagesNamedMax) packages.resize(kPackagesNamedMax);
  return packages;
}

// The loss, where there may be one, by the names of packages.
void AddPackagesInDoubt(client::Cluster* cluster, const std::string& log, const FailoverPlan& plan,
                        const std::vector<NodeFact>& facts, const std::string& to,
                        std::vector<std::string>* lines) {
  if (plan.outlook.proven()) return;
  uint64_t held = 0;
  uint64_t committed = 0;
  for (const NodeFact& fact : facts) {
    if (fact.name != to) continue;
    held = fact.durable_index;
    committed = fact.commit_index;
  }
  const auto list = [&](const std::string& node, uint64_t from, uint64_t last, std::string title) {
    const client::NodeView* view = cluster->Find(node);
    if (view == nullptr || from > last) return;
    for (const std::string& package :
         PackagesOf(cluster->Stubs(view->address).get(), log, from, last)) {
      if (!title.empty()) lines->push_back(std::exchange(title, ""));
      lines->push_back("  - " + package);
    }
  };
  for (const NodeFact& fact : facts) {
    if (fact.name == plan.outlook.better) {
      list(fact.name, held + 1, fact.commit_index,
           "packages that would lose records which " + fact.name + " holds:");
    }
  }
  list(to, committed > kRecordsLookedAt ? committed - kRecordsLookedAt + 1 : 1, committed,
       "packages with the last records that " + to + " holds, the likeliest to miss some:");
}

class Failover {
 public:
  Failover(Context* context, client::Cluster* cluster, std::string log, FailoverRequest request,
           std::string reason)
      : context_(context),
        cluster_(cluster),
        log_(std::move(log)),
        request_(std::move(request)),
        reason_(std::move(reason)),
        deadline_(client::Deadline::After(context->timeout())),
        proposer_(cluster, log_, deadline_) {}

  Outcome Run(bool switchover);

 private:
  Status MakePlan();
  Status CheckOutlook(const Completeness& outlook, bool fenced) const;
  Status Ask(const std::string& title) const;
  Status DrainPrimary();
  Status Pause(int64_t for_ms);
  Status WaitUntilLevel();
  Outcome FenceAndPromote();
  Outcome HandBack(const NodeFact& latest, uint64_t epoch);
  ControlState NextState(const NodeFact& latest, const Completeness& proof) const;
  std::string HowToGoOn() const;
  void PrintResult(const Promotion& promotion, bool lossless, double seconds) const;

  Context* const context_;
  client::Cluster* const cluster_;
  const std::string log_;
  const FailoverRequest request_;
  const std::string reason_;
  client::Deadline deadline_;
  Proposer proposer_;
  FailoverPlan plan_;
  std::vector<std::string> account_;
  std::chrono::steady_clock::time_point began_;
};

Status Failover::MakePlan() {
  ASSIGN_OR_RETURN(const std::vector<NodeFact> facts, FactsFromStatus(cluster_->nodes(), log_));
  ASSIGN_OR_RETURN(plan_, PlanFailover(facts, request_));
  account_ = AccountLines(facts, request_, plan_);
  if (!plan_.old_primary_reachable) {
    AddPackagesInDoubt(cluster_, log_, plan_, facts, request_.to, &account_);
  }
  return Status::Ok();
}

std::string Failover::HowToGoOn() const {
  std::string command = "kembarctl failover --to " + request_.to;
  for (const std::string& name : request_.without) command += " --without " + name;
  return command;
}

// Loss that is possible needs --accept-loss; a node that holds more is named.
Status Failover::CheckOutlook(const Completeness& outlook, bool fenced) const {
  if (outlook.proven() || request_.accept_loss) return Status::Ok();
  std::string why = "not provably complete: " + outlook.doubts.front();
  if (fenced) {
    why += "; the nodes are fenced, the log has no primary until a failover completes";
  }
  if (plan_.candidate_stopped) {
    return Status(Code::kInvalid, why,
                  "if the primary's log is the truth: kembarctl repair --node " + request_.to +
                      "; if this node's is: add --accept-loss");
  }
  if (!outlook.better.empty()) {
    return Status(Code::kInvalid, why, "fail over to " + outlook.better + ", or add --accept-loss");
  }
  return Status(Code::kInvalid, why,
                "bring a node back that holds more, or add --accept-loss to go on regardless");
}

Status Failover::Ask(const std::string& title) const {
  Note(title + " of log " + log_ + " to " + request_.to + ": what is known");
  for (const std::string& line : account_) Note("  " + line);
  if (!plan_.config.left_out.empty()) {
    std::string names;
    for (const Member& member : plan_.config.left_out) names += " " + member.name;
    Note("  left out from now on (may rejoin):" + names);
  }
  const uint32_t mirrors = static_cast<uint32_t>(plan_.config.members.size()) - 1;
  if (mirrors == 0) {
    Note("  " + request_.to + " will be ALONE (solo): one copy only until a mirror is back");
  }
  if (Confirm("type the name of the site that becomes primary to go on:", request_.to,
              context_->globals.yes)) {
    return Status::Ok();
  }
  return Status(Code::kCancelled, "not confirmed; nothing was changed");
}

Status Failover::Pause(int64_t for_ms) {
  const client::NodeView* primary = cluster_->Find(plan_.old_primary);
  v1::PauseAppendsRequest request;
  request.set_log(log_);
  request.set_for_ms(for_ms);
  v1::PauseAppendsResponse response;
  grpc::ClientContext call;
  client::Deadline::After(client::Millis(5'000)).ApplyTo(&call);
  const grpc::Status status =
      cluster_->Stubs(primary->address)->admin->PauseAppends(&call, request, &response);
  return client::FromGrpc(status, call).Prepend("pause appends on " + plan_.old_primary);
}

// Until the target holds everything that the paused primary holds.
Status Failover::WaitUntilLevel() {
  const client::Deadline deadline = deadline_.Within(kPause / 2);
  client::Backoff backoff(client::Millis(5), client::Millis(100));
  std::string seen;
  do {
    RETURN_IF_ERROR(cluster_->Refresh());
    const client::NodeView* primary = cluster_->Find(plan_.old_primary);
    const client::NodeView* target = cluster_->Find(request_.to);
    const v1::LogStatus* from = primary == nullptr ? nullptr : primary->Log(log_);
    const v1::LogStatus* to = target == nullptr ? nullptr : target->Log(log_);
    if (from == nullptr) return Status(Code::kUnavailable, plan_.old_primary + " fell silent");
    if (to == nullptr) return Status(Code::kUnavailable, request_.to + " fell silent");
    if (from->role() != "primary") {
      return Status(Code::kNotPrimary, plan_.old_primary + " is not the primary any more");
    }
    if (to->durable_index() == from->last_index() && from->durable_index() == from->last_index()) {
      return Status::Ok();
    }
    seen = request_.to + " holds " + std::to_string(to->durable_index()) + " of " +
           std::to_string(from->last_index()) + " records";
  } while (backoff.Wait(deadline));
  return Status(Code::kTimeout, seen, "wait until kembarctl status shows it level");
}

Status Failover::DrainPrimary() {
  RETURN_IF_ERROR(Pause(kPause.count()));
  Status status = WaitUntilLevel();
  if (status.ok()) status = MakePlan();
  if (status.ok()) status = CheckOutlook(plan_.outlook, false);
  if (status.ok()) return status;
  if (const Status resumed = Pause(0); !resumed.ok()) {
    Note("note: " + plan_.old_primary + " resumes by itself within " +
         std::to_string(kPause.count() / 1000) + " s");
  }
  return status.Prepend("switchover given up, " + plan_.old_primary + " goes on as primary");
}

ControlState Failover::NextState(const NodeFact& latest, const Completeness& proof) const {
  ControlState state = latest.control;
  state.primary = request_.to;
  state.config = NextConfig(latest.control.config, request_);
  state.lossy = request_.accept_loss && !proof.proven();
  state.reason = reason_;
  state.actor = Context::Actor();
  state.known = JoinLines(account_);
  for (const std::string& doubt : proof.doubts) state.known += "\naccepted: " + doubt;
  return state;
}

// Another operator's failover completed between our look at the nodes and our fence, which then put
// its primary down. It must not stay down: it reigns on, in an epoch above our fence.
Outcome Failover::HandBack(const NodeFact& latest, uint64_t epoch) {
  const std::string winner = latest.control.primary;
  std::vector<std::string> nodes{winner};
  for (const std::string& name : plan_.to_fence) {
    if (name != winner) nodes.push_back(name);
  }
  epoch = kembar::NextEpoch(epoch);
  ASSIGN_OR_RETURN(const std::vector<NodeFact> promises,
                   proposer_.Fence(nodes, latest.epoch, &epoch));
  const NodeFact* now = LatestControl(promises);
  const Completeness proof = JudgeCompleteness(winner, promises);
  if (now == nullptr || !proof.proven()) {
    return Status(Code::kFenced,
                  "another failover to " + winner + " was crossed by this one, and " +
                      "the log has no primary now",
                  "agree on one operator, then run " + HowToGoOn() + " again");
  }
  ControlState state = now->control;
  state.reason = "goes on; a failover to " + request_.to + " crossed it";
  state.actor = Context::Actor();
  state.known.clear();
  state.lossy = false;
  ASSIGN_OR_RETURN(const Promotion promotion, proposer_.Promote(winner, epoch, state));
  return Status(Code::kFenced,
                "another failover made " + winner + " primary meanwhile; it goes on as primary, " +
                    "epoch " + EpochText(promotion.epoch),
                "see kembarctl status");
}

Outcome Failover::FenceAndPromote() {
  uint64_t epoch = plan_.epoch;
  Result<std::vector<NodeFact>> promises = proposer_.Fence(plan_.to_fence, plan_.reign, &epoch);
  if (!promises.ok()) {
    return Status(promises.status().code(), promises.status().message(),
                  promises.status().hint().empty() ? "see kembarctl status, then: " + HowToGoOn()
                                                   : promises.status().hint());
  }
  const NodeFact* latest = LatestControl(*promises);
  if (latest == nullptr) return Status(Code::kInternal, "no promise holds a control record");
  const Completeness proof = JudgeCompleteness(request_.to, *promises);
  const bool crossed = EpochNumber(latest->epoch) > EpochNumber(plan_.reign);
  if (crossed && !proof.proven() && latest->control.primary != request_.to) {
    return HandBack(*latest, epoch);
  }
  RETURN_IF_ERROR(CheckOutlook(proof, true));
  const ControlState state = NextState(*latest, proof);
  Result<Promotion> promotion = proposer_.Promote(request_.to, epoch, state);
  if (!promotion.ok()) {
    return Status(promotion.status().code(), promotion.status().message(),
                  "the log has no primary now; run " + HowToGoOn() + " again");
  }
  ASSIGN_OR_RETURN(const bool up,
                   proposer_.WaitUntilAcknowledging(request_.to, &*promotion, kFirstCommitWait));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began_;
  PrintResult(*promotion, !state.lossy, took.count());
  if (!up) {
    Note("note: " + request_.to + " is primary but has not acknowledged yet; see kembarctl status");
  }
  return kExitOk;
}

void Failover::PrintResult(const Promotion& promotion, bool lossless, double seconds) const {
  const Json json{{"epoch", EpochNumber(promotion.epoch)},
                  {"primary", request_.to},
                  {"from_index", promotion.from_index},
                  {"lost", lossless ? "none" : "unknown"},
                  {"seconds", seconds}};
  if (context_->json()) {
    PrintLine(Dump(json));
    return;
  }
  char took[32];
  std::snprintf(took, sizeof took, "%.3f s", seconds);
  PrintLine(request_.to + " is primary of log " + log_ + " since record " +
            std::to_string(promotion.from_index) + ", epoch " + EpochText(promotion.epoch) +
            ", lost: " + (lossless ? "none" : "unknown") + ", " + took);
}

Outcome Failover::Run(bool switchover) {
  RETURN_IF_ERROR(MakePlan());
  if (switchover && plan_.candidate_stopped) {
    return Status(Code::kInvalid, plan_.outlook.doubts.front(),
                  "kembarctl repair --node " + request_.to + ", or, if its log is the truth, " +
                      "kembarctl failover --to " + request_.to + " --accept-loss");
  }
  const bool drain =
      plan_.old_primary_reachable && plan_.old_primary != request_.to && !plan_.candidate_stopped;
  if (switchover && !drain) {
    return plan_.old_primary_reachable
               ? Status(Code::kInvalid, "node " + request_.to + " is the primary already")
               : Status(Code::kUnavailable, "primary " + plan_.old_primary + " does not answer",
                        "if its site is lost: kembarctl failover --to " + request_.to +
                            " --without " + plan_.old_primary);
  }
  if (drain && !switchover) {
    Note("note: primary " + plan_.old_primary + " answers, so this is done as a switchover");
  }
  if (!drain) RETURN_IF_ERROR(CheckOutlook(plan_.outlook, false));
  RETURN_IF_ERROR(Ask(switchover ? "switchover" : "failover"));
  began_ = std::chrono::steady_clock::now();
  deadline_ = client::Deadline::After(context_->timeout());
  proposer_ = Proposer(cluster_, log_, deadline_);
  if (drain) {
    Status status = DrainPrimary();
    if (!status.ok() && (switchover || !request_.accept_loss)) return status;
    if (!status.ok()) {
      Note("note: " + status.ToString() + "; going on, as --accept-loss says");
      RETURN_IF_ERROR(MakePlan());
    }
  }
  Outcome outcome = FenceAndPromote();
  if (!outcome.ok() && drain) {
    const Status ignored = Pause(0);  // if it was not fenced, it goes on at once
    (void)ignored;
  }
  return outcome;
}

}  // namespace

Outcome RunFailover(Context* context, const FailoverRequest& request, const std::string& reason) {
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  return Failover(context, cluster, log, request, reason).Run(false);
}

Outcome RunSwitchover(Context* context, const std::string& to, const std::string& reason) {
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  return Failover(context, cluster, log, {.to = to}, reason).Run(true);
}

}  // namespace kembar::ctl
