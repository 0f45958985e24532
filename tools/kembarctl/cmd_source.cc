// cmd_source.cc — `source list|retire`: the captures that feed a log, and when each was last heard.
#include <CLI/CLI.hpp>

#include <algorithm>

#include "tools/client/appender.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/format.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/status_view.h"
#include "tools/kembarctl/tables.h"

namespace kembar::ctl {
namespace {

struct SourceOptions {
  std::string source;
  std::string reason;
};

Result<LogView> ViewOfLog(Context* context) {
  ASSIGN_OR_RETURN(const client::Cluster* cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  return MakeLogView(cluster->nodes(), log);
}

Outcome RunSourceList(Context* context) {
  ASSIGN_OR_RETURN(const LogView view, ViewOfLog(context));
  if (context->json()) {
    PrintLine(Dump(SourcesJson(view)));
  } else {
    Print(SourcesText(view));
  }
  return kExitOk;
}

// One that is not in the list, such as a directory without a canary, may have appended once.
Status CheckFeeds(Context* context, client::PrimaryFollower* follower, const std::string& source) {
  ASSIGN_OR_RETURN(const LogView view, ViewOfLog(context));
  const bool listed = std::any_of(view.sources.begin(), view.sources.end(),
                                  [&](const SourceRow& row) { return row.name == source; });
  if (listed) return Status::Ok();
  ASSIGN_OR_RETURN(
      const v1::SourcePositionResponse ever,
      client::ReadSourcePosition(follower, source, client::Deadline::After(context->timeout())));
  if (ever.position() > 0) return Status::Ok();
  return {Code::kNotFound, "no capture called " + source + " feeds log " + view.log,
          "see kembarctl source list"};
}

Outcome RunSourceRetire(Context* context, const SourceOptions& options) {
  ASSIGN_OR_RETURN(client::PrimaryFollower * follower, context->Follower());
  RETURN_IF_ERROR(CheckFeeds(context, follower, options.source));
  v1::AppendRequest request;
  request.set_log(follower->log());
  request.set_source("kembarctl/retire/" + options.source);
  ASSIGN_OR_RETURN(const v1::SourcePositionResponse last,
                   client::ReadSourcePosition(follower, request.source(),
                                              client::Deadline::After(context->timeout())));
  request.set_position(last.position() + 1);
  v1::Draft* draft = request.add_drafts();
  draft->set_kind(v1::RECORD_KIND_PUT);
  draft->set_package("-");
  draft->set_item("retired/" + options.source);
  draft->set_payload(Dump({{"by", Context::Actor()}, {"reason", options.reason}}));
  ASSIGN_OR_RETURN(const v1::AppendResponse answer,
                   client::AppendOnce(follower, request, context->timeout()));
  if (context->json()) {
    PrintLine(Dump({{"source", options.source}, {"index", answer.index()}}));
  } else {
    PrintLine(options.source + " is retired as of record " + std::to_string(answer.index()) +
              "; it counts again when something comes from it");
  }
  return kExitOk;
}

}  // namespace

void AddSource(CLI::App* app, Context* context) {
  CLI::App* source =
      app->add_subcommand("source", "The captures that feed the log, and when each was last heard");
  source->require_subcommand(1);
  source->fallthrough();
  auto options = std::make_shared<SourceOptions>();
  CLI::App* list = source->add_subcommand("list", "Every capture, with the age of its last sign");
  list->callback([context] { context->run = [context] { return RunSourceList(context); }; });
  CLI::App* retire =
      source->add_subcommand("retire", "Say that a capture has ended for good: no alarm any more");
  retire->add_option("source", options->source, "Its name, such as postgres/epns")->required();
  retire->add_option("--reason", options->reason, "Why; recorded in the log");
  retire->callback([context, options] {
    context->run = [context, options] { return RunSourceRetire(context, *options); };
  });
}

}  // namespace kembar::ctl
