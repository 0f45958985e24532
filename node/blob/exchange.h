// exchange.h — who sends which chunk to whom: the nodes' trade in documents as a state machine. It
// does no I/O, starts no thread and reads no clock.
//
// Two needs, one mechanism. *Push*: a primary must know that a mirror holds some chunks (Ensure);
// it offers them, the mirror asks for what it lacks and says Have when that is durable. *Pull*: a
// node whose records name chunks that it lacks (Fetch) asks the nodes of that log for them, one
// after the other. In both the node that lacks a chunk asks, for a few at a time, from one node
// each; so a chunk that two peers offer travels once.
//
// Records must not wait behind documents. So pieces are small, and what is under way on a link is
// bounded: at most `window_max` bytes, and less where the time until Taken grows beyond what it is
// on the quiet link (as LEDBAT, RFC 6817): that growth is just the time that a record would stand
// in the same queue. A rate can be set besides; the peers take turns then, a piece each.
//
// A peer that is slow, hangs or asks and offers too much harms only itself: what is to come from
// one peer is bounded for each peer, and only its surplus is refused.
//
// Nothing is remembered that can be learned again: a cut drops the chunk under way (at most 1 MiB);
// chunks already saved are not asked for again, since the offers are repeated and answered anew.
//
// Thread-safety: none; owned and stepped by one thread (runner.h).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "node/blob/message.h"

namespace kembar::blob {

using SharedChunk = std::shared_ptr<const std::string>;

// ---- Events ------------------------------------------------------------------------------------

struct PeerUp {
  std::string peer;
};
struct PeerDown {
  std::string peer;
};
struct Received {
  std::string peer;
  Message message;
};
struct Looked {  // for a Look
  std::string peer;
  std::vector<Digest> held;
  std::vector<Digest> missing;
};
struct Loaded {  // for a Load; null: not held here, or not readable
  std::string peer;
  Digest digest{};
  SharedChunk chunk;
};
struct Saved {  // for a Save
  Digest digest{};
  bool ok = false;
};
struct Stored {  // durable here, by whatever way
  std::vector<Digest> digests;
};
// Chunks that records here name and that are missing. Forgotten when no source has them: ask again.
struct Fetch {
  std::vector<Digest> digests;
  std::vector<std::string> sources;  // in the order of asking
};
struct Ensure {
  uint64_t id = 0;  // not in use
  std::vector<Digest> digests;
  std::vector<std::string> mirrors;
  size_t need = 0;  // so many mirrors must have all
};
struct EnsureChanged {  // the log has other mirrors now, or needs fewer
  uint64_t id = 0;
  std::vector<std::string> mirrors;
  size_t need = 0;
};
struct GiveUp {
  uint64_t id = 0;
};
struct SetRate {  // of pieces to all peers together; 0: no limit
  uint64_t bytes_per_s = 0;
};
struct Tick {};

using Event = std::variant<PeerUp, PeerDown, Received, Looked, Loaded, Saved, Stored, Fetch, Ensure,
                           EnsureChanged, GiveUp, SetRate, Tick>;

// ---- Actions -----------------------------------------------------------------------------------

struct Send {
  std::string peer;
  Message message;
};
struct Look {  // which of these are held here? Answered by Looked
  std::string peer;
  std::vector<Digest> digests;
};
struct Load {  // answered by Loaded
  std::string peer;
  Digest digest{};
};
struct Save {  // answered by Saved; the content is what its name says
  Digest digest{};
  SharedChunk chunk;
};
struct Ensured {
  uint64_t id = 0;
  uint32_t sites = 0;  // this one included
};
struct GaveUp {  // answer to GiveUp
  uint64_t id = 0;
  std::string lacking;  // which mirrors lack how many
};

using Action = std::variant<Send, Look, Load, Save, Ensured, GaveUp>;
using Actions = std::vector<Action>;

// ------------------------------------------------------------------------------------------------

struct ExchangeOptions {
  size_t window_min = size_t{1} << 10;   // bytes under way on a link, at least …
  size_t window_max = size_t{64} << 10;  // … and at most
  // How much longer Taken may take than on the quiet link: so much, or half of that if it is more.
  // A record waits for its acknowledgement about as long as Taken takes, so it is never far from
  // that.
  int64_t delay_target_us = 600;
  size_t asked_max = 8;        // chunks asked of one peer at a time
  size_t offered_max = 512;    // chunks offered to one mirror at a time, for one Ensure
  size_t wanted_max = 16'384;  // chunks to come from one peer; beyond, it is not asked for more
  int64_t offer_again_us = 5'000'000;
  int64_t stall_us = 30'000'000;  // without progress so long, what was asked or sent is given up
  int64_t full_wait_us = 10'000'000;  // after a chunk could not be saved
};

struct ExchangeCounters {
  uint64_t sent_bytes = 0;  // of pieces
  uint64_t sent_chunks = 0;
  uint64_t received_bytes = 0;
  uint64_t received_chunks = 0;  // whole and right
  uint64_t bad_chunks = 0;       // their bytes were not what their name says
  uint64_t unsaved_chunks = 0;
};

class Exchange {
 public:
  explicit Exchange(ExchangeOptions options = {}) : options_(options) {}

  Actions Step(Event event, int64_t now_us);

  // When a Tick is due at the latest; it may come at any time.
  int64_t WakeAt(int64_t now_us) const;
  // Chunks that are to come here.
  size_t wanted() const { return wanted_.size(); }
  // The same for each linked peer.
  std::map<std::string, size_t> wanted_of() const;
  const ExchangeCounters& counters() const { return counters_; }

 private:
  struct Ready {
    Digest digest{};
    SharedChunk chunk;
    size_t offset = 0;
  };
  // What a peer asked for.
  struct Outgoing {
    std::deque<Digest> queue;
    std::set<Digest> loading;
    std::deque<Ready> ready;  // the first is being sent
    uint64_t sent = 0, taken = 0;
    std::deque<std::pair<uint64_t, int64_t>> flights;  // (sent, when) of each piece under way
    size_t window = 0;
    std::deque<int64_t> delays;               // of the last pieces taken
    int64_t quiet_us = 0, quiet_next_us = 0;  // least delay of this minute and the one before
    int64_t quiet_since = 0, shrunk_at = 0;
  };
  // A chunk of which pieces have come.
  struct Partial {
    std::string data;                      // as long as the chunk
    std::map<uint64_t, uint64_t> covered;  // begin → end of what is there, apart from each other
    uint64_t end_sent = 0;                 // Piece::sent of its last piece
  };
  // What comes from a peer.
  struct Incoming {
    std::set<Digest> assigned;   // all that are to come from it
    std::deque<Digest> pending;  // to be asked; entries may be stale
    std::set<Digest> asked;      // until saved
    std::map<Digest, Partial> partials;
    std::set<Digest> asked_again;  // a piece got lost, and none has come since
    uint64_t seen = 0;
    int64_t heard_us = 0;
    std::vector<Digest> offered;  // to be looked up next
    bool looking = false;         // one Look at a time
  };
  struct Peer {
    Outgoing out;
    Incoming in;
  };
  struct Wanted {
    std::vector<std::string> sources;  // not yet tried
    std::string assigned;              // where it is pending or asked
    std::set<std::string> tell;        // who offered it
    bool saving = false;
  };
  struct Target {
    std::deque<Digest> todo;
    std::set<Digest> offered;
    int64_t progress_us = 0;
    bool done() const { return todo.empty() && offered.empty(); }
  };
  struct Promise {
    std::vector<Digest> digests;
    std::map<std::string, Target> mirrors;
    size_t need = 0;
  };

  void On(PeerUp& event);
  void On(PeerDown& event);
  void On(Received& event);
  void On(Looked& event);
  void On(Loaded& event);
  void On(Saved& event);
  void On(Stored& event);
  void On(Fetch& event);
  void On(Ensure& event);
  void On(EnsureChanged& event);
  void On(GiveUp& event);
  void On(SetRate& event);
  void On(Tick& event);

  void Take(const std::string& name, Peer* peer, Offer& message);
  void Take(const std::string& name, Peer* peer, Want& message);
  void Take(const std::string& name, Peer* peer, Lack& message);
  void Take(const std::string& name, Peer* peer, Have& message);
  void Take(const std::string& name, Peer* peer, Piece& message);
  void Take(const std::string& name, Peer* peer, Taken& message);

  // Outgoing.
  void Pump(const std::string& name, Peer* peer);
  void PumpInTurn();
  void SendPiece(const std::string& name, Outgoing* out);
  void LoadMore(const std::string& name, Outgoing* out);
  size_t PieceBytes(const Outgoing& out) const;  // of the next piece
  bool MaySend(const Outgoing& out) const;       // but for the rate
  bool TakeTokens(size_t bytes);
  void Adjust(Outgoing* out, int64_t delay_us, size_t taken_bytes);
  void Unstall(Outgoing* out);
  // Incoming.
  void LookMore(const std::string& name, Incoming* in);
  void AddWanted(const Digest& digest, const std::vector<std::string>& sources,
                 const std::string& tell);
  void Assign(const Digest& digest);
  void Failed(const Digest& digest, const std::string& peer);
  void Finished(const Digest& digest);
  void AskMore(const std::string& name, Peer* peer);
  static void Unask(Incoming* in, const Digest& digest);
  void Add(const Piece& piece, Partial* partial);
  void FindLost(const std::string& name, Peer* peer);
  void Complete(const std::string& name, const Digest& digest, std::string data);
  // Promises.
  void OfferMore(const std::string& name, Target* target);
  void CheckDone(uint64_t id);
  void SetMirrors(Promise* promise, const std::vector<std::string>& mirrors);

  Peer* Find(const std::string& name);
  void Emit(Action action) { actions_.push_back(std::move(action)); }

  const ExchangeOptions options_;
  int64_t now_us_ = 0;
  Actions actions_;                    // of this step
  std::map<std::string, Peer> peers_;  // linked ones
  uint64_t rate_ = 0;
  double tokens_ = 0;
  int64_t tokens_at_us_ = 0;
  std::string served_;  // who got the last piece
  std::map<Digest, Wanted> wanted_;
  std::map<uint64_t, Promise> promises_;
  int64_t full_until_us_ = 0;
  ExchangeCounters counters_;
};

}  // namespace kembar::blob
