// cmd_check.cc — `check`: one line for monitoring systems.
#include <CLI/CLI.hpp>

#include "tools/kembarctl/check_rules.h"
#include "tools/kembarctl/commands.h"

namespace kembar::ctl {
namespace {

Outcome RunCheck(Context* context, const CheckThresholds& thresholds) {
  Verdict verdict;
  Result<client::Cluster*> cluster = context->Connect();
  Result<std::string> log = cluster.ok() ? context->Log() : Result<std::string>(cluster.status());
  if (log.ok()) {
    verdict = JudgeLog(MakeLogView((*cluster)->nodes(), *log), thresholds);
  } else {
    verdict.reasons.push_back(log.status().ToString());
  }
  PrintLine(PluginLine(verdict));
  return static_cast<int>(verdict.severity);
}

}  // namespace

void AddCheck(CLI::App* app, Context* context) {
  auto thresholds = std::make_shared<CheckThresholds>();
  CLI::App* command = app->add_subcommand(
      "check", "Monitoring plugin: one line, exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN");
  command->add_option("--warn-lag", thresholds->warn_lag_s, "WARNING from this lag on, in seconds")
      ->capture_default_str();
  command->add_option("--crit-lag", thresholds->crit_lag_s, "CRITICAL from this lag on, in seconds")
      ->capture_default_str();
  command
      ->add_option("--warn-source", thresholds->warn_source_s,
                   "WARNING when a capture was not heard for so long, in seconds")
      ->capture_default_str();
  command
      ->add_option("--crit-source", thresholds->crit_source_s,
                   "CRITICAL when a capture was not heard for so long, in seconds")
      ->capture_default_str();
  command->callback([context, thresholds] {
    context->run = [context, thresholds] { return RunCheck(context, *thresholds); };
  });
}

}  // namespace kembar::ctl
