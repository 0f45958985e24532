// cmd_append.cc — `append`: one item from a file.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>

#include "replicator/log/epoch_history.h"
#include "replicator/log/record.h"
#include "tools/import/import.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/json.h"

namespace kembar::ctl {
namespace {

struct AppendOptions {
  std::string package;
  std::string item;
  std::string file;
  std::string title;
  std::string unit;
  std::string value;
  std::string source;
  uint64_t position = 0;
};

Result<std::string> ReadPayload(const std::string& file) {
  Result<std::string> payload =
      file == "-" ? import::ReadWholeStream(stdin, "standard input") : import::ReadWholeFile(file);
  if (!payload.ok()) {
    return Status(payload.status().code(), "file " + payload.status().message());
  }
  if (payload->size() > kPayloadBytesMax) {
    return Status(Code::kInvalid, "file " + file + " has " + std::to_string(payload->size()) +
                                      " bytes; a record holds at most " +
                                      std::to_string(kPayloadBytesMax));
  }
  return payload;
}

// A position that no earlier attempt of this source can have used, also one that is still waiting
// for its mirror and not to be seen yet: the clock's, in microseconds.
Result<uint64_t> FreshPosition(client::PrimaryFollower* follower, const std::string& source,
                               const client::Deadline& deadline) {
  ASSIGN_OR_RETURN(const v1::SourcePositionResponse last,
                   client::ReadSourcePosition(follower, source, deadline));
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return std::max(last.position() + 1, static_cast<uint64_t>(now.count()));
}

Outcome RunAppend(Context* context, const AppendOptions& options) {
  ASSIGN_OR_RETURN(std::string payload, ReadPayload(options.file));
  ASSIGN_OR_RETURN(client::PrimaryFollower * follower, context->Follower());
  v1::AppendRequest request;
  request.set_log(follower->log());
  request.set_source(options.source.empty() ? "kembarctl/" + Context::Actor() : options.source);
  request.set_position(options.position);
  if (options.position == 0) {
    ASSIGN_OR_RETURN(
        const uint64_t position,
        FreshPosition(follower, request.source(), client::Deadline::After(context->timeout())));
    request.set_position(position);
  }
  v1::Draft* draft = request.add_drafts();
  draft->set_kind(v1::RECORD_KIND_PUT);
  draft->set_package(options.package);
  draft->set_item(options.item);
  draft->set_title(options.title);
  draft->set_value(options.value);
  draft->set_unit(options.unit);
  draft->set_payload(std::move(payload));
  ASSIGN_OR_RETURN(const v1::AppendResponse answer,
                   client::AppendOnce(follower, request, context->timeout()));
  if (context->json()) {
    PrintLine(Dump({{"index", answer.index()},
                    {"epoch", EpochNumber(answer.epoch())},
                    {"sites", answer.sites()},
                    {"duplicate", answer.duplicate()},
                    {"source", request.source()},
                    {"position", request.position()}}));
  } else {
    PrintLine("record " + std::to_string(answer.index()) + ", epoch " + EpochText(answer.epoch()) +
              ", held at " + std::to_string(answer.sites()) + " sites" +
              (answer.duplicate() ? " (was there already)" : ""));
  }
  return kExitOk;
}

}  // namespace

void AddAppend(CLI::App* app, Context* context) {
  auto options = std::make_shared<AppendOptions>();
  CLI::App* command = app->add_subcommand("append", "Append one item of a package from a file");
  command->add_option("--package", options->package, "The package, such as tender/2612639")
      ->required();
  command->add_option("--item", options->item, "The item inside the package")->required();
  command->add_option("--file", options->file, "Its content; - reads standard input")->required();
  command->add_option("--title", options->title, "The package's title");
  command->add_option("--value", options->value, "The package's value in rupiah, 999995334.78");
  command->add_option("--unit", options->unit, "The work unit (satuan kerja) that buys it");
  CLI::Option* source =
      command->add_option("--source", options->source, "Who appends (default kembarctl/USER@HOST)");
  command
      ->add_option("--position", options->position,
                   "The source's own position, growing; a repeated one is not appended again "
                   "(default: the clock)")
      ->check(CLI::PositiveNumber)
      ->needs(source);
  command->callback([context, options] {
    context->run = [context, options] { return RunAppend(context, *options); };
  });
}

}  // namespace kembar::ctl
