// cmd_restore.cc — `restore postgres`: a whole database, or single packages of a living one, out of
// the log.
#include <CLI/CLI.hpp>

#include <chrono>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/cut.h"
#include "tools/kembarctl/restore_common.h"
#include "tools/restore/repair.h"
#include "tools/restore/restore.h"

namespace kembar::ctl {
namespace {

using Clock = std::chrono::steady_clock;
using Align = Table::Align;

struct RestoreOptions : DatabaseOptions {
  bool overwrite = false;
};

double SecondsSince(Clock::time_point start) {
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  return static_cast<double>(passed.count()) / 1000;
}

std::string SecondsText(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

std::string Render(const Table& table) {
  return table.empty() ? "" : table.Render({.width = TerminalWidth(), .color = UseColor()});
}

// What the rows had and the schema has no place for: data on standard error, for it is a warning.
void WarnLeftOut(const restore::Restored& restored) {
  for (const auto& left : restored.left_out_columns) {
    Note("warning: table " + Printable(left.table.Display()) + " has no column " +
         Printable(left.column) + " any more: left out of " + FormatCount(left.rows) + " rows");
  }
  for (const auto& left : restored.left_out_tables) {
    Note("warning: there is no table " + Printable(left.name.Display()) +
         " any more: " + FormatCount(left.rows) + " rows left out");
  }
}

Json RestoredJson(const restore::RestoreReport& report, double seconds) {
  const restore::Restored& restored = report.restored;
  Json json;
  SetBoundary(report.boundary, &json);
  json["tables"] = Json::array();
  for (const auto& table : restored.tables) {
    json["tables"].push_back({{"name", table.name.Display()}, {"rows", table.rows}});
  }
  json["sequences"] = restored.sequences;
  json["large_objects"] = restored.large_objects;
  json["left_out_columns"] = Json::array();
  for (const auto& left : restored.left_out_columns) {
    json["left_out_columns"].push_back(
        {{"table", left.table.Display()}, {"column", left.column}, {"rows", left.rows}});
  }
  json["left_out_tables"] = Json::array();
  for (const auto& left : restored.left_out_tables) {
    json["left_out_tables"].push_back({{"name", left.name.Display()}, {"rows", left.rows}});
  }
  json["seconds"] = seconds;
  return json;
}

Outcome RestoreAll(Context* context, const RestoreOptions& options,
                   const restore::RestoreOptions& restoring) {
  const Clock::time_point start = Clock::now();
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, options.at));
  LazyBar bar("restore");
  const Result<restore::RestoreReport> report =
      restore::RestoreDatabase(log.get(), restoring, bar.Updater());
  bar.Finish();
  if (!report.ok()) return report.status().Prepend("restore");
  WarnLeftOut(report->restored);
  if (!report->analyze_error.empty()) {
    Note("warning: ANALYZE failed, queries may be slow: " + Printable(report->analyze_error));
  }
  const double seconds = SecondsSince(start);
  if (context->json()) {
    PrintLine(Dump(RestoredJson(*report, seconds)));
    return kExitOk;
  }
  Table table({{"TABLE"}, {"ROWS", Align::kRight}});
  uint64_t rows = 0;
  for (const auto& of_table : report->restored.tables) {
    table.AddRow({Printable(of_table.name.Display()), FormatCount(of_table.rows)});
    rows += of_table.rows;
  }
  Print(Render(table));
  PrintLine("restored as of " + BoundaryText(report->boundary) + ": " + FormatCount(rows) +
            " rows of " + FormatCount(report->restored.tables.size()) + " tables, " +
            FormatCount(report->restored.sequences) + " sequences, " +
            FormatCount(report->restored.large_objects) + " large objects, in " +
            SecondsText(seconds));
  Note("documents of that moment: kembarctl restore documents --to DIR --as-of " +
       std::to_string(report->boundary.index));
  return kExitOk;
}

Json NotesJson(const std::vector<restore::RowNote>& notes) {
  Json list = Json::array();
  for (const restore::RowNote& note : notes) {
    list.push_back({{"package", note.package},
                    {"table", note.table.Display()},
                    {"key", note.key},
                    {"columns", note.columns}});
  }
  return list;
}

Json RepairJson(const restore::RepairReport& report, double seconds) {
  Json json;
  SetBoundary(report.boundary, &json);
  json["tables"] = Json::array();
  for (const auto& table : report.tables) {
    json["tables"].push_back({{"name", table.name.Display()},
                              {"inserted", table.inserted},
                              {"updated", table.updated},
                              {"deleted", table.deleted},
                              {"unchanged", table.unchanged}});
  }
  json["refused"] = NotesJson(report.refused);
  json["deleted_in_log"] = NotesJson(report.deleted_in_log);
  json["sequences_raised"] = report.sequences_raised;
  json["seconds"] = seconds;
  return json;
}

std::string NotesText(const std::vector<restore::RowNote>& notes) {
  Table table({{"PACKAGE"}, {"TABLE"}, {"KEY"}, {"COLUMNS"}});
  for (const restore::RowNote& note : notes) {
    std::string columns;
    for (const std::string& column : note.columns) {
      columns += (columns.empty() ? "" : ", ") + Printable(column);
    }
    table.AddRow(
        {Printable(note.package), Printable(note.table.Display()), Printable(note.key), columns});
  }
  return Render(table);
}

void PrintRepair(const restore::RepairReport& report, double seconds) {
  Table table({{"TABLE"},
               {"INSERTED", Align::kRight},
               {"UPDATED", Align::kRight},
               {"DELETED", Align::kRight},
               {"UNCHANGED", Align::kRight}});
  for (const auto& row : report.tables) {
    table.AddRow({Printable(row.name.Display()), FormatCount(row.inserted),
                  FormatCount(row.updated), FormatCount(row.deleted), FormatCount(row.unchanged)});
  }
  if (!report.deleted_in_log.empty()) {
    PrintLine("Deleted in the log, but still in the database (they stay):");
    Print(NotesText(report.deleted_in_log));
  }
  if (!report.refused.empty()) {
    PrintLine("In a state that the log does not know (newer, or not ours):");
    Print(NotesText(report.refused));
    return;
  }
  Print(Render(table));
  PrintLine("repaired as of " + BoundaryText(report.boundary) + ", in " + SecondsText(seconds));
}

Outcome RestorePackages(Context* context, const RestoreOptions& options,
                        const restore::RestoreOptions& restoring) {
  const Clock::time_point start = Clock::now();
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, options.at));
  LazyBar bar("restore packages");
  const Result<restore::RepairReport> report =
      restore::RepairPackages(log.get(),
                              {.dsn = restoring.dsn,
                               .as_of = restoring.as_of,
                               .source = restoring.source,
                               .packages = options.packages,
                               .overwrite = options.overwrite},
                              bar.Updater());
  bar.Finish();
  if (!report.ok()) return report.status().Prepend("restore");
  const double seconds = SecondsSince(start);
  if (context->json()) {
    PrintLine(Dump(RepairJson(*report, seconds)));
  } else {
    PrintRepair(*report, seconds);
  }
  if (report->refused.empty()) return kExitOk;
  const restore::RowNote& first = report->refused.front();
  std::string columns;
  for (const std::string& column : first.columns) columns += " " + column;
  return Status(Code::kDiverged,
                "restore: " + std::to_string(report->refused.size()) +
                    " rows are newer in the database or not ours, such as " +
                    first.table.Display() + " " + first.key + " (" + first.package + "), columns" +
                    columns + "; nothing was written to the database",
                "--overwrite takes the log's state for all of them");
}

Outcome RunPostgres(Context* context, const RestoreOptions& options) {
  restore::RestoreOptions restoring{.dsn = options.dsn, .as_of = {}, .source = options.source};
  ASSIGN_OR_RETURN(restoring.as_of,
                   ResolveAsOf(context, options.as_of, options.at, options.source));
  if (!options.packages.empty()) return RestorePackages(context, options, restoring);
  if (options.overwrite) {
    context->wrong_usage = true;
    return Status(Code::kInvalid, "--overwrite goes with --package",
                  "a whole database is only restored where there is none");
  }
  return RestoreAll(context, options, restoring);
}

void AddPostgres(CLI::App* parent, Context* context) {
  auto options = std::make_shared<RestoreOptions>();
  CLI::App* command = parent->add_subcommand(
      "postgres", "A PostgreSQL database into an empty one, or packages into a living one");
  command->add_option("--dsn", options->dsn, "The database to write to, as libpq takes it")
      ->required();
  command->add_option("--package", options->packages,
                      "Repair only these packages, in a living database");
  command->add_option(
      "--as-of", options->as_of,
      "As it was at this index or time, such as 2019-07-08T12:00:00+07:00, or at the\n"
      "newest cut at which all documents were there: cut");
  command->add_flag("--overwrite", options->overwrite,
                    "With --package: also replace rows in a state that the log does not know, "
                    "and delete rows that are deleted in the log");
  AddSourceOptions(command, options.get());
  command->callback([context, options] {
    context->run = [context, options] { return RunPostgres(context, *options); };
  });
}

}  // namespace

void AddRestore(CLI::App* app, Context* context) {
  CLI::App* command = app->add_subcommand("restore", "Bring back what the log holds");
  command->footer(
      "One database transaction: after a failure the database is as it was, and the same command\n"
      "can be run again. docs/restore.md has the whole procedure.");
  command->require_subcommand(1);
  command->fallthrough();
  AddPostgres(command, context);
  AddRestoreDocuments(command, context);
}

}  // namespace kembar::ctl
