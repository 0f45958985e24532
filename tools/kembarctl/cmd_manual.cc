// cmd_manual.cc — `manual list`, `manual entered`: what was procured by hand and must still be
// entered in SPSE.
#include <CLI/CLI.hpp>

#include <chrono>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/format.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/manual_log.h"

namespace kembar::ctl {
namespace {

struct ManualOptions {
  bool all = false;
  std::string at;
  std::string package;
  std::string contract;
  std::string spse_code;
};

Json RowJson(const ManualKey& key, const ManualVersion& version) {
  const import::StoredManual& stored = version.stored;
  const import::ManualRecord& record = stored.record;
  Json attachments = Json::array();
  for (const import::ManualAttachment& file : stored.attachments) {
    attachments.push_back({{"name", file.name}, {"path", file.path}, {"size", file.size}});
  }
  const auto or_null = [](const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
  };
  return {{"package", key.first},
          {"contract_number", record.contract_number},
          {"contract_date", record.contract_date},
          {"title", record.title},
          {"unit", record.unit},
          {"value", record.value},
          {"method", record.method},
          {"vendor", record.vendor},
          {"recommendation_letter", or_null(record.recommendation_letter)},
          {"attachments", std::move(attachments)},
          {"index", version.index},
          {"recorded", JsonTime(version.time_us)},
          {"recorded_by", stored.recorded_by},
          {"entered", stored.entered},
          {"entered_by", or_null(stored.entered_by)},
          {"entered_at", or_null(stored.entered_at)},
          {"spse_code", or_null(stored.spse_code)}};
}

Table RowsTable(const std::vector<std::pair<ManualKey, ManualVersion>>& rows) {
  Table table({{"package"},
               {"contract"},
               {"date"},
               {"value", Table::Align::kRight},
               {"vendor"},
               {"title"},
               {"in SPSE"}});
  for (const auto& [key, version] : rows) {
    const import::ManualRecord& record = version.stored.record;
    const std::string code = version.stored.spse_code;
    table.AddRow({Printable(key.first), Printable(record.contract_number), record.contract_date,
                  FormatRupiah(record.value), Printable(record.vendor), Printable(record.title),
                  version.stored.entered ? (code.empty() ? "yes" : Printable(code)) : "no"});
  }
  return table;
}

Outcome RunList(Context* context, const ManualOptions& options) {
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  ASSIGN_OR_RETURN(const auto node, context->Reader(options.at));
  ASSIGN_OR_RETURN(const ManualVersions all, ReadManuals(node.get(), log));
  for (const std::string& warning : ManualWarnings(all)) Note(Printable(warning));
  std::vector<std::pair<ManualKey, ManualVersion>> rows;
  for (const auto& [key, version] : all) {
    if (!version.living || !version.odd.ok()) continue;
    if (options.all || !version.stored.entered) rows.emplace_back(key, version);
  }
  if (context->json()) {
    Json json = Json::array();
    for (const auto& [key, version] : rows) json.push_back(RowJson(key, version));
    PrintLine(Dump(json));
  } else if (rows.empty()) {
    Note(options.all ? "nothing was recorded" : "everything that was recorded is entered in SPSE");
  } else {
    Print(RowsTable(rows).Render({.width = TerminalWidth(), .color = UseColor()}));
  }
  return kExitOk;
}

int64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Outcome RunEntered(Context* context, const ManualOptions& options) {
  ASSIGN_OR_RETURN(client::PrimaryFollower * follower, context->Follower());
  const ManualKey key = ManualKeyOf(options.package, options.contract);
  ASSIGN_OR_RETURN(ManualPlace place, ReadManual(follower, key, context->timeout()));
  ManualVersion& version = place.version;
  if (!version.living) {
    return Status(Code::kNotFound,
                  "no contract " + options.contract + " is recorded in package " + options.package,
                  "see kembarctl manual list --all");
  }
  const bool same = version.stored.entered &&
                    (options.spse_code.empty() || options.spse_code == version.stored.spse_code);
  if (!same) {
    version.stored.entered = true;
    version.stored.entered_by = Context::Actor();
    version.stored.entered_at = JsonTime(NowMicros());
    if (!options.spse_code.empty()) version.stored.spse_code = options.spse_code;
    std::vector<v1::Draft> drafts;
    drafts.push_back(ManualDraft(key, import::EncodeManual(version.stored)));
    RETURN_IF_ERROR(
        AppendManual(follower, key, place.position, std::move(drafts), context->timeout()));
  }
  if (context->json()) {
    PrintLine(
        Dump({{"package", options.package},
              {"contract_number", options.contract},
              {"entered", true},
              {"entered_by", version.stored.entered_by},
              {"entered_at", version.stored.entered_at},
              {"spse_code",
               version.stored.spse_code.empty() ? Json(nullptr) : Json(version.stored.spse_code)},
              {"changed", !same}}));
  } else {
    PrintLine("contract " + Printable(options.contract) + " of " + Printable(options.package) +
              (same ? " was marked already" : " is marked as entered in SPSE"));
  }
  return kExitOk;
}

}  // namespace

void AddManual(CLI::App* app, Context* context) {
  auto options = std::make_shared<ManualOptions>();
  CLI::App* manual =
      app->add_subcommand("manual", "Procurement done by hand during an outage (import manual)");
  manual->require_subcommand(1);
  manual->fallthrough();
  CLI::App* list = manual->add_subcommand("list", "What is not yet entered in SPSE");
  list->add_flag("--all", options->all, "Also what is entered");
  list->add_option("--at", options->at, "The node to ask (default: the primary)");
  list->callback([context, options] {
    context->run = [context, options] { return RunList(context, *options); };
  });
  CLI::App* entered = manual->add_subcommand("entered", "Mark one contract as entered in SPSE");
  entered->add_option("--package", options->package, "The package it was recorded in")->required();
  entered->add_option("--contract", options->contract, "The contract's number")->required();
  entered->add_option("--spse-code", options->spse_code, "The code that SPSE gave it");
  entered->callback([context, options] {
    context->run = [context, options] { return RunEntered(context, *options); };
  });
}

}  // namespace kembar::ctl
