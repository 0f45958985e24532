// app.cc — the command line of kembarctl as a whole: global options, exit codes, one-line errors.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "tools/kembarctl/check_rules.h"
#include "tools/kembarctl/commands.h"

namespace kembar::ctl {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 done, 1 failed, 2 wrong usage; `check`: 0 OK, 1 WARNING, 2 CRITICAL, 3 "
    "UNKNOWN.\n"
    "Data goes to standard output, everything else to standard error.";

void AddGlobals(CLI::App* app, Globals* globals) {
  app->add_option("--node", globals->node,
                  "Where nodes are, HOST:PORT[,HOST:PORT...]; one that answers is enough")
      ->envname("KEMBAR_NODE");
  app->add_option("--log", globals->log, "The log that is meant (default: the only one)");
  app->add_option("--output", globals->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  app->add_flag("--yes", globals->yes, "Do not ask");
  app->add_option("--timeout", globals->timeout_s,
                  "Seconds to keep trying without getting any further")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  app->add_option("--tls-ca", globals->tls_ca, "Authority that signs the nodes' certificates");
  app->add_option("--tls-cert", globals->tls_cert, "This operator's certificate");
  app->add_option("--tls-key", globals->tls_key, "and its key");
}

// The help of a command does not repeat the global options; they may stand before or after it.
void AddCommands(CLI::App* app, Context* context) {
  AddStatus(app, context);
  AddCheck(app, context);
  AddImport(app, context);
  AddAppend(app, context);
  AddLog(app, context);
  AddPackage(app, context);
  AddRestore(app, context);
  AddCompare(app, context);
  AddAudit(app, context);
  AddCut(app, context);
  AddSource(app, context);
  AddManual(app, context);
  AddFailover(app, context);
  AddSwitchover(app, context);
  AddConfig(app, context);
  AddMember(app, context);
  AddQuarantine(app, context);
  AddRepair(app, context);
  AddVerify(app, context);
  AddCompletion(app, context);
}

Status CheckGlobals(const Globals& globals) {
  if (!globals.tls_ca.empty() || !globals.tls_cert.empty() || !globals.tls_key.empty()) {
    return Status(Code::kInvalid, "this build has no TLS yet", "leave --tls-* out");
  }
  return Status::Ok();
}

// `check` is read by monitoring systems, for which 2 would mean CRITICAL: it answers UNKNOWN.
int FailUsage(const CLI::App& app, const std::string& message) {
  if (app.got_subcommand("check")) {
    PrintLine(PluginLine({.severity = Severity::kUnknown, .reasons = {message}}));
    return static_cast<int>(Severity::kUnknown);
  }
  std::string command = "kembarctl";
  for (const CLI::App* sub = &app; !sub->get_subcommands().empty();) {
    sub = sub->get_subcommands().front();
    command += " " + sub->get_name();
  }
  PrintError(Status(Code::kInvalid, message, "see " + command + " --help"));
  return kExitUsage;
}

int Run(const Context& context) {
  const Outcome outcome = context.run();
  int code = kExitFailed;
  if (outcome.ok()) {
    code = *outcome;
  } else {
    PrintError(outcome.status());
    if (context.wrong_usage) code = kExitUsage;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    PrintError(Status(Code::kIo, "standard output could not be written"));
    return code == kExitOk ? kExitFailed : code;
  }
  return code;
}

}  // namespace

int Main(int argc, char** argv) {
  // SIGPIPE keeps its default: `kembarctl … | head` ends quietly when head has had enough.
  Context context;
  CLI::App app("Kembar's tool for operators: status, imports, failover and what follows",
               "kembarctl");
  app.set_version_flag("--version", std::string("kembarctl ") + KEMBAR_VERSION);
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  AddGlobals(&app, &context.globals);
  AddCommands(&app, &context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    // What is not known is named, also when something else is missing because of it.
    const std::vector<std::string> unknown = app.remaining(true);
    return FailUsage(app, unknown.empty() ? e.what() : "\"" + unknown.front() + "\" is not known");
  }
  if (Status status = CheckGlobals(context.globals); !status.ok()) {
    return FailUsage(app, status.message());
  }
  return Run(context);
}

}  // namespace kembar::ctl
