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
#include <memory>
#include <string>
#include <vector>

#include "node/engine.h"

namespace grpc {
class Service;
}

namespace kembar {

struct LinkPeer {
  std::string name;
  std::string address;  // empty: this peer dials us
};

struct LinkOptions {
  std::string node;       // this node's name
  std::string node_uuid;  // identity of its data directory
  std::string address;    // where tools and clients reach it; told to peers
  std::vector<LinkPeer> peers;
  std::string version;  // of the program

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

  // Names of the peers with a live link, sorted.
  std::vector<std::string> Linked() const;
  grpc::Service* service();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kembar
