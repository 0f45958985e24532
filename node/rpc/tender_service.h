// tender_service.h — the gRPC service kembar.v1.Tender: the log seen as packages.
//
// Owned by the node, registered with its server, destroyed after the server and before the engine.
// Uses gRPC's synchronous API: few calls, some long; a slow reader holds one thread and one open
// iterator of the store, nothing else. Committed state only: as_of beyond the commit index is
// OUT_OF_RANGE, and "now" is fixed once at the beginning of a call.
//
// Thread-safety: service() may be used from any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "node/blob/holdings.h"
#include "node/blob/tracker.h"
#include "node/engine.h"

namespace grpc {
class Service;
}

namespace kembar {

struct TenderServiceOptions {
  size_t entries_per_answer = 500;              // packages or items in one answer
  size_t bytes_per_answer = size_t{512} << 10;  // about; one entry may be larger
  // What is known of a log's documents here; called from any thread. Empty: nothing is.
  std::function<DocumentsHere(const std::string& log)> documents;
  // And what other nodes said of theirs; likewise.
  std::function<Told(const std::string& log)> told;
};

class TenderService {
 public:
  explicit TenderService(Engine* engine, TenderServiceOptions options = {});
  ~TenderService();
  grpc::Service* service();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar
