// package_sites.h — one package as each node that should hold it sees it: whether it is whole
// there, and which documents are not.
//
// Thread-safety: AskSites uses the cluster it is given; the rest is pure.
#pragma once

#include <string>
#include <vector>

#include "kembar/v1/tender.pb.h"
#include "tools/client/cluster.h"
#include "tools/kembarctl/json.h"

namespace kembar::ctl {

struct PackageSite {
  std::string node;
  v1::Package package;
  std::vector<std::string> missing;  // items: documents not whole there, references to none
  std::string error;                 // why it could not be asked; empty: it was
};

// All nodes of the log; one that does not answer, or lacks the log, has an error.
std::vector<PackageSite> AskSites(client::Cluster* cluster, const v1::ShowPackageRequest& request);

// [{"name","state","missing_documents","missing":[…],"error"}]
Json SitesJson(const std::vector<PackageSite>& sites);
// A line for each, and one for each document that is missing there.
std::string SitesText(const std::vector<PackageSite>& sites);

}  // namespace kembar::ctl
