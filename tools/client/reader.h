// reader.h — streams of a node's answers, record by record or row by row.
//
// Each function asks one node and blocks until its answer ends, `each` returns false, or an error.
// The client decides what an unfinished stream means; nothing is asked twice here.
//
// Thread-safety: may be called from many threads.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "replicator/base/status.h"
#include "tools/client/channel.h"
#include "tools/client/deadline.h"

namespace kembar::client {

template <class T>
using Each = std::function<bool(const T&)>;

Status ReadRecords(NodeStubs* node, const v1::ReadRequest& request, const Deadline& deadline,
                   const Each<v1::Record>& each);
// As ReadRecords and then on; ends only by `each`, the deadline, or an error.
Status WatchRecords(NodeStubs* node, const v1::ReadRequest& request, const Deadline& deadline,
                    const Each<v1::Record>& each);
Status ListPackages(NodeStubs* node, const v1::ListPackagesRequest& request,
                    const Deadline& deadline, const Each<v1::Package>& each);
// The package comes first, once; then its items.
Status ShowPackage(NodeStubs* node, const v1::ShowPackageRequest& request, const Deadline& deadline,
                   v1::Package* package, const Each<v1::Item>& each);
Status PackageHistory(NodeStubs* node, const v1::PackageHistoryRequest& request,
                      const Deadline& deadline, const Each<v1::Record>& each);
Status ListItems(NodeStubs* node, const v1::ListItemsRequest& request, const Deadline& deadline,
                 const Each<v1::ItemVersion>& each);
// The living items of a package ("": of all) whose name begins so, with payload; what `each` fails
// with ends it.
Status ForEachLiving(NodeStubs* node, const std::string& log, const v1::AsOf& as_of,
                     const std::string& package, std::string_view item_prefix,
                     const std::function<Status(const v1::ItemVersion&)>& each);
// One item with its payload. kNotFound: never there.
Status GetItem(NodeStubs* node, const v1::GetItemRequest& request, const Deadline& deadline,
               v1::ItemVersion* item);
Status ReadQuarantine(NodeStubs* node, const v1::ReadQuarantineRequest& request,
                      const Deadline& deadline, const Each<v1::Record>& each);
Status Verify(NodeStubs* node, const v1::VerifyRequest& request, const Deadline& deadline,
              const Each<v1::VerifyResponse>& each);

}  // namespace kembar::client
