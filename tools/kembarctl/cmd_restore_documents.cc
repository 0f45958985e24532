// cmd_restore_documents.cc — `restore documents`: files out of the log, from whichever node has
// them.
#include <CLI/CLI.hpp>

#include <chrono>

#include "tools/documents/fetch.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/cut.h"
#include "tools/kembarctl/restore_common.h"

namespace kembar::ctl {
namespace {

struct RestoreDocumentsOptions : DocumentsOptions {
  std::string to;
  bool overwrite = false;
};

// The node that lists first, then all others that hold the log: any may have a chunk.
Result<documents::Nodes> NodesOf(Context* context, const std::string& log,
                                 const std::shared_ptr<client::NodeStubs>& first) {
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  documents::Nodes nodes = {first};
  for (const client::NodeView& view : cluster->nodes()) {
    if (view.Log(log) == nullptr || view.address == first->address) continue;
    nodes.push_back(cluster->Stubs(view.address));
  }
  return nodes;
}

Json TroublesJson(const std::vector<documents::Trouble>& troubles) {
  Json json = Json::array();
  for (const documents::Trouble& trouble : troubles) {
    json.push_back(
        {{"package", trouble.package}, {"path", JsonPath(trouble.path)}, {"why", trouble.why}});
  }
  return json;
}

std::string TroublesText(const std::string& title,
                         const std::vector<documents::Trouble>& troubles) {
  if (troubles.empty()) return {};
  Table table({{"PACKAGE"}, {title}, {"WHY"}});
  for (const documents::Trouble& trouble : troubles) {
    table.AddRow({Printable(trouble.package), Printable(trouble.path), Printable(trouble.why)});
  }
  return table.Render({.width = TerminalWidth(), .color = UseColor()});
}

void Tell(const Context& context, const documents::RestoreReport& report,
          const documents::Referenced& referenced, double seconds) {
  if (context.json()) {
    PrintLine(Dump({{"files", report.files},
                    {"bytes", report.bytes},
                    {"skipped", report.skipped},
                    {"missing", TroublesJson(report.missing)},
                    {"refused", TroublesJson(report.refused)},
                    {"referenced", referenced.documents.size()},
                    {"dangling", TroublesJson(referenced.dangling)},
                    {"seconds", seconds}}));
    return;
  }
  Print(TroublesText("MISSING", report.missing));
  Print(TroublesText("NOT OVERWRITTEN", report.refused));
  Print(TroublesText("ROWS REFER TO IT", referenced.dangling));
  PrintLine(FormatCount(report.files) + " files restored, " + FormatBytes(report.bytes) + "; " +
            FormatCount(report.skipped) + " were there already, " +
            FormatCount(report.missing.size()) + " missing, " + FormatCount(report.refused.size()) +
            " not overwritten");
  if (referenced.documents.empty()) return;
  PrintLine(FormatCount(referenced.documents.size()) +
            " of these only because rows refer to them: recorded later, or deleted before");
}

Outcome RunRestoreDocuments(Context* context, const RestoreDocumentsOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const DocumentsOfMoment found, ListDocumentsOfMoment(context, options));
  ASSIGN_OR_RETURN(documents::Nodes nodes, NodesOf(context, found.log, found.node));
  documents::Fetcher fetcher(std::move(nodes));
  LazyBar bar("restore documents");
  Result<documents::RestoreReport> report = documents::RestoreDocuments(
      &fetcher, found.documents, options.to, options.overwrite, bar.Updater());
  bar.Finish();
  if (!report.ok()) {
    const Status why = report.status().Prepend("restore documents");
    return Status(why.code(), why.message(), "run the same command again: it goes on from there");
  }
  report->missing.insert(report->missing.end(), found.unreadable.begin(), found.unreadable.end());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  Tell(*context, *report, found.referenced, seconds);
  if (report->missing.empty() && report->refused.empty()) return kExitOk;
  if (!report->refused.empty()) Note("--overwrite replaces files that differ");
  return kExitFailed;
}

}  // namespace

void AddRestoreDocuments(CLI::App* parent, Context* context) {
  auto options = std::make_shared<RestoreDocumentsOptions>();
  CLI::App* command = parent->add_subcommand(
      "documents", "Files into a directory; equal ones are skipped, so it can be repeated");
  command->add_option("--to", options->to, "The directory to write to")->required();
  command->add_option("--package", options->packages,
                      "Only the documents of these packages; - has those of no package");
  command->add_option(
      "--as-of", options->as_of,
      "As it was at this index or time, such as 2019-07-08T12:00:00+07:00, or at the\n"
      "newest cut at which all documents were there: cut");
  command->add_option("--source", options->source,
                      "Of several captured databases: whose cut, such as postgres/spse");
  command->add_option("--at", options->at, "The node to ask first (default: the primary)");
  command->add_flag("--overwrite", options->overwrite, "Replace files that differ");
  command->callback([context, options] {
    context->run = [context, options] { return RunRestoreDocuments(context, *options); };
  });
}

}  // namespace kembar::ctl
