// holdings.h — what the nodes of a log tell each other about its documents: up to which record a
// node knows, and which documents up to there are not whole at it. So a node can say whether a
// package is whole at another site too.
//
// Told when it has changed, about once a second while it goes on changing, and all of it again when
// a link comes up. What a peer said counts also while it is away. When it is back, only what it
// says then counts: it may have lost its disk. Nothing is kept on disk: after a start nothing is
// known of a peer until it has spoken, and nothing ever of one whose version does not know the
// message.
//
// In another branch of a log (after a failover with loss) indices mean other records, so a
// statement names the epoch of the last record that it speaks of. Two logs that have a record of
// one index and epoch in common are equal up to it (docs/protocol.md), so a look at the own log
// tells whether the statement is about the same records. A Merkle root would tell that only once
// this node holds all of them, which a mirror that is behind does not.
//
// Bounded: a statement lists so many documents, the lowest; what lies beyond is not spoken of.
//
// Thread-safety: every method from any thread; Start and Stop by one.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "node/blob/tracker.h"
#include "node/engine.h"

namespace kembar {

inline constexpr size_t kHoldingMissingMax = 4'096;  // documents listed in one statement

// What a node says of the documents of one log.
struct Holding {
  uint64_t known_to = 0;          // records up to here are spoken of; 0: of none
  uint64_t epoch = 0;             // of record known_to
  std::vector<uint64_t> missing;  // records of documents that are not whole there, ascending

  // Whether the document of this record is known to be whole there.
  bool Holds(uint64_t index) const;
  bool operator==(const Holding&) const = default;
};
using SharedHolding = std::shared_ptr<const Holding>;
using Told = std::map<std::string, SharedHolding>;  // by who said it

struct HoldingsOptions {
  // What is known of a log's documents here.
  std::function<DocumentsHere(const std::string& log)> documents;
  // Hands a statement to the link layer; must not block. To an unlinked peer it is dropped.
  std::function<void(const std::string& peer, const std::string& log, const Holding&)> send;
  int64_t turn_ms = 50;      // looks for what is to be told this often
  int64_t pause_ms = 1'000;  // between two statements about a log, in the long run
  int64_t burst = 5;         // so many may go without it after a rest
  size_t missing_max = kHoldingMissingMax;
};

class Holdings {
 public:
  // The engine outlives it.
  Holdings(HoldingsOptions options, Engine* engine);
  ~Holdings();  // stops

  void Start();
  void Stop();

  // From the links.
  void PeerConnected(const std::string& peer);
  void PeerDisconnected(const std::string& peer);
  void Receive(const std::string& peer, const std::string& log, Holding holding);

  // What peers said of this log, as far as it is about the records that this node holds.
  Told Of(const std::string& log) const;

 private:
  // What this node has to tell of one log. The thread's own.
  struct Own {
    DocumentsHere seen;
    SharedHolding said;               // null: nothing has been said
    int64_t next_ms = INT64_MIN / 2;  // monotonic; at first rested for long
    // The log's nodes: only they are told. Looked at anew after a while, and if a record has come.
    std::vector<std::string> members;
    uint64_t members_at = UINT64_MAX;
    int64_t members_again_ms = INT64_MIN / 2;
  };
  // What a peer said last of one log, and whether that is about the records that are here.
  struct Said {
    SharedHolding holding;
    Digest root{};  // of the own log up to where they were compared; zero: they were not
    bool same = false;
  };

  void Run();
  void Turn();
  void Look(const std::string& log, Own* own);
  Holding Make(const std::string& log, const DocumentsHere& here) const;
  bool MayBeNews(const std::string& log, const Own& own);
  void FindMembers(const std::string& log, Own* own);
  size_t Tell(const std::string& log, const Own& own);
  bool SameRecords(const std::string& log, Said* said) const;

  const HoldingsOptions options_;
  Engine* const engine_;
  std::map<std::string, Own> own_;
  std::string last_;  // the log that was looked at last

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  // Peers with a link, then logs: what each was told last.
  std::map<std::string, std::map<std::string, SharedHolding>> up_;
  mutable std::map<std::string, std::map<std::string, Said>> said_;  // likewise, of all peers
  std::thread thread_;
};

}  // namespace kembar
