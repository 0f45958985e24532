// engine_reader.h — the thread that reads for mirrors that catch up, so that a long backlog never
// holds up live appends.
//
// Owned by Engine. Each ReadAndSend is read from the store, handed to SendFn and reported as
// ReadDone. Memory is bounded whatever the backlog: for each peer at most kPeerBytesMax of what was
// read is alive, that is, not yet taken off the link's queue; further reads for it wait.
//
// Thread-safety: Submit by the engine's thread; the batches that were read may be released by any
// thread, even after the reader is gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "node/engine.h"

namespace kembar {

struct LogSlot;  // engine_impl.h; opaque here

struct ReadJob {
  LogSlot* slot = nullptr;
  std::string log;
  ReadAndSend order;
};

class CatchUpReader {
 public:
  using DoneFn = std::function<void(LogSlot*, ReadDone)>;
  static constexpr size_t kPeerBytesMax = size_t{16} << 20;

  CatchUpReader(Store* store, Engine::SendFn send, DoneFn done);
  ~CatchUpReader();
  void Start();
  // Drops what waits, joins.
  void Stop();
  void Submit(ReadJob job);

  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Shared;  // outlives the reader as long as a batch is alive

  void Run();
  void Serve(ReadJob job);

  Store* const store_;
  const Engine::SendFn send_;
  const DoneFn done_;
  const std::shared_ptr<Shared> shared_;
  std::atomic<uint64_t> bytes_{0};
  std::thread thread_;
};

}  // namespace kembar
