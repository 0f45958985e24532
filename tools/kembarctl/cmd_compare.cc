// cmd_compare.cc — `compare postgres`: a database against the log, package by package.
#include <CLI/CLI.hpp>

#include <ctime>
#include <fstream>
#include <iterator>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/compare_view.h"
#include "tools/kembarctl/cut.h"
#include "tools/kembarctl/restore_common.h"
#include "tools/restore/compare.h"
#include "tools/restore/thresholds.h"

namespace kembar::ctl {
namespace {

struct CompareOptions : DatabaseOptions {
  std::string thresholds;
  std::string date;
};

Result<restore::Thresholds> ReadThresholds(const std::string& path) {
  if (path.empty()) return restore::Thresholds::BuiltIn();
  std::ifstream file(path, std::ios::binary);
  if (!file) return Status(Code::kNotFound, "file " + path + " cannot be opened");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return Status(Code::kIo, "file " + path + " cannot be read");
  return restore::Thresholds::Parse(text, path);
}

// In the machine's zone, as an official would say it.
std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[16];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%d", &local);
  return {text, size};
}

Outcome RunPostgres(Context* context, const CompareOptions& options) {
  const std::string date = options.date.empty() ? Today() : options.date;
  if (!restore::IsDate(date)) {
    context->wrong_usage = true;
    return Status(Code::kInvalid, "--date " + date + " is no date", "such as 2026-11-24");
  }
  ASSIGN_OR_RETURN(const restore::Thresholds thresholds, ReadThresholds(options.thresholds));
  restore::CompareOptions comparing{
      .dsn = options.dsn, .as_of = {}, .source = options.source, .packages = options.packages};
  ASSIGN_OR_RETURN(comparing.as_of,
                   ResolveAsOf(context, options.as_of, options.at, options.source));
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, options.at));
  LazyBar bar("compare");
  const Result<restore::CompareReport> report =
      restore::Compare(log.get(), comparing, bar.Updater());
  bar.Finish();
  if (!report.ok()) return report.status().Prepend("compare");
  const MissingValue missing = SplitMissing(*report, thresholds, date);
  if (context->json()) {
    PrintLine(Dump(CompareJson(*report, missing)));
  } else {
    Print(CompareText(*report, missing));
  }
  return report->Identical() ? kExitOk : kExitFailed;
}

void AddPostgres(CLI::App* parent, Context* context) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = parent->add_subcommand(
      "postgres", "A PostgreSQL database: identical, differing, missing, extra, by package");
  command->add_option("--dsn", options->dsn, "The database to look at, as libpq takes it")
      ->required();
  command->add_option("--package", options->packages, "Tell only of these packages");
  command->add_option("--as-of", options->as_of,
                      "As the log was at this index or time, such as 2019-07-08T12:00:00+07:00,\n"
                      "or at the newest cut at which all documents were there: cut");
  command->add_option("--thresholds", options->thresholds,
                      "Limits of direct procurement, TOML (default: as built in)");
  command->add_option("--date", options->date,
                      "The day whose limits count, YYYY-MM-DD (default: today)");
  AddSourceOptions(command, options.get());
  command->callback([context, options] {
    context->run = [context, options] { return RunPostgres(context, *options); };
  });
}

}  // namespace

void AddCompare(CLI::App* app, Context* context) {
  CLI::App* command = app->add_subcommand("compare", "What is the same, and what is not");
  command->footer("Nothing is written. Exit code 0: identical; 1: not identical, or not compared.");
  command->require_subcommand(1);
  command->fallthrough();
  AddPostgres(command, context);
  AddCompareDocuments(command, context);
}

}  // namespace kembar::ctl
