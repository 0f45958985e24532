// referenced.h — documents that rows refer to, and that the log does not have at that very moment:
// an application writes the file, then the row, and the two are captured apart, so between them a
// row may refer to a document that is recorded only later, or that is deleted already.
//
// Thread-safety: a node may be asked from many threads.
#pragma once

#include <string>
#include <vector>

#include "tools/documents/fetch.h"

namespace kembar::documents {

struct Referenced {
  // In the version nearest to that moment: the newest before it, or else the oldest after it.
  std::vector<PlacedDocument> documents;
  // Of which the log has no version at all.
  std::vector<Trouble> dangling;
};

// What the rows of these packages (none given: all rows) refer to as of then, less `living`, the
// documents as of then. With these, no row refers to a file that is not there, but for `dangling`.
Result<Referenced> FindReferenced(client::NodeStubs* node, const std::string& log,
                                  const v1::AsOf& as_of, const std::vector<std::string>& packages,
                                  const std::vector<PlacedDocument>& living);

}  // namespace kembar::documents
