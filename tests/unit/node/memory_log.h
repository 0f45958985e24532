// memory_log.h — a log in a MemoryStore, record by record, for tests of what is read out of one.
//
// Thread-safety: none; used by the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "replicator/log/memory_store.h"

namespace kembar {

// For a fixture to derive from.
class MemoryLog {
 protected:
  static constexpr char kLog[] = "tebo";
  static constexpr int64_t kSecond = 1'000'000;

  // Index, epoch and time are filled in: the record at index i has time i seconds.
  void AppendRecord(Record record) {
    record.index = ++last_;
    record.epoch = 1;
    record.time_us = time_us_ = time_us_ + kSecond;
    auto batch = std::make_shared<FrameBatch>();
    batch->first_index = record.index;
    batch->prev_root = frontier_.Root();
    batch->frames.push_back(EncodeRecord(record));
    batch->bytes = batch->frames.back().size();
    LogWrite write;
    write.log = kLog;
    frontier_.Append(merkle::HashLeaf(batch->frames.back()), &write.nodes);
    batch->root = frontier_.Root();
    write.batch = std::move(batch);
    const Status written = store_.Write(std::span(&write, 1));
    ASSERT_TRUE(written.ok()) << written.ToString();
  }

  MemoryStore store_{"uuid"};
  merkle::Frontier frontier_;
  uint64_t last_ = 0;
  int64_t time_us_ = 0;
};

}  // namespace kembar
