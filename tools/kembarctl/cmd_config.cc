// cmd_config.cc — `config set` and `member add|remove`: changes that the primary records in the
// log.
#include <grpcpp/grpcpp.h>
#include <CLI/CLI.hpp>

#include <optional>

#include "tools/client/convert.h"
#include "tools/client/rpc_status.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/parse.h"

namespace kembar::ctl {
namespace {

struct ConfigOptions {
  std::string mode;
  std::optional<uint32_t> sync_mirrors;
  std::optional<double> solo_after_s;
  std::string member;  // NAME=HOST:PORT to add, NAME to remove
  std::string reason;
};

struct Present {
  client::NodeStubs* primary = nullptr;
  std::string log;
  Config config;
};

Result<Present> AskPrimary(Context* context) {
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  ASSIGN_OR_RETURN(const client::NodeView* view,
                   cluster->WaitForPrimary(log, client::Deadline::After(context->timeout())));
  Present present{.primary = cluster->Stubs(view->address).get(), .log = log};
  ASSIGN_OR_RETURN(present.config, client::FromProto(view->Log(log)->control().config()));
  return present;
}

Outcome Change(Context* context, const Present& present, const Config& next,
               const std::string& reason) {
  v1::ChangeConfigRequest request;
  request.set_log(present.log);
  *request.mutable_config() = client::ToProto(next);
  request.set_actor(Context::Actor());
  request.set_reason(reason);
  v1::ChangeConfigResponse response;
  grpc::ClientContext call;
  client::Deadline::After(context->timeout()).ApplyTo(&call);
  const grpc::Status status = present.primary->admin->ChangeConfig(&call, request, &response);
  if (!status.ok()) return client::FromGrpc(status, call).Prepend("change log " + present.log);
  if (context->json()) {
    Json members = Json::array();
    for (const Member& member : next.members) members.push_back(member.name);
    PrintLine(Dump({{"index", response.index()},
                    {"mode", ModeName(next.mode)},
                    {"sync_mirrors", next.sync_mirrors},
                    {"solo_after_seconds", next.solo_after_ms / 1000.0},
                    {"members", std::move(members)}}));
  } else {
    PrintLine("log " + present.log + ": changed by record " + std::to_string(response.index()));
  }
  return kExitOk;
}

Outcome RunSet(Context* context, const ConfigOptions& options) {
  ASSIGN_OR_RETURN(const Present present, AskPrimary(context));
  Config next = present.config;
  if (!options.mode.empty()) next.mode = *ModeFromName(options.mode);
  if (options.sync_mirrors) next.sync_mirrors = *options.sync_mirrors;
  if (options.solo_after_s) {
    next.solo_after_ms = static_cast<uint32_t>(*options.solo_after_s * 1000);
  }
  if (next.sync_mirrors >= next.members.size()) {
    return Status(Code::kInvalid, "log " + present.log + " has " +
                                      std::to_string(next.members.size() - 1) +
                                      " mirrors; --sync-mirrors " +
                                      std::to_string(next.sync_mirrors) + " is too many");
  }
  const bool weaker =
      present.config.mode == Mode::kMaxProtection && next.mode != present.config.mode;
  const std::string mode(ModeName(next.mode));
  if (weaker && !Confirm("In " + mode +
                             " acknowledged records can be lost with one site. Type the mode's "
                             "name to go on:",
                         mode, context->globals.yes)) {
    return Status(Code::kCancelled, "not confirmed; nothing was changed");
  }
  return Change(context, present, next, options.reason.empty() ? "config set" : options.reason);
}

Outcome RunAddMember(Context* context, const ConfigOptions& options) {
  ASSIGN_OR_RETURN(const Member member, ParseMember(options.member));
  ASSIGN_OR_RETURN(const Present present, AskPrimary(context));
  if (present.config.HasMember(member.name)) {
    return Status(Code::kExists, "node " + member.name + " is a member already");
  }
  // It counts once it holds everything: the primary then makes it a member by itself.
  Config next = present.config;
  std::erase_if(next.left_out, [&](const Member& m) { return m.name == member.name; });
  next.left_out.push_back(member);
  return Change(context, present, next,
                options.reason.empty() ? "add " + member.name : options.reason);
}

Outcome RunRemoveMember(Context* context, const ConfigOptions& options) {
  ASSIGN_OR_RETURN(const Present present, AskPrimary(context));
  if (present.config.Find(options.member) == nullptr) {
    return Status(Code::kNotFound,
                  "node " + options.member + " does not belong to log " + present.log);
  }
  if (!Confirm("Type the name of the site to remove:", options.member, context->globals.yes)) {
    return Status(Code::kCancelled, "not confirmed; nothing was changed");
  }
  Config next = present.config;
  const auto is_it = [&](const Member& m) { return m.name == options.member; };
  std::erase_if(next.members, is_it);
  std::erase_if(next.left_out, is_it);
  return Change(context, present, next,
                options.reason.empty() ? "remove " + options.member : options.reason);
}

using Runner = Outcome (*)(Context*, const ConfigOptions&);

CLI::App* AddOne(CLI::App* parent, Context* context, const std::string& name,
                 const std::string& about, const std::shared_ptr<ConfigOptions>& options,
                 Runner run) {
  CLI::App* command = parent->add_subcommand(name, about);
  command->add_option("--reason", options->reason, "Why; is kept in the log");
  command->callback([context, options, run] {
    context->run = [context, options, run] { return run(context, *options); };
  });
  return command;
}

}  // namespace

void AddConfig(CLI::App* app, Context* context) {
  CLI::App* config = app->add_subcommand("config", "Change a log's protection while it runs");
  config->require_subcommand(1);
  config->fallthrough();
  auto options = std::make_shared<ConfigOptions>();
  CLI::App* set =
      AddOne(config, context, "set", "Mode and numbers, recorded in the log", options, RunSet);
  auto* group = set->add_option_group("what", "at least one of");
  group->require_option(1, 0);
  group->add_option("--mode", options->mode, "Protection mode")
      ->check(CLI::IsMember({"max-protection", "max-availability", "max-performance"}));
  group
      ->add_option("--sync-mirrors", options->sync_mirrors,
                   "Mirrors that must hold a record before it is acknowledged")
      ->check(CLI::PositiveNumber);
  group
      ->add_option("--solo-after", options->solo_after_s,
                   "max-availability: seconds without a mirror before going on alone")
      ->check(CLI::Range(1.0, 86'400.0));
}

void AddMember(CLI::App* app, Context* context) {
  CLI::App* member = app->add_subcommand("member", "Add a mirror to a log, or remove one");
  member->require_subcommand(1);
  member->fallthrough();
  auto options = std::make_shared<ConfigOptions>();
  AddOne(member, context, "add", "Add a mirror; it counts as soon as it holds everything", options,
         RunAddMember)
      ->add_option("member", options->member, "NAME=HOST:PORT")
      ->required();
  AddOne(member, context, "remove", "Remove a mirror", options, RunRemoveMember)
      ->add_option("name", options->member, "Its name")
      ->required();
}

}  // namespace kembar::ctl
