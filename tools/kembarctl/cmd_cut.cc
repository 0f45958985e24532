// cmd_cut.cc — `cut list`: the moments to which database and documents can be restored as a pair.
#include <CLI/CLI.hpp>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/cut.h"

namespace kembar::ctl {
namespace {

struct CutOptions {
  std::string source;
  std::string at;
  uint32_t last = 10;
};

Json CutJson(const Cut& cut) {
  return {{"index", cut.index},
          {"time", JsonTime(cut.time_us)},
          {"lsn", capture::FormatLsn(cut.lsn)},
          {"source", cut.source},
          {"whole", cut.whole},
          {"missing_documents", cut.missing_documents},
          {"missing", cut.example}};
}

Outcome RunCutList(Context* context, const CutOptions& options) {
  ASSIGN_OR_RETURN(std::vector<Cut> cuts,
                   ListCuts(context, options.at, options.source, options.last));
  for (Cut& cut : cuts) RETURN_IF_ERROR(CheckCut(context, options.at, &cut));
  if (context->json()) {
    Json list = Json::array();
    for (const Cut& cut : cuts) list.push_back(CutJson(cut));
    PrintLine(Dump(list));
    return kExitOk;
  }
  Table table({{"RECORD", Table::Align::kRight}, {"TIME"}, {"SOURCE"}, {"WHOLE"}, {"MISSING"}});
  for (const Cut& cut : cuts) {
    table.AddRow({FormatCount(cut.index), FormatTime(cut.time_us), Printable(cut.source),
                  cut.whole ? "yes" : "NO", Printable(cut.example)});
  }
  Print(table.Render({.width = TerminalWidth(), .color = UseColor()}));
  return kExitOk;
}

}  // namespace

void AddCut(CLI::App* app, Context* context) {
  CLI::App* cut = app->add_subcommand("cut", "Moments to which rows and documents can be restored");
  cut->require_subcommand(1);
  cut->fallthrough();
  auto options = std::make_shared<CutOptions>();
  CLI::App* list = cut->add_subcommand(
      "list", "The newest cuts, and whether every document that rows refer to is there");
  list->add_option("--last", options->last, "So many of the newest")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  list->add_option("--source", options->source, "The captured database (default: all)");
  list->add_option("--at", options->at, "The node to ask (default: the primary)");
  list->callback([context, options] {
    context->run = [context, options] { return RunCutList(context, *options); };
  });
}

}  // namespace kembar::ctl
