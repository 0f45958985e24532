// cmd_failover.cc — `failover` and `switchover`.
#include <CLI/CLI.hpp>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/failover_run.h"

namespace kembar::ctl {
namespace {

struct FailoverOptions {
  FailoverRequest request;
  std::vector<std::string> without;
  std::string reason;
};

constexpr char kFailoverFooter[] =
    "Prints first what each node that answers holds, what is provably complete and what could be\n"
    "lost; then asks for the name of the site. Refuses without --accept-loss when completeness\n"
    "cannot be proven. A node that answers can't be left out.";

}  // namespace

void AddFailover(CLI::App* app, Context* context) {
  auto options = std::make_shared<FailoverOptions>();
  CLI::App* command =
      app->add_subcommand("failover", "Make another node primary when the primary's site is lost");
  command->footer(kFailoverFooter);
  command->add_option("--to", options->request.to, "The node that becomes primary")->required();
  command
      ->add_option("--without", options->without,
                   "A lost node, left out from now on; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--accept-loss", options->request.accept_loss,
                    "Go on although acknowledged records may be missing; is kept in the log");
  command->add_option("--reason", options->reason, "Why; is kept in the log");
  command->callback([context, options] {
    options->request.without.insert(options->without.begin(), options->without.end());
    if (options->reason.empty()) options->reason = "failover";
    context->run = [context, options] {
      return RunFailover(context, options->request, options->reason);
    };
  });
}

void AddSwitchover(CLI::App* app, Context* context) {
  auto options = std::make_shared<FailoverOptions>();
  CLI::App* command =
      app->add_subcommand("switchover", "Make another node primary, planned; nothing can be lost");
  command->add_option("--to", options->request.to, "The node that becomes primary")->required();
  command->add_option("--reason", options->reason, "Why; is kept in the log");
  command->callback([context, options] {
    if (options->reason.empty()) options->reason = "switchover";
    context->run = [context, options] {
      return RunSwitchover(context, options->request.to, options->reason);
    };
  });
}

}  // namespace kembar::ctl
