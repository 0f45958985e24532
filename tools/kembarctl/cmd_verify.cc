// cmd_verify.cc — `verify`: every node re-reads and checks what it holds.
#include <CLI/CLI.hpp>

#include <map>

#include "tools/client/reader.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/tables.h"

namespace kembar::ctl {
namespace {

VerifyRow VerifyNode(client::Cluster* cluster, const client::NodeView& view,
                     const std::string& log) {
  VerifyRow row{.node = view.name.empty() ? view.address : view.name};
  if (!view.reachable) {
    row.errors.push_back("could not be checked: " + view.error.ToString());
    return row;
  }
  v1::VerifyRequest request;
  request.set_log(log);
  std::map<std::string, std::pair<uint64_t, uint64_t>> counts;
  bool done = false;
  const Status status = client::Verify(
      cluster->Stubs(view.address).get(), request, client::Deadline::Never(),
      [&](const v1::VerifyResponse& answer) {
        counts[answer.log()] = {answer.records(), answer.blobs()};
        row.errors.insert(row.errors.end(), answer.errors().begin(), answer.errors().end());
        done = answer.done();
        return true;
      });
  for (const auto& [name, count] : counts) {
    row.records += count.first;
    row.blobs += count.second;
  }
  // A check that did not come to its end has failed.
  if (!status.ok()) row.errors.push_back("not finished: " + status.ToString());
  if (status.ok() && !done) row.errors.push_back("not finished: the node stopped answering");
  return row;
}

Outcome RunVerify(Context* context) {
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  std::vector<VerifyRow> rows;
  bool good = true;
  for (const client::NodeView& view : cluster->NodesOf(log)) {
    rows.push_back(VerifyNode(cluster, view, log));
    good = good && rows.back().errors.empty();
  }
  if (context->json()) {
    Json nodes = Json::array();
    for (const VerifyRow& row : rows) {
      nodes.push_back({{"name", row.node},
                       {"records", row.records},
                       {"blobs", row.blobs},
                       {"errors", row.errors}});
    }
    PrintLine(Dump({{"log", log}, {"nodes", std::move(nodes)}}));
  } else {
    Print(VerifyText(rows));
  }
  return good ? kExitOk : kExitFailed;
}

}  // namespace

void AddVerify(CLI::App* app, Context* context) {
  CLI::App* command =
      app->add_subcommand("verify", "Re-read and check every record and document on every node");
  command->footer(
      "Exit code 1 when anything is missing or damaged, or a node can't be checked. Damaged "
      "chunks\n"
      "of documents are set aside and fetched again from another node: run it once more then.");
  command->callback([context] { context->run = [context] { return RunVerify(context); }; });
}

}  // namespace kembar::ctl
