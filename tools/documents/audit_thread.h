// audit_thread.h — one audit of documents against the primary of a log, on a thread of its own.
//
// Thread-safety: done() from any thread; the rest belongs to the one that made it. The destructor
// ends an audit that still runs, within the time that one call to a node takes.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tools/client/follower.h"
#include "tools/documents/audit.h"

namespace kembar::documents {

class AuditThread {
 public:
  struct Options {
    std::vector<std::string> nodes;
    std::string log;     // empty: the only one
    std::string source;  // "documents/NAME": others' documents are left alone
    AuditOptions audit;
  };
  // It begins at once. `on_done` is called on its thread when done() is true; not after a stop.
  AuditThread(Options options, Tree tree, std::function<void()> on_done);

  bool done() const { return done_; }
  const Tree& tree() const { return tree_; }
  // Once done() is true, and once only.
  Result<AuditReport> Take() { return std::move(result_); }

 private:
  void Main(const std::stop_token& stop, const std::function<void()>& on_done);
  Result<std::vector<PlacedDocument>> List(const std::stop_token& stop);
  Result<std::vector<PlacedDocument>> ListOnce(const std::stop_token& stop);
  Status Reaches(client::NodeStubs* node, uint64_t index) const;

  const Options options_;
  const Tree tree_;
  client::Cluster cluster_;
  std::unique_ptr<client::PrimaryFollower> follower_;
  Result<AuditReport> result_;
  std::atomic<bool> done_ = false;
  std::jthread thread_;
};

}  // namespace kembar::documents
