// package_sites.cc — see package_sites.h.
#include "tools/kembarctl/package_sites.h"

#include "tools/client/reader.h"
#include "tools/kembarctl/format.h"

namespace kembar::ctl {
namespace {

PackageSite AskSite(client::Cluster* cluster, const client::NodeView& view,
                    const v1::ShowPackageRequest& request) {
  PackageSite site{.node = view.name.empty() ? view.address : view.name};
  if (!view.reachable) {
    site.error = view.error.ToString();
    return site;
  }
  const Status status =
      client::ShowPackage(cluster->Stubs(view.address).get(), request, client::Deadline::Never(),
                          &site.package, [&site](const v1::Item& item) {
                            if (item.missing()) site.missing.push_back(item.item());
                            return true;
                          });
  if (!status.ok()) site.error = status.ToString();
  return site;
}

}  // namespace

std::vector<PackageSite> AskSites(client::Cluster* cluster, const v1::ShowPackageRequest& request) {
  std::vector<PackageSite> sites;
  for (const client::NodeView& view : cluster->NodesOf(request.log())) {
    sites.push_back(AskSite(cluster, view, request));
  }
  return sites;
}

Json SitesJson(const std::vector<PackageSite>& sites) {
  Json json = Json::array();
  for (const PackageSite& site : sites) {
    json.push_back({{"name", site.node},
                    {"state", PackageStateText(site.package.state())},
                    {"missing_documents", site.package.missing_documents()},
                    {"missing", site.missing},
                    {"error", site.error}});
  }
  return json;
}

std::string SitesText(const std::vector<PackageSite>& sites) {
  Table table({{"NODE"}, {"STATE"}, {"MISSING DOCUMENTS", Table::Align::kRight}, {"TROUBLE"}});
  std::string missing;
  for (const PackageSite& site : sites) {
    table.AddRow({Printable(site.node), PackageStateText(site.package.state()),
                  site.error.empty() ? FormatCount(site.package.missing_documents()) : "?",
                  Printable(site.error)});
    for (const std::string& item : site.missing) {
      missing += "missing at " + Printable(site.node) + ": " + Printable(item) + "\n";
    }
  }
  return table.Render({.width = TerminalWidth(), .color = UseColor()}) + missing;
}

}  // namespace kembar::ctl
