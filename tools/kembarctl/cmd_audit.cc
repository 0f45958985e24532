// cmd_audit.cc — `audit`: what the capture's audits found, or one made now.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>

#include "tools/kembarctl/audit_documents.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/restore_common.h"
#include "tools/restore/audit.h"

namespace kembar::ctl {
namespace {

using Align = Table::Align;

// The agent makes one a day (audit_every_s); two missed are too many.
constexpr double kMaxAgeHours = 49;

struct AuditOptions : DatabaseOptions {
  std::string dir;
  std::vector<std::string> exclude;
  double max_age_h = kMaxAgeHours;
};

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct View {
  Json json;
  std::vector<std::string> troubles;
};

void AddTableTroubles(const Json& tables, View* view) {
  if (!tables.is_array()) return;
  for (const Json& table : tables) {
    const auto equal = table.find("equal");
    if (equal != table.end() && equal->is_boolean() && equal->get<bool>()) continue;
    view->troubles.push_back("table " + table.value("name", std::string("?")) + " is not equal");
  }
}

void AddFiles(const Json& files, const std::string& source, View* view) {
  MergeFiles(files, &view->json["files"]);
  const auto equal = files.find("equal");
  if (equal == files.end() || *equal == true) return;
  view->troubles.push_back("the files of " + source + " are not equal");
}

// Adds one recorded audit. What can't be read has not been checked.
void AddRecorded(const restore::RecordedAudit& audit, double max_age_h, View* view) {
  const double age_s = static_cast<double>(NowUs() - audit.time_us) / 1e6;
  view->json["sources"].push_back({{"source", audit.source},
                                   {"index", audit.index},
                                   {"time", JsonTime(audit.time_us)},
                                   {"age_seconds", age_s}});
  if (age_s > max_age_h * 3600) {
    view->troubles.push_back("the audit of " + audit.source + " is " +
                             FormatDuration(static_cast<uint64_t>(age_s)) + " old");
  }
  const Json payload = Json::parse(audit.payload, nullptr, false);
  const bool has_tables = payload.is_object() && payload.contains("tables");
  const bool has_files = payload.is_object() && payload.contains("files");
  if (!has_tables && !has_files) {
    view->troubles.push_back("the audit of " + audit.source + " cannot be read");
    return;
  }
  if (has_tables && payload["tables"].is_array()) {
    AddTableTroubles(payload["tables"], view);
    for (const Json& table : payload["tables"]) view->json["tables"].push_back(table);
  }
  if (has_files && payload["files"].is_object()) {
    AddFiles(payload["files"], audit.source, view);
  }
}

Json TableJson(const restore::TableFinding& table) {
  return {{"name", table.name.Display()}, {"rows", table.rows},   {"equal", table.Equal()},
          {"missing", table.missing},     {"extra", table.extra}, {"differing", table.differing}};
}

Outcome Finish(const Context& context, const View& view) {
  if (context.json()) {
    PrintLine(Dump(view.json));
  } else {
    Table table({{"TABLE"}, {"ROWS", Align::kRight}, {"EQUAL"}});
    for (const Json& row : view.json["tables"]) {
      const bool equal = row.contains("equal") && row["equal"] == true;
      table.AddRow({Printable(row.value("name", std::string("?"))),
                    FormatCount(row.value("rows", uint64_t{0})), equal ? "yes" : "NO"});
    }
    if (!table.empty()) Print(table.Render({.width = TerminalWidth(), .color = UseColor()}));
    PrintFiles(view.json["files"]);
    for (const Json& source : view.json["sources"]) {
      PrintLine(
          Printable(source.value("source", std::string())) + ": " +
          FormatDuration(static_cast<uint64_t>(std::max(0.0, source.value("age_seconds", 0.0)))) +
          " ago");
    }
  }
  if (view.troubles.empty()) return kExitOk;
  std::string first = view.troubles.front();
  if (view.troubles.size() > 1) {
    first += ", and " + std::to_string(view.troubles.size() - 1) + " more";
  }
  return Status(Code::kDiverged, "audit: " + first,
                view.troubles.front().starts_with("table ")
                    ? "kembarctl compare postgres --dsn DSN names packages and rows"
                    : "");
}

View NewView() {
  View view;
  view.json["tables"] = Json::array();
  view.json["files"] = Json::object();
  view.json["sources"] = Json::array();
  return view;
}

Outcome ShowRecorded(Context* context, const AuditOptions& options) {
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, options.at));
  const auto audits = restore::ReadAudits(log.get(), options.source);
  if (!audits.ok()) return audits.status().Prepend("audit");
  View view = NewView();
  for (const restore::RecordedAudit& audit : *audits) {
    AddRecorded(audit, options.max_age_h, &view);
  }
  return Finish(*context, view);
}

Status AuditDatabase(Context* context, const AuditOptions& options, View* view) {
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, options.at));
  const bool other = options.source.starts_with(kDocumentsSources);
  LazyBar bar("audit");
  const Result<restore::Audit> audit = restore::AuditSource(
      log.get(),
      {.dsn = options.dsn, .source = other ? "" : options.source, .timeout = context->timeout()},
      bar.Updater());
  bar.Finish();
  RETURN_IF_ERROR(audit.status());
  SetBoundary(audit->report.boundary, &view->json);
  view->json["lsn"] = capture::FormatLsn(audit->lsn);
  for (const restore::TableFinding& table : audit->report.tables) {
    view->json["tables"].push_back(TableJson(table));
  }
  view->json["sources"].push_back({{"source", audit->report.boundary.source},
                                   {"index", audit->report.boundary.index},
                                   {"time", JsonTime(NowUs())},
                                   {"age_seconds", 0.0}});
  AddTableTroubles(view->json["tables"], view);
  return Status::Ok();
}

Status AuditFiles(Context* context, const AuditOptions& options, View* view) {
  const bool given = options.source.starts_with(kDocumentsSources);
  ASSIGN_OR_RETURN(const DirectoryAudit audit,
                   AuditDirectory(context, {.dir = options.dir,
                                            .source = given ? options.source : "",
                                            .at = options.at,
                                            .exclude = options.exclude}));
  view->json["sources"].push_back(
      {{"source", audit.source},
       {"index", audit.index},
       {"time", JsonTime(audit.report.time_us)},
       {"age_seconds", static_cast<double>(NowUs() - audit.report.time_us) / 1e6}});
  AddFiles(FilesJson(audit.report), audit.source, view);
  return Status::Ok();
}

// Of what is given: the database, the directory, or both.
Outcome AuditNow(Context* context, const AuditOptions& options) {
  View view = NewView();
  Status status;
  if (!options.dsn.empty()) status = AuditDatabase(context, options, &view);
  if (status.ok() && !options.dir.empty()) status = AuditFiles(context, options, &view);
  if (!status.ok()) return status.Prepend("audit");
  return Finish(*context, view);
}

}  // namespace

void AddAudit(CLI::App* app, Context* context) {
  auto options = std::make_shared<AuditOptions>();
  CLI::App* command = app->add_subcommand(
      "audit", "Does the log hold what its living sources hold? The latest audit, or one now");
  command->footer(
      "Exit code 1 when anything is unequal, the latest audit is too old, there is none, or one\n"
      "could not be made: a check that did not run has failed.");
  command->add_option("--dsn", options->dsn,
                      "Audit this living source now (its user needs REPLICATION)");
  command->add_option(
      "--dir", options->dir,
      "Audit this living uploads directory now: every byte of every file (of several\n"
      "sources: --source documents/NAME)");
  command->add_option("--exclude", options->exclude,
                      "Paths of it that the agent leaves out (patterns of documents.exclude)");
  command
      ->add_option("--max-age", options->max_age_h, "Hours after which a recorded audit is too old")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddSourceOptions(command, options.get());
  command->callback([context, options] {
    context->run = [context, options] {
      const bool now = !options->dsn.empty() || !options->dir.empty();
      return now ? AuditNow(context, *options) : ShowRecorded(context, *options);
    };
  });
}

}  // namespace kembar::ctl
