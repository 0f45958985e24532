// message.h — what nodes say to each other about one log. Plain structs; node/rpc turns them into
// kembar.v1 messages and back.
//
// Every message may be lost, delayed, repeated or overtaken; every handler must bear that.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "replicator/base/digest.h"
#include "replicator/log/epoch_history.h"
#include "replicator/log/record.h"

namespace kembar {

// Primary to mirror, when a link comes up, at every heartbeat interval, and as a probe.
struct Heartbeat {
  uint64_t epoch = 0;
  std::string primary;
  std::string primary_address;
  std::string log_uuid;
  uint64_t seq = 0;  // grows; the answer repeats it
  EpochHistory history;
  uint64_t last_index = 0;
  uint64_t commit_index = 0;
  int64_t wall_us = 0;
  // "Do you hold the same records up to here?" The answer is Position::probe_match.
  uint64_t probe_index = 0;
  Digest probe_root{};
  uint64_t peer_acked = 0;  // what the primary remembers the mirror to have acknowledged
};

// Mirror to primary, in answer to a Heartbeat or to Entries that do not continue its log.
struct Position {
  uint64_t epoch = 0;    // the reign it now follows
  uint64_t seq = 0;      // of the Heartbeat answered; 0 if none
  std::string log_uuid;  // empty: holds nothing yet
  EpochHistory history;
  uint64_t received_index = 0;  // taken in, perhaps not yet durable
  uint64_t durable_index = 0;
  Digest durable_root{};
  uint64_t commit_index = 0;
  uint64_t probe_index = 0;
  bool probe_match = false;
  bool busy = false;  // truncating or recovering; ask again
};

struct Entries {
  uint64_t epoch = 0;
  std::string primary;
  std::string log_uuid;
  SharedBatch batch;  // never null, never empty
  EpochHistory history;
  uint64_t commit_index = 0;
  bool catch_up = false;  // read back from disk; not told to the peer: links send these last
};

struct Ack {
  uint64_t epoch = 0;
  uint64_t durable_index = 0;
  Digest durable_root{};
};

// "I follow a higher epoch" or "this can't be": the receiver acts on it, and shows the text.
struct Refusal {
  enum class Why : uint8_t { kFenced = 1, kOtherLog = 2, kDiverged = 3, kStopped = 4 };
  Why why = Why::kFenced;
  uint64_t promised_epoch = 0;
  std::string promised_to;
  uint64_t index = 0;  // kDiverged: the first index that differs, as far as known
  std::string text;
};

using Message = std::variant<Heartbeat, Position, Entries, Ack, Refusal>;

}  // namespace kembar
