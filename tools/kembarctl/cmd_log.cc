// cmd_log.cc — `log read` and `log create`.
#include <grpcpp/grpcpp.h>
#include <CLI/CLI.hpp>

#include <cstdio>

#include "tools/client/convert.h"
#include "tools/client/reader.h"
#include "tools/client/rpc_status.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/parse.h"
#include "tools/kembarctl/tables.h"

namespace kembar::ctl {
namespace {

struct ReadOptions {
  uint64_t from = 1;
  uint64_t to = 0;
  bool follow = false;
  std::string at;
};

struct CreateOptions {
  std::string log;
  std::string primary;
  std::vector<std::string> mirrors;
  uint32_t sync_mirrors = 1;
  std::string mode = "max-protection";
  double solo_after_s = 30;
  std::string reason;
};

void PrintRecord(const Context& context, bool follow, const v1::Record& record) {
  if (context.table_wanted()) {
    Print(RecordLine(record));
  } else {
    PrintLine(Dump(RecordJson(record)));
  }
  if (follow) std::fflush(stdout);
}

// Reads on where it was cut, at whatever node then answers, until nothing comes for the timeout.
Outcome RunRead(Context* context, const ReadOptions& options) {
  v1::ReadRequest request;
  request.set_from(std::max<uint64_t>(options.from, 1));
  request.set_to(options.to);
  if (context->table_wanted()) Print(RecordsHeader());
  client::Backoff backoff;
  client::Deadline give_up = client::Deadline::After(context->timeout());
  const auto take = [&](const v1::Record& record) {
    PrintRecord(*context, options.follow, record);
    request.set_from(record.index() + 1);
    give_up = client::Deadline::After(context->timeout());
    backoff.Reset();
    return std::ferror(stdout) == 0 && record.index() != options.to;
  };
  while (true) {
    ASSIGN_OR_RETURN(const std::string log, context->Log());
    request.set_log(log);
    Result<std::shared_ptr<client::NodeStubs>> node = context->Reader(options.at);
    Status status = node.status();
    if (node.ok()) {
      const auto read = options.follow ? client::WatchRecords : client::ReadRecords;
      status = read(node->get(), request, client::Deadline::Never(), take);
    }
    if (status.ok()) return kExitOk;
    if (!client::IsRetryable(status.code()) || !backoff.Wait(give_up)) {
      return status.Prepend("read log " + log + " from " + std::to_string(request.from()));
    }
    ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
    const Status ignored = cluster->Refresh();
    (void)ignored;
  }
}

// A log is made at the node whose name the operator gave, not at whatever answers there.
Status CheckName(client::NodeStubs* node, const Member& primary, const client::Deadline& deadline) {
  grpc::ClientContext call;
  deadline.ApplyTo(&call);
  v1::StatusResponse status;
  const grpc::Status answer = node->admin->Status(&call, {}, &status);
  if (!answer.ok()) return client::FromGrpc(answer, call).Prepend("ask " + primary.address);
  if (status.node() == primary.name) return Status::Ok();
  return Status(Code::kInvalid, "the node at " + primary.address + " is called " + status.node() +
                                    ", not " + primary.name);
}

Result<v1::CreateLogRequest> MakeCreateRequest(const CreateOptions& options) {
  v1::CreateLogRequest request;
  request.set_log(options.log);
  request.set_actor(Context::Actor());
  request.set_reason(options.reason.empty() ? "created" : options.reason);
  Config config;
  ASSIGN_OR_RETURN(const Member primary, ParseMember(options.primary));
  config.members.push_back(primary);
  for (const std::string& text : options.mirrors) {
    ASSIGN_OR_RETURN(const Member mirror, ParseMember(text));
    if (config.Find(mirror.name) != nullptr) {
      return Status(Code::kInvalid, "node " + mirror.name + " is named twice");
    }
    config.members.push_back(mirror);
  }
  if (options.sync_mirrors > options.mirrors.size()) {
    return Status(Code::kInvalid,
                  "--sync-mirrors " + std::to_string(options.sync_mirrors) + " is more than the " +
                      std::to_string(options.mirrors.size()) + " mirrors that are named");
  }
  config.sync_mirrors = options.sync_mirrors;
  config.mode = *ModeFromName(options.mode);
  config.solo_after_ms = static_cast<uint32_t>(options.solo_after_s * 1000);
  *request.mutable_config() = client::ToProto(config);
  return request;
}

Outcome RunCreate(Context* context, const CreateOptions& options) {
  ASSIGN_OR_RETURN(const v1::CreateLogRequest request, MakeCreateRequest(options));
  const Member primary{request.config().members(0).name(), request.config().members(0).address()};
  client::ChannelPool channels;
  const auto node = channels.Get(primary.address);
  const client::Deadline deadline = client::Deadline::After(context->timeout());
  RETURN_IF_ERROR(CheckName(node.get(), primary, deadline));
  grpc::ClientContext call;
  deadline.ApplyTo(&call);
  v1::CreateLogResponse response;
  const grpc::Status status = node->admin->CreateLog(&call, request, &response);
  if (!status.ok()) return client::FromGrpc(status, call).Prepend("create log " + options.log);
  if (context->json()) {
    PrintLine(Dump({{"log", options.log},
                    {"primary", primary.name},
                    {"epoch", client::ShownEpoch(response.epoch())},
                    {"index", response.index()}}));
  } else {
    PrintLine("log " + options.log + " created, primary " + primary.name);
  }
  return kExitOk;
}

void AddRead(CLI::App* log, Context* context) {
  auto options = std::make_shared<ReadOptions>();
  CLI::App* command = log->add_subcommand("read", "Print committed records, one JSON object each");
  command->add_option("--from", options->from, "First index")->capture_default_str();
  command->add_option("--to", options->to, "Last index (default: the last committed)");
  command->add_flag("--follow", options->follow, "Go on as records are committed");
  command->add_option("--at", options->at, "The node to read from (default: the primary)");
  command->callback([context, options] {
    context->run = [context, options] { return RunRead(context, *options); };
  });
}

void AddCreate(CLI::App* log, Context* context) {
  auto options = std::make_shared<CreateOptions>();
  CLI::App* command = log->add_subcommand("create", "Make a new log on a primary and its mirrors");
  command->add_option("id", options->log, "The log's name, such as lpse-tebo")->required();
  command->add_option("--primary", options->primary, "NAME=HOST:PORT")->required();
  command->add_option("--mirror", options->mirrors, "NAME=HOST:PORT; may be repeated")
      ->required()
      ->allow_extra_args(false);
  command
      ->add_option("--sync-mirrors", options->sync_mirrors,
                   "Mirrors that must hold a record before it is acknowledged")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--mode", options->mode, "Protection mode")
      ->capture_default_str()
      ->check(CLI::IsMember({"max-protection", "max-availability", "max-performance"}));
  command
      ->add_option("--solo-after", options->solo_after_s,
                   "max-availability: seconds without a mirror before going on alone")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 86'400.0));
  command->add_option("--reason", options->reason, "Why; is kept in the log");
  command->callback([context, options] {
    context->run = [context, options] { return RunCreate(context, *options); };
  });
}

}  // namespace

void AddLog(CLI::App* app, Context* context) {
  CLI::App* log = app->add_subcommand("log", "Read a log, or create one");
  log->require_subcommand(1);
  log->fallthrough();
  AddRead(log, context);
  AddCreate(log, context);
}

}  // namespace kembar::ctl
