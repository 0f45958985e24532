// client.h — a source of records: appends atomic batches with growing positions, each after the one
// before it, several at a time; after any failure or silence it sends again from the first batch
// that was not acknowledged, to whichever node it finds. It knows what it was told.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "replicator/core/replica.h"

namespace kembar::sim {

class World;

class Client {
 public:
  Client(World* world, std::string source) : world_(world), source_(std::move(source)) {}

  void set_window(size_t window) { window_ = window; }
  void set_target(const std::string& node) { target_ = node; }
  // One more batch of `records` records, to be sent as soon as the window allows.
  void Submit(size_t records);
  // Submits batches for ever, one each `interval_us` or so, until Stop.
  void Generate(int64_t interval_us);
  void Stop() { generating_ = false; }

  bool idle() const { return acked_ == submitted(); }
  const std::string& source() const { return source_; }
  size_t acked() const { return acked_; }
  const std::string& last_failure() const { return last_failure_; }

 private:
  size_t submitted() const;
  void Fill();
  void SendBatch(size_t batch);
  void OnReply(size_t batch, uint64_t attempt, const Reply& reply);
  void OnFailure(const std::string& why, bool gap);
  void ChooseTarget();

  World* const world_;
  const std::string source_;
  std::string target_;
  size_t window_ = 1;
  size_t next_ = 0;   // the batch to be sent next
  size_t acked_ = 0;  // all before this are acknowledged
  std::set<size_t> acked_beyond_;
  size_t steps_back_ = 1;  // at the next gap
  uint64_t attempt_ = 0;   // grows whenever sending starts over
  bool waiting_ = false;   // before sending again
  bool generating_ = false;
  std::string last_failure_;
};

}  // namespace kembar::sim
