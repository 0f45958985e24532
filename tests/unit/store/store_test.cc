// store_test.cc — MemoryStore under the conformance suite. rocks_store_test.cc has RocksStore's.
#include "replicator/log/memory_store.h"
#include "tests/unit/store/store_conformance.h"

namespace kembar {
namespace {

class MemorySubject {
 public:
  MemorySubject() { store_.hold_writes(true); }
  Store& store() { return store_; }
  void Reopen() {
    store_.Sync();
    store_.Crash(0);
  }

 private:
  MemoryStore store_{"c9a646d3-9c61-4cb7-bc36-bd1c8d1f5d3e"};
};
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreConformance, MemorySubject);

}  // namespace
}  // namespace kembar
