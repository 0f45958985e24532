// schema_dump.h — the SQL of a schema, dumped by pg_dump on a thread of its own: it may have to
// wait for locks, and meanwhile the stream must go on (a commit that holds the lock may be waiting
// for exactly that).
//
// Thread-safety: used by one thread; the other inside is joined by the destructor.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "replicator/base/status.h"
#include "tools/agent/wakeup.h"

namespace kembar::agent {

struct SchemaTexts {
  std::string pre_data;
  std::string post_data;
};

class SchemaDump {
 public:
  // `snapshot` may be empty: one is taken now. `wakeup` is woken when it is done.
  SchemaDump(std::string dsn, std::string snapshot, Wakeup* wakeup);
  ~SchemaDump();
  SchemaDump(const SchemaDump&) = delete;
  SchemaDump& operator=(const SchemaDump&) = delete;

  bool done() const { return done_; }
  // Once done.
  const Result<SchemaTexts>& result() const { return result_; }

 private:
  void ThreadMain();
  Result<SchemaTexts> Dump();

  const std::string dsn_;
  const std::string snapshot_;
  Wakeup* const wakeup_;
  Result<SchemaTexts> result_;  // the thread's until done_
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace kembar::agent
