// cmd_audit.cc — `audit`: what the capture's audits found, or one made now.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <set>

#include "tools/kembarctl/audit_documents.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/restore_common.h"
#include "tools/kembarctl/status_view.h"
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

constexpr char kNever[] = " was never audited";

struct View {
  Json json;
  std::vector<std::string> troubles;
};

// Adds one audit: what it found, and what it does not show to be equal.
void AddResult(const restore::RecordedAudit& audit, double max_age_h, View* view) {
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
  const auto tables = payload.find("tables");
  if (tables != payload.end() && tables->is_array()) {
    for (const Json& table : *tables) view->json["tables"].push_back(table);
  }
  const auto files = payload.find("files");
  if (files != payload.end() && files->is_object()) MergeFiles(*files, &view->json["files"]);
  for (std::string& trouble : restore::TroublesOf(audit)) {
    view->troubles.push_back(std::move(trouble));
  }
}

// A source without an audit is one that nobody has checked.
void AddNever(const std::string& source, View* view) {
  view->json["sources"].push_back(
      {{"source", source}, {"index", nullptr}, {"time", nullptr}, {"age_seconds", nullptr}});
  view->troubles.push_back("source " + source + kNever);
}

Json TableJson(const restore::TableFinding& table) {
  return {{"name", table.name.Display()}, {"rows", table.rows},   {"equal", table.Equal()},
          {"missing", table.missing},     {"extra", table.extra}, {"differing", table.differing}};
}

std::string AgeText(const Json& source) {
  if (!source["age_seconds"].is_number()) return "never";
  const double age_s = std::max(0.0, source["age_seconds"].get<double>());
  return FormatDuration(static_cast<uint64_t>(age_s)) + " ago";
}

std::string HintFor(const std::string& trouble) {
  if (trouble.starts_with("table ")) {
    return "kembarctl compare postgres --dsn DSN names packages and rows";
  }
  if (!trouble.ends_with(kNever)) return "";
  return "kembar-agent makes one every audit_every_s, the first so long after its start; SIGUSR1 "
         "asks it for one now, --dsn and --dir make one here";
}

Outcome Finish(const Context& context, const View& view) {
  if (context.json()) {
    PrintLine(Dump(view.json));
  } else {
    Table table({{"TABLE"}, {"ROWS", Align::kRight}, {"EQUAL"}});
    for (const Json& row : view.json["tables"]) {
      table.AddRow({Printable(TextOf(row, "name")), CountOf(row, "rows"),
                    SaysYes(row, "equal") ? "yes" : "NO"});
    }
    if (!table.empty()) Print(table.Render({.width = TerminalWidth(), .color = UseColor()}));
    PrintFiles(view.json["files"]);
    for (const Json& source : view.json["sources"]) {
      PrintLine(Printable(TextOf(source, "source")) + ": " + AgeText(source));
    }
  }
  if (view.troubles.empty()) return kExitOk;
  std::string first = view.troubles.front();
  if (view.troubles.size() > 1) {
    first += ", and " + std::to_string(view.troubles.size() - 1) + " more";
  }
  return Status(Code::kDiverged, "audit: " + first, HintFor(view.troubles.front()));
}

View NewView() {
  View view;
  view.json["tables"] = Json::array();
  view.json["files"] = Json::object();
  view.json["sources"] = Json::array();
  return view;
}

struct Sources {
  std::set<std::string> living;   // each should have an audit
  std::set<std::string> retired;  // have ended: nothing is left to compare the log with
};

// By what the log holds of them, and by what nodes have heard.
Result<Sources> KnownSources(Context* context, const std::string& at) {
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string name, context->Log());
  ASSIGN_OR_RETURN(const auto node, context->Reader(at));
  restore::NodeLog log(node, name);
  Sources sources;
  ASSIGN_OR_RETURN(sources.living, restore::CapturedDatabases(&log));
  ASSIGN_OR_RETURN(std::set<std::string> directories, CapturedDirectories(node.get(), name));
  sources.living.merge(directories);
  for (const SourceRow& row : MakeLogView(cluster->nodes(), name).sources) {
    (row.retired ? sources.retired : sources.living).insert(row.name);
  }
  for (const std::string& source : sources.retired) sources.living.erase(source);
  return sources;
}

Outcome ShowRecorded(Context* context, const AuditOptions& options) {
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, options.at));
  ASSIGN_OR_RETURN(auto audits, restore::ReadAudits(log.get(), options.source));
  ASSIGN_OR_RETURN(Sources sources, KnownSources(context, options.at));
  std::set<std::string>& unaudited = sources.living;
  if (options.source.empty()) {
    std::erase_if(audits, [&](const auto& a) { return sources.retired.contains(a.source); });
  } else {
    std::erase_if(unaudited, [&](const auto& source) { return source != options.source; });
  }
  if (audits.empty() && unaudited.empty()) {
    return Status(Code::kNotFound, options.source.empty()
                                       ? "audit: nothing is captured into the log"
                                       : "audit: the log knows no source " + options.source);
  }
  View view = NewView();
  for (const restore::RecordedAudit& audit : audits) {
    AddResult(audit, options.max_age_h, &view);
    unaudited.erase(audit.source);
  }
  for (const std::string& source : unaudited) AddNever(source, &view);
  return Finish(*context, view);
}

Status AuditDatabase(Context* context, const AuditOptions& options, View* view) {
  ASSIGN_OR_RETURN(const auto log, OpenLog(context, options.at));
  const bool other = options.source.starts_with(documents::kDocumentsSources);
  LazyBar bar("audit");
  const Result<restore::Audit> audit = restore::AuditSource(
      log.get(),
      {.dsn = options.dsn, .source = other ? "" : options.source, .timeout = context->timeout()},
      bar.Updater());
  bar.Finish();
  RETURN_IF_ERROR(audit.status());
  SetBoundary(audit->report.boundary, &view->json);
  view->json["lsn"] = capture::FormatLsn(audit->lsn);
  Json tables = Json::array();
  for (const restore::TableFinding& table : audit->report.tables) {
    tables.push_back(TableJson(table));
  }
  const restore::Boundary& boundary = audit->report.boundary;
  AddResult({boundary.source, boundary.index, NowUs(), Dump({{"tables", std::move(tables)}})},
            options.max_age_h, view);
  return Status::Ok();
}

Status AuditFiles(Context* context, const AuditOptions& options, View* view) {
  const bool given = options.source.starts_with(documents::kDocumentsSources);
  ASSIGN_OR_RETURN(const DirectoryAudit audit,
                   AuditDirectory(context, {.dir = options.dir,
                                            .source = given ? options.source : "",
                                            .at = options.at,
                                            .exclude = options.exclude}));
  AddResult({audit.source, audit.index, audit.report.time_us,
             documents::EncodeAudit(audit.report, SIZE_MAX)},
            options.max_age_h, view);
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
      "Exit code 1 when anything is unequal, the latest audit of a source is too old, a source\n"
      "has none, or one could not be made: a check that did not run has failed. kembar-agent\n"
      "makes the first one audit_every_s after its start; SIGUSR1 asks it for one now.");
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
