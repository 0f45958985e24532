// cmd_import.cc — `import rup|ocds|isb`: published tender files into the log (`manual`: see
// cmd_import_manual.cc).
#include <CLI/CLI.hpp>

#include <atomic>

#include "tools/client/appender.h"
#include "tools/client/reader.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/format.h"
#include "tools/kembarctl/import_plan.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/tables.h"

namespace kembar::ctl {
namespace {

struct ImportOptions {
  std::string format;
  std::vector<std::string> files;
};

struct Totals {
  uint64_t read = 0;
  uint64_t unchanged = 0;
  std::atomic<uint64_t> appended = 0;
  std::vector<import::Reject> rejected;
};

// All of them, before anything is appended: a file that is cut off stops the whole import.
Result<std::vector<import::ImportFile>> ReadAll(const ImportOptions& options) {
  ASSIGN_OR_RETURN(const import::Format format, import::ParseFormat(options.format));
  std::vector<import::ImportFile> files;
  for (const std::string& path : options.files) {
    Result<import::ImportFile> file = import::ReadImportFile(format, path);
    if (!file.ok()) {
      const Status& why = file.status();
      return Status(why.code(), why.message() + "; nothing was imported", why.hint());
    }
    files.push_back(*std::move(file));
  }
  return files;
}

// The versions that the log holds of what the files speak of.
Result<KnownVersions> AskKnown(client::NodeStubs* node, const std::string& log,
                               const std::vector<import::ImportFile>& files) {
  v1::ListItemsRequest request;
  request.set_log(log);
  request.set_package_prefix(CommonPackagePrefix(files));
  uint32_t needed = 1;
  for (const import::ImportFile& file : files) needed = std::max(needed, VersionsNeeded(file));
  request.set_versions_max(needed);
  KnownVersions known;
  const Status status = client::ListItems(
      node, request, client::Deadline::Never(), [&](const v1::ItemVersion& version) {
        const bool deleted = version.kind() == v1::RECORD_KIND_DELETE;
        const bool whole = version.payload_sha256().size() == Digest{}.size();
        known[{version.package(), version.item()}].push_back(
            deleted || !whole ? Digest{} : DigestFromBytes(version.payload_sha256()));
        return true;
      });
  RETURN_IF_ERROR(status.Prepend("ask what the log holds already"));
  for (auto& [item, versions] : known) std::reverse(versions.begin(), versions.end());
  return known;
}

std::vector<v1::Draft> ToDrafts(const import::Draft& row) {
  v1::Draft draft;
  draft.set_kind(v1::RECORD_KIND_PUT);
  draft.set_package(row.package);
  draft.set_item(row.item);
  draft.set_title(row.title);
  draft.set_value(row.value);
  draft.set_unit(row.unit);
  draft.set_payload(row.payload);
  std::vector<v1::Draft> drafts;
  drafts.push_back(std::move(draft));
  return drafts;
}

Status AppendFile(Context* context, client::Cluster* cluster, const std::string& log,
                  const std::string& format, const import::ImportFile& file, KnownVersions* known,
                  Totals* totals, ProgressBar* progress) {
  client::AppenderOptions options{.log = log, .source = ImportSource(format, file)};
  options.timeout = context->timeout();
  client::Appender appender(cluster, options,
                            [totals](const v1::AppendResponse&) { ++totals->appended; });
  RETURN_IF_ERROR(appender.Start());
  const ImportPlan plan = PlanImport(file, appender.last_position(), known);
  totals->unchanged += plan.unchanged;
  for (const size_t i : plan.append) {
    RETURN_IF_ERROR(appender.Append(file.drafts[i].row, ToDrafts(file.drafts[i])));
    progress->Update(totals->appended + totals->unchanged);
  }
  return appender.Finish();
}

void PrintTotals(const Context& context, const Totals& totals) {
  Json rejected = Json::array();
  for (const import::Reject& reject : totals.rejected) {
    rejected.push_back({{"file", reject.file}, {"row", reject.row}, {"reason", reject.reason}});
  }
  if (context.json()) {
    PrintLine(Dump({{"read", totals.read},
                    {"appended", totals.appended.load()},
                    {"unchanged", totals.unchanged},
                    {"rejected", std::move(rejected)}}));
  } else {
    PrintLine("read " + FormatCount(totals.read) + ", appended " +
              FormatCount(totals.appended.load()) + ", unchanged " + FormatCount(totals.unchanged) +
              ", rejected " + FormatCount(totals.rejected.size()));
  }
}

Outcome RunImport(Context* context, const ImportOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<import::ImportFile> files, ReadAll(options));
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  ASSIGN_OR_RETURN(const client::NodeView* primary,
                   cluster->WaitForPrimary(log, client::Deadline::After(context->timeout())));
  const auto node = cluster->Stubs(primary->address);
  ASSIGN_OR_RETURN(KnownVersions known, AskKnown(node.get(), log, files));
  Totals totals;
  for (const import::ImportFile& file : files) {
    totals.read += file.rows;
    totals.rejected.insert(totals.rejected.end(), file.rejected.begin(), file.rejected.end());
  }
  ProgressBar progress("import", totals.read - totals.rejected.size());
  for (const import::ImportFile& file : files) {
    const Status status =
        AppendFile(context, cluster, log, options.format, file, &known, &totals, &progress);
    if (!status.ok()) {
      progress.Finish();
      return Status(status.code(),
                    "import " + file.path + ": " + status.message() + "; " +
                        std::to_string(totals.appended) + " rows were appended so far",
                    "run the same import again: it goes on where it stopped");
    }
  }
  progress.Finish();
  if (!totals.rejected.empty()) Note(RejectsText(totals.rejected));
  PrintTotals(*context, totals);
  return totals.rejected.empty() ? kExitOk : kExitFailed;
}

void AddFormat(CLI::App* parent, Context* context, const std::string& format,
               const std::string& about) {
  auto options = std::make_shared<ImportOptions>();
  options->format = format;
  CLI::App* command = parent->add_subcommand(format, about);
  command->add_option("files", options->files, "Files to import")->required();
  command->callback([context, options] {
    context->run = [context, options] { return RunImport(context, *options); };
  });
}

}  // namespace

void AddImport(CLI::App* app, Context* context) {
  CLI::App* command = app->add_subcommand("import", "Append published tender files, each row once");
  command->footer(
      "All files are read and checked before anything is appended. A broken row is rejected, the\n"
      "rest goes in, and the exit code is then 1. Importing a file again appends nothing.");
  command->require_subcommand(1);
  command->fallthrough();
  AddFormat(command, context, "rup", "SiRUP procurement plans, a JSON array");
  AddFormat(command, context, "ocds", "OCDS 1.1 release packages");
  AddFormat(command, context, "isb", "LKPP's ISB exports of an SPSE");
  AddImportManual(command, context);
}

}  // namespace kembar::ctl
