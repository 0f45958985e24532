// message.h — what two nodes say to each other about chunks, on their link.
//
// Who wants chunks drives: an Offer makes the other side ask (Want), and so does its own knowledge
// of what its records lack. Pieces flow only against Taken. All may be lost with the link, repeated
// or reordered; exchange.h bears it. On the wire: proto/kembar/v1/replication.proto.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "replicator/base/digest.h"

namespace kembar::blob {

inline constexpr size_t kPieceBytesMax = size_t{32} << 10;
inline constexpr size_t kDigestsMax = 4'096;  // in one message

struct Offer {  // "do you lack these?" Answered by Have, and by Want when the answerer has room
  std::vector<Digest> digests;
};
struct Want {  // "send me these"
  std::vector<Digest> digests;
};
struct Lack {  // asked for, but not held here
  std::vector<Digest> digests;
};
struct Have {  // durable here
  std::vector<Digest> digests;
};
struct Piece {  // of a chunk; in order, offset 0 begins it (anew)
  Digest digest{};
  uint64_t offset = 0;
  uint64_t total = 0;
  std::string data;
  uint64_t sent = 0;  // bytes of all pieces on this link, this one included
};
struct Taken {  // the highest Piece::sent seen
  uint64_t sent = 0;
};

using Message = std::variant<Offer, Want, Lack, Have, Piece, Taken>;

}  // namespace kembar::blob
