// references.h — which documents the captured rows of a log refer to: `reference/PATH` items, kept
// in step with the rows (docs/documents.md).
//
// Wanted is worked out from all rows of the tables that the mapping names, so it is right whatever
// happened before: rows that changed, went, or refer to the same document as others.
//
// Thread-safety: values and functions; a node may be asked from many threads.
#pragma once

#include <map>
#include <stop_token>
#include <string>
#include <utility>

#include "kembar/v1/log.pb.h"
#include "tools/capture/mapping.h"
#include "tools/client/channel.h"

namespace kembar::documents {

// Package and item to payload.
using ReferenceItems = std::map<std::pair<std::string, std::string>, std::string>;

// The living reference items of a log.
Result<ReferenceItems> ReadReferences(client::NodeStubs* node, const std::string& log,
                                      const v1::AsOf& as_of = {});
// Those that the rows of a log ask for.
Result<ReferenceItems> WantedReferences(client::NodeStubs* node, const std::string& log,
                                        const capture::Mapping& mapping, std::stop_token stop,
                                        const v1::AsOf& as_of = {});
// What is referred to as of then, item to package: by the rows themselves where the log knows by
// its mappings which columns are paths, for reference items lag behind rows; else by those items.
Result<std::map<std::string, std::string>> ReferencesAsOf(client::NodeStubs* node,
                                                          const std::string& log,
                                                          const v1::AsOf& as_of);

// What makes `held` what it should be: puts of what is wanted and not held, deletes of what rows no
// longer ask for. Items that others than rows have put there, such as an import, stay. Pure.
std::vector<v1::Draft> ReferenceChanges(const ReferenceItems& held, const ReferenceItems& wanted,
                                        const capture::Mapping& mapping);

}  // namespace kembar::documents
