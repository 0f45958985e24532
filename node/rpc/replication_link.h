// replication_link.h — the links of this node: one bidirectional stream to each peer, whoever
// dialled it, carrying all logs the two share. Serves kembar.v1.Replication and dials the peers
// whose address is known.
//
// One stream a pair. When both nodes dial at the same moment the stream dialled by the node with
// the lexicographically smaller name stays; both sides apply the same rule, so nothing flaps. A
// stream that the same node dials anew replaces its older one. A node dials only while it has no
// link.
//
// A dead link is noticed by HTTP/2 pings (3 s + 3 s) and by the links' own pings: each side sends
// one a second and gives a peer up after 5 s of silence.
//
// A peer is known by the identity of its data directory. A younger directory under a known name (a
// replaced disk) takes the older one's place; an older one that comes back is refused, and so is an
// identity that another node has, this one included.
//
// What waits to be sent is bounded in bytes for each peer: small messages go first, and entries
// that find no room are dropped, which the protocol makes good.
//
// Order of life: engine (its SendFn calls Send here), then this, then the server. Stop this before
// the server shuts down; destroy it after the server.
//
// Thread-safety: every method from any thread. Send does not block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/blob/holdings.h"
#include "node/blob/message.h"
#include "node/engine.h"
#include "node/rpc/rate_limit.h"

namespace grpc {
class Service;
}

namespace kembar {

struct LinkPeer {
  std::string name;
  std::string address;  // empty: this peer dials us
};

// A node's data directory.
struct LinkIdentity {
  std::string uuid;
  int64_t born_us = 0;  // wall clock when it was made; 0: not known
};

// Who trades in the contents of documents; each may be empty. Called as the engine is.
struct LinkBlobs {
  std::function<void(const std::string&peer)> up, down;
  std::function<void(const std::string& peer, blob::Message message)> receive;
  std::function<void(const std::string& peer, const std::string& log, Holding holding)> told;
};

struct LinkOptions {
  std::string node;       // this node's name
  std::string node_uuid;  // identity of its data directory
  int64_t born_us = 0;    // and when that was made
  // The identities that peers had when last linked, and where a new one is kept: durable before the
  // link is. A failure refuses the link. Called under the manager's lock; may be empty.
  std::map<std::string, LinkIdentity> known;
  std::function<Status(const std::string& name, const LinkIdentity& identity)> remember;
  std::string address;  // where tools and clients reach it; told to peers
  std::vector<LinkPeer> peers;
  std::vector<LinkLimit> limits;  // of catching up, over all links; no two overlap
  std::string version;            // of the program
  LinkBlobs blobs;

  int64_t ping_ms = 1'000;
  int64_t silence_ms = 5'000;
  int64_t backoff_min_ms = 100;
  int64_t backoff_max_ms = 2'000;
  size_t queue_bytes_max = size_t{256} << 20;  // for each peer; batches are shared, not copied
  size_t compress_from_bytes = size_t{64}
                               << 10;  // Entries as large as this are compressed; 0: none
};

class LinkManager {
 public:
  LinkManager(LinkOptions options, Engine* engine);
  ~LinkManager();  // stops

  // Begins to dial and to accept.
  void Start();
  // Ends all links and refuses new ones. Idempotent.
  void Stop();

  // The engine's SendFn. A message to a peer without a link is dropped.
  void Send(const std::string& peer, const std::string& log, Message message);
  void SendBlob(const std::string& peer, blob::Message message);
  void SendHolding(const std::string& peer, const std::string& log, const Holding& holding);

  // Names of the peers with a live link, sorted.
  std::vector<std::string> Linked() const;
  // Peers whose link is refused, here or there, because of who they are; by name, with the reason.
  std::map<std::string, std::string> Refused() const;
  grpc::Service* service();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar
