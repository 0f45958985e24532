// verify_blobs.h — re-reads every chunk of a log's documents and checks it against its name.
//
// Blocking; used by one thread. A chunk that fails is set aside, so that it counts as missing and
// is fetched again from another node. So is one that fails when somebody reads it, and those that a
// store found damaged on its start has lost; a verification names them all the same.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "node/blob/blob_store.h"
#include "replicator/log/store.h"

namespace kembar {

struct BlobVerifyProgress {
  uint64_t chunks = 0;              // checked so far, each once
  std::vector<std::string> errors;  // new since the last report; each names log, package, document
};

struct BlobVerifyParts {
  const Store* store = nullptr;
  BlobStore* blobs = nullptr;
};

// All versions of documents with an index up to `last_index`. Calls `report` now and then and once
// at the end; it returns false to stop.
void VerifyDocuments(const BlobVerifyParts& parts, const std::string& log, uint64_t last_index,
                     const std::function<bool(const BlobVerifyProgress&)>& report);

// Gets a chunk that somebody asks for; one that fails its check is set aside.
Result<std::string> GetOrSetAside(BlobStore* blobs, const Digest& digest);
// Sets aside whatever fails its check in the whole store. OK: all has been checked, and the store
// is not doubtful any more. kCancelled: `go_on` said no. Else the first error.
Status SetAsideDamaged(BlobStore* blobs, const std::function<bool()>& go_on);

}  // namespace kembar
