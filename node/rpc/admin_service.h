// admin_service.h — the gRPC service kembar.v1.Admin: what kembarctl asks of this node.
//
// Owned by the node, registered with its server, destroyed after the server and before the engine.
// Uses gRPC's synchronous API: few calls, some long.
//
// Thread-safety: service() may be used from any thread. The functions in the options are called
// from any thread, at the same time; each may be empty.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/blob/verify_blobs.h"
#include "node/engine.h"
#include "node/package_counts.h"

namespace grpc {
class Service;
}

namespace kembar {

// Checks the documents of a log whose records go up to `last_index`: VerifyDocuments.
using VerifyDocumentsFn =
    std::function<void(const std::string& log, uint64_t last_index,
                       const std::function<bool(const BlobVerifyProgress&)>& report)>;

struct AdminServiceOptions {
  std::string node;                                  // this node's name
  std::string address;                               // where tools and clients reach it
  std::string http_address;                          // status page and metrics; empty: none
  std::string version;                               // of the program
  std::function<std::vector<std::string>()> linked;  // nodes with a live link
  std::function<std::map<std::string, std::string>()> refused;     // links, and why
  std::function<Status()> check_files;                             // of the store, for verify
  VerifyDocumentsFn verify_documents;                              // likewise
  std::function<std::map<std::string, PackageCounts>()> packages;  // by log
  std::function<uint64_t()> disk_free_bytes;
  std::function<bool()> disk_full;
  int64_t order_wait_ms = 30'000;  // for an order whose caller sets no deadline
};

class AdminService {
 public:
  AdminService(Engine* engine, AdminServiceOptions options);
  ~AdminService();
  grpc::Service* service();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar
