// cmd_repair.cc — `repair`: ends a node's alarm in favour of the reigning primary's log.
#include <grpcpp/grpcpp.h>
#include <CLI/CLI.hpp>

#include "replicator/log/epoch_history.h"
#include "tools/client/rpc_status.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/json.h"

namespace kembar::ctl {
namespace {

constexpr char kFooter[] =
    "For a node that has stopped a log because its records and the primary's contradict each "
    "other.\n"
    "The primary's log is taken for the truth: what differs on the node goes to quarantine there,\n"
    "readable and resubmittable, and the node catches up. If the node's log is the truth instead:\n"
    "kembarctl failover --to NODE --accept-loss. For a damaged disk: kembard --rebuild.";
// The note waits until the repaired node holds it; the repair itself is done by then.
constexpr client::Millis kNoteWait{10'000};

struct RepairOptions {
  std::string node;
  std::string reason;
};

struct Parties {
  const client::NodeView* node = nullptr;
  const client::NodeView* primary = nullptr;
  const v1::LogStatus* status = nullptr;  // the node's
};

// The node says all this too; here it costs nothing and comes before the question.
Result<Parties> FindParties(client::Cluster* cluster, const std::string& log,
                            const std::string& name) {
  Parties parties{.node = cluster->Find(name), .primary = cluster->Primary(log)};
  if (parties.node == nullptr) {
    return Status(Code::kNotFound, "node " + name + " is not known",
                  "see the names in kembarctl status");
  }
  if (!parties.node->reachable) {
    return Status(Code::kUnavailable,
                  "node " + name + " does not answer: " + parties.node->error.message(),
                  "start it and try again");
  }
  parties.status = parties.node->Log(log);
  if (parties.status == nullptr) {
    return Status(Code::kNotFound, "node " + name + " does not hold log " + log);
  }
  if (parties.primary == parties.node) {
    return Status(Code::kPrecondition, "node " + name + " is the primary of log " + log,
                  "the others are repaired to its log; to take another node's for the truth: "
                  "kembarctl failover --to NAME --accept-loss");
  }
  if (parties.status->hard().alarm().empty()) {
    return Status(Code::kPrecondition,
                  "node " + name + " has no alarm in log " + log + ": there is nothing to repair",
                  "for a damaged disk, restart the node with kembard --config FILE --rebuild");
  }
  if (parties.primary == nullptr) {
    return Status(Code::kUnavailable, "log " + log + " has no primary that answers",
                  "bring it back or fail over first: kembarctl failover --to NAME");
  }
  return parties;
}

void PrintAccount(const std::string& log, const Parties& parties) {
  const v1::LogStatus& own = *parties.status;
  const v1::LogStatus& theirs = *parties.primary->Log(log);
  const uint64_t from = own.hard().alarm_index();
  Note("repair of log " + log + " on " + parties.node->name);
  Note("  alarm: " + own.hard().alarm());
  Note("  " + parties.node->name + " holds records 1 to " + std::to_string(own.durable_index()) +
       ", committed " + std::to_string(own.commit_index()));
  Note("  primary " + parties.primary->name + ", epoch " + EpochText(theirs.epoch()) +
       ", holds records 1 to " + std::to_string(theirs.durable_index()) + ", committed " +
       std::to_string(theirs.commit_index()) + "; its log counts from now on");
  Note(from == 0 ? "  the first differing record is not known: ALL records of " +
                       parties.node->name + " go to quarantine"
                 : "  records of " + parties.node->name + " from " + std::to_string(from) +
                       " on go to quarantine");
  if (own.commit_index() >= std::max<uint64_t>(from, 1)) {
    Note("  among them are records that were COMMITTED, perhaps acknowledged to a client");
  }
}

std::string NoteText(const Parties& parties, const v1::RepairResponse& done,
                     const std::string& reason) {
  return "repair of node " + parties.node->name + " by " + Context::Actor() + ": " +
         (reason.empty() ? "no reason given" : reason) +
         "\nalarm: " + parties.status->hard().alarm() +
         "\nquarantined there: " + std::to_string(done.quarantined()) + " records from " +
         std::to_string(done.from_index());
}

void AppendNote(client::Cluster* cluster, const std::string& log, const std::string& text) {
  const client::NodeView* primary = cluster->Primary(log);
  if (primary == nullptr) return;
  v1::AppendNoteRequest request;
  request.set_log(log);
  request.set_text(text);
  v1::AppendNoteResponse response;
  grpc::ClientContext call;
  client::Deadline::After(kNoteWait).ApplyTo(&call);
  const grpc::Status status =
      cluster->Stubs(primary->address)->admin->AppendNote(&call, request, &response);
  if (status.ok()) return;
  Note("note: the repair is done, but its note in the log is not committed yet: " +
       client::FromGrpc(status, call).message());
}

Outcome RunRepair(Context* context, const RepairOptions& options) {
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  ASSIGN_OR_RETURN(const Parties parties, FindParties(cluster, log, options.node));
  PrintAccount(log, parties);
  if (!Confirm("type the name of the node that is repaired to go on:", options.node,
               context->globals.yes)) {
    return Status(Code::kCancelled, "not confirmed; nothing was changed");
  }
  v1::RepairRequest request;
  request.set_log(log);
  request.set_actor(Context::Actor());
  request.set_reason(options.reason);
  v1::RepairResponse done;
  grpc::ClientContext call;
  client::Deadline::After(context->timeout()).ApplyTo(&call);
  const grpc::Status status =
      cluster->Stubs(parties.node->address)->admin->Repair(&call, request, &done);
  if (!status.ok()) return client::FromGrpc(status, call).Prepend("repair " + options.node);
  AppendNote(cluster, log, NoteText(parties, done, options.reason));
  if (context->json()) {
    PrintLine(Dump({{"node", options.node},
                    {"log", log},
                    {"quarantined", done.quarantined()},
                    {"from_index", done.from_index()}}));
    return kExitOk;
  }
  PrintLine(options.node + " follows " + done.primary() + " again in log " + log + ": " +
            std::to_string(done.quarantined()) + " records from " +
            std::to_string(done.from_index()) + " on are in quarantine there");
  return kExitOk;
}

}  // namespace

void AddRepair(CLI::App* app, Context* context) {
  auto options = std::make_shared<RepairOptions>();
  CLI::App* command = app->add_subcommand(
      "repair", "End a node's alarm: its log becomes the primary's, what differs is quarantined");
  command->footer(kFooter);
  command->add_option("--node", options->node, "The node with the alarm, by name")->required();
  command->add_option("--reason", options->reason, "Why; is kept in the log and in quarantine");
  command->callback([context, options] {
    context->run = [context, options] { return RunRepair(context, *options); };
  });
}

}  // namespace kembar::ctl
