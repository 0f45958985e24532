// store_test_log.h — for tests of stores: a log kept plainly as a list of frames, which makes the
// LogWrites and knows the right answers.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "replicator/log/merkle.h"
#include "replicator/log/record.h"
#include "replicator/log/store.h"

namespace kembar {

#define ASSERT_OK(expr)                                    \
  do {                                                     \
    const ::kembar::Status assert_ok_ = (expr);            \
    ASSERT_TRUE(assert_ok_.ok()) << assert_ok_.ToString(); \
  } while (false)

// RFC 6962 section 2.1, word for word.
inline Digest NaiveRoot(std::span<const std::string> frames) {
  if (frames.empty()) return Sha256({""});
  if (frames.size() == 1) return Sha256({std::string_view("\0", 1), frames[0]});
  size_t split = 1;
  while (split * 2 < frames.size()) split *= 2;
  const Digest left = NaiveRoot(frames.first(split));
  const Digest right = NaiveRoot(frames.subspan(split));
  return Sha256({std::string_view("\x01", 1), AsBytes(left), AsBytes(right)});
}

inline Record Put(std::string package, std::string item, std::string payload = "payload") {
  Record record;
  record.package = std::move(package);
  record.item = std::move(item);
  record.payload = std::move(payload);
  record.time_us = 1'700'000'000'000'000;
  return record;
}

inline std::vector<Record> Puts(size_t count, const std::string& mark = "p") {
  std::vector<Record> records;
  for (size_t i = 0; i < count; ++i)
    records.push_back(Put("tender/1", "row/" + std::to_string(i), mark));
  return records;
}

inline Record From(std::string source, uint64_t position, Record record, bool batch_end = true) {
  record.source = std::move(source);
  record.position = position;
  record.batch_end = batch_end;
  return record;
}

inline ControlState Reign(std::string primary, bool lossy = false) {
  ControlState state;
  state.log_uuid = "5f0c0a2e-8a54-4a38-9a3e-3a6d7e1f9b10";
  state.primary = primary;
  state.config.members = {{primary, "10.0.0.1:7400"}, {"cermin", "10.0.0.2:7400"}};
  state.lossy = lossy;
  state.reason = "test";
  return state;
}

inline Record Control(RecordKind kind, const ControlState& state) {
  Record record;
  record.kind = kind;
  record.payload = EncodeControl(state);
  return record;
}

class TestLog {
 public:
  explicit TestLog(std::string id) : id_(std::move(id)) {}

  // What appends `records`; their indices are filled in. The log counts them as there.
  LogWrite Append(std::vector<Record> records) {
    auto batch = std::make_shared<FrameBatch>();
    batch->first_index = frames_.size() + 1;
    batch->prev_root = frontier_.Root();
    LogWrite write{.log = id_, .truncate = {}, .batch = nullptr, .nodes = {}, .hard = {}};
    for (Record& record : records) {
      record.index = frames_.size() + 1;
      if (record.epoch == 0) record.epoch = epoch_;
      frames_.push_back(EncodeRecord(record));
      frontier_.Append(merkle::HashLeaf(frames_.back()), &write.nodes);
      batch->frames.push_back(frames_.back());
      batch->bytes += frames_.back().size();
    }
    batch->root = frontier_.Root();
    write.batch = std::move(batch);
    return write;
  }

  LogWrite Truncate(uint64_t after, std::string origin = "test") {
    LogWrite write{.log = id_, .truncate = {}, .batch = nullptr, .nodes = {}, .hard = {}};
    write.truncate = Truncation{
        .after = after, .origin = std::move(origin), .time_us = 77, .acknowledged_to = after + 1};
    frames_.resize(after);
    frontier_ = merkle::Frontier();
    std::vector<merkle::Node> nodes;
    for (const std::string& frame : frames_) frontier_.Append(merkle::HashLeaf(frame), &nodes);
    return write;
  }

  // Truncates and appends in one LogWrite.
  LogWrite Replace(uint64_t after, std::vector<Record> records) {
    LogWrite write = Truncate(after);
    LogWrite append = Append(std::move(records));
    write.batch = append.batch;
    write.nodes = append.nodes;
    return write;
  }

  // Without having written it: the next batch's epoch.
  void set_epoch(uint64_t epoch) { epoch_ = epoch; }
  uint64_t epoch() const { return epoch_; }
  const std::string& id() const { return id_; }
  const std::vector<std::string>& frames() const { return frames_; }
  uint64_t last() const { return frames_.size(); }
  Digest Root(uint64_t size) const { return NaiveRoot(std::span(frames_).first(size)); }

 private:
  std::string id_;
  uint64_t epoch_ = 1;
  std::vector<std::string> frames_;
  merkle::Frontier frontier_;
};

inline Status WriteOne(Store& store, LogWrite write) { return store.Write(std::span(&write, 1)); }

inline HardState Promise(uint64_t epoch, std::string candidate) {
  HardState hard;
  hard.promised_epoch = epoch;
  hard.promised_to = std::move(candidate);
  return hard;
}

inline LogWrite HardWrite(std::string log, HardState hard) {
  return {.log = std::move(log), .truncate = {}, .batch = nullptr, .nodes = {}, .hard = hard};
}

// Items as "package/item@index", zero bytes shown as '0'.
inline std::vector<std::string> Items(const Store& store, const std::string& log,
                                      const ItemRange& range, Visit next = Visit::kNext) {
  std::vector<std::string> out;
  const Status status = store.VisitItems(log, range, [&](const ItemVersion& version) {
    std::string text = version.package + "/" + version.item;
    std::replace(text.begin(), text.end(), '\0', '0');
    out.push_back(text + "@" + std::to_string(version.index));
    return next;
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}
inline std::vector<std::string> Items(const Store& store, const std::string& log,
                                      const std::string& package, uint64_t as_of = UINT64_MAX) {
  return Items(store, log, ItemRange{.package = package, .item_prefix = {}, .as_of = as_of});
}

}  // namespace kembar
