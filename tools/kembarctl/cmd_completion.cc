// cmd_completion.cc — `completion bash`: a completion script made from the command line itself, so
// that it never lags behind it.
#include <CLI/CLI.hpp>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/completion.h"

namespace kembar::ctl {
namespace {

std::string Words(const CLI::App& app, const CLI::App& root) {
  std::string words;
  for (const CLI::App* sub : app.get_subcommands({})) {
    if (!sub->get_name().empty()) words += sub->get_name() + " ";
  }
  const auto add_options = [&](const CLI::App& of) {
    for (const CLI::Option* option : of.get_options()) {
      for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
    }
  };
  add_options(app);
  for (const CLI::App* group : app.get_subcommands({})) {
    if (group->get_name().empty()) add_options(*group);
  }
  if (&app != &root) add_options(root);
  if (!words.empty()) words.pop_back();
  return words;
}

void AddCases(const CLI::App& app, const CLI::App& root, const std::string& path,
              std::vector<CompletionCase>* cases) {
  cases->push_back({path, Words(app, root)});
  for (const CLI::App* sub : app.get_subcommands({})) {
    if (sub->get_name().empty()) continue;
    AddCases(*sub, root, path.empty() ? sub->get_name() : path + " " + sub->get_name(), cases);
  }
}

}  // namespace

void AddCompletion(CLI::App* app, Context* context) {
  CLI::App* completion = app->add_subcommand("completion", "Completion for a shell");
  completion->require_subcommand(1);
  CLI::App* bash = completion->add_subcommand(
      "bash", "For bash: kembarctl completion bash > /etc/bash_completion.d/kembarctl");
  bash->callback([app, context] {
    context->run = [app]() -> Outcome {
      std::vector<CompletionCase> cases;
      AddCases(*app, *app, "", &cases);
      Print(BashCompletion(cases));
      return kExitOk;
    };
  });
}

}  // namespace kembar::ctl
