// cmd_package.cc — `package list`, `package show`, `package history`.
#include <CLI/CLI.hpp>

#include "tools/client/reader.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/package_filter.h"
#include "tools/kembarctl/package_sites.h"
#include "tools/kembarctl/parse.h"
#include "tools/kembarctl/tables.h"

namespace kembar::ctl {
namespace {

struct PackageOptions {
  std::string package;
  std::string as_of;
  std::string at;
  bool payload = false;
  PackageFilter filter;
};

template <class Request>
Status Prepare(Context* context, const PackageOptions& options, Request* request) {
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  request->set_log(log);
  ASSIGN_OR_RETURN(const v1::AsOf as_of, ParseAsOf(options.as_of));
  if (as_of.at_case() != v1::AsOf::AT_NOT_SET) *request->mutable_as_of() = as_of;
  return Status::Ok();
}

// JSON is printed as it comes: a log may hold more packages than one likes to keep in memory.
class JsonArray {
 public:
  JsonArray() { Print("["); }
  void Add(const Json& json) {
    Print(first_ ? "\n" : ",\n");
    first_ = false;
    Print(Dump(json));
  }
  void End() { Print(first_ ? "]\n" : "\n]\n"); }

 private:
  bool first_ = true;
};

Outcome RunList(Context* context, const PackageOptions& options) {
  v1::ListPackagesRequest request;
  if (const Status filter = CheckFilter(options.filter); !filter.ok()) {
    context->wrong_usage = true;
    return filter;
  }
  RETURN_IF_ERROR(Prepare(context, options, &request));
  ASSIGN_OR_RETURN(const auto node, context->Reader(options.at));
  std::vector<v1::Package> packages;
  const Status status = client::ListPackages(node.get(), request, client::Deadline::Never(),
                                             [&](const auto& package) {
                                               if (Matches(options.filter, package)) {
                                                 packages.push_back(package);
                                               }
                                               return true;
                                             });
  RETURN_IF_ERROR(status.Prepend("list packages"));
  if (!context->json()) {
    Print(PackagesText(packages));
    return kExitOk;
  }
  JsonArray array;
  for (const v1::Package& package : packages) array.Add(PackageJson(package));
  array.End();
  return kExitOk;
}

Outcome RunShow(Context* context, const PackageOptions& options) {
  v1::ShowPackageRequest request;
  RETURN_IF_ERROR(Prepare(context, options, &request));
  request.set_package(options.package);
  request.set_with_payload(options.payload);
  ASSIGN_OR_RETURN(const auto node, context->Reader(options.at));
  v1::Package package;
  std::vector<v1::Item> items;
  const Status status = client::ShowPackage(node.get(), request, client::Deadline::Never(),
                                            &package, [&](const v1::Item& item) {
                                              items.push_back(item);
                                              return true;
                                            });
  RETURN_IF_ERROR(status.Prepend("show package " + options.package));
  request.set_with_payload(false);
  ASSIGN_OR_RETURN(client::Cluster * cluster, context->Connect());
  const std::vector<PackageSite> sites = AskSites(cluster, request);
  if (!context->json()) {
    Print(PackageText(package, items));
    Print("\n" + SitesText(sites));
    if (!options.payload) return kExitOk;
    for (const v1::Item& item : items) PrintLine("\n" + item.item() + ":\n" + item.payload());
    return kExitOk;
  }
  Json json = PackageJson(package);
  json["rows"] = json["items"];
  json["items"] = Json::array();
  for (const v1::Item& item : items) json["items"].push_back(ItemJson(item, options.payload));
  json["sites"] = SitesJson(sites);
  PrintLine(Dump(json));
  return kExitOk;
}

Outcome RunHistory(Context* context, const PackageOptions& options) {
  v1::PackageHistoryRequest request;
  RETURN_IF_ERROR(Prepare(context, options, &request));
  request.set_package(options.package);
  ASSIGN_OR_RETURN(const auto node, context->Reader(options.at));
  std::vector<v1::Record> records;
  const Status status = client::PackageHistory(node.get(), request, client::Deadline::Never(),
                                               [&](const v1::Record& record) {
                                                 records.push_back(record);
                                                 return true;
                                               });
  RETURN_IF_ERROR(status.Prepend("history of package " + options.package));
  if (!context->json()) {
    Print(RecordsText(records));
    return kExitOk;
  }
  JsonArray array;
  for (const v1::Record& record : records) array.Add(RecordJson(record));
  array.End();
  return kExitOk;
}

using Runner = Outcome (*)(Context*, const PackageOptions&);

CLI::App* AddOne(CLI::App* package, Context* context, const std::string& name,
                 const std::string& about, const std::shared_ptr<PackageOptions>& options,
                 Runner run) {
  CLI::App* command = package->add_subcommand(name, about);
  if (name != "list") {
    command->add_option("package", options->package, "The package, such as tender/2612639")
        ->required();
  }
  command->add_option("--as-of", options->as_of,
                      "As it was at this index or time, such as 2019-07-08T12:00:00+07:00");
  command->add_option("--at", options->at, "The node to ask (default: the primary)");
  command->callback([context, options, run] {
    context->run = [context, options, run] { return run(context, *options); };
  });
  return command;
}

}  // namespace

void AddPackage(CLI::App* app, Context* context) {
  CLI::App* package = app->add_subcommand("package", "Look at tender packages, now or as of then");
  package->require_subcommand(1);
  package->fallthrough();
  auto options = std::make_shared<PackageOptions>();
  CLI::App* list = AddOne(package, context, "list", "All packages with title, value and state",
                          options, RunList);
  list->add_option("--state", options->filter.states,
                   "Only those that are complete, incomplete or at-risk; several are one of them");
  list->add_option("--min-value", options->filter.min_value,
                   "Only those of at least so many rupiah, such as 50000000000");
  list->add_option("--unit", options->filter.unit,
                   "Only those of work units whose name has this in it, in any case");
  CLI::App* show = AddOne(
      package, context, "show",
      "One package, the latest version of each item, and its state at each site", options, RunShow);
  show->add_flag("--payload", options->payload, "With the items' contents");
  AddOne(package, context, "history", "All records of a package, oldest first", options,
         RunHistory);
}

}  // namespace kembar::ctl
