// cmd_status.cc — `status`: what every node says of the log.
#include <CLI/CLI.hpp>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/status_view.h"
#include "tools/kembarctl/tables.h"

namespace kembar::ctl {
namespace {

Outcome RunStatus(Context* context) {
  ASSIGN_OR_RETURN(const client::Cluster* cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  const LogView view = MakeLogView(cluster->nodes(), log);
  if (context->json()) {
    PrintLine(Dump(StatusJson(view)));
  } else {
    Print(StatusText(view));
  }
  return kExitOk;
}

}  // namespace

void AddStatus(CLI::App* app, Context* context) {
  CLI::App* command =
      app->add_subcommand("status", "Show the log's state, and what each node holds");
  command->callback([context] { context->run = [context] { return RunStatus(context); }; });
}

}  // namespace kembar::ctl
