// merkle.cc — see merkle.h.
#include "replicator/log/merkle.h"

#include <algorithm>
#include <bit>

#include "replicator/base/check.h"

namespace kembar::merkle {
namespace {

constexpr std::string_view kLeafPrefix{"\x00", 1};
constexpr std::string_view kNodePrefix{"\x01", 1};

// Folds the roots of the perfect subtrees of a right edge into one; `edge` is not empty.
Digest FoldEdge(const std::vector<Digest>& edge) {
  Digest root = edge.back();
  for (size_t i = edge.size() - 1; i-- > 0;) root = HashChildren(edge[i], root);
  return root;
}

// A run of leaves [begin, end) that forms a subtree: `begin` is a multiple of every perfect subtree
// size in it, which holds for all runs that the recursions of RFC 6962 give.
struct Run {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t size() const { return end - begin; }
  // Where RFC 6962 splits it: after the largest power of two smaller than its size (which is > 1).
  uint64_t split() const { return begin + std::bit_floor(size() - 1); }
};

Result<std::vector<Digest>> ReadEdge(const Run& run, const NodeReader& read) {
  std::vector<Digest> edge;
  for (const Node& place : Frontier::EdgeOf(run.size())) {
    ASSIGN_OR_RETURN(Digest hash, read(place.level, (run.begin >> place.level) + place.offset));
    edge.push_back(hash);
  }
  return edge;
}

Status AppendRunRoot(const Run& run, const NodeReader& read, std::vector<Digest>* proof) {
  ASSIGN_OR_RETURN(std::vector<Digest> edge, ReadEdge(run, read));
  proof->push_back(FoldEdge(edge));
  return Status::Ok();
}

bool IsOdd(uint64_t v) { return (v & 1) != 0; }

}  // namespace

Digest HashLeaf(std::string_view frame) { return Sha256({kLeafPrefix, frame}); }

Digest HashChildren(const Digest& left, const Digest& right) {
  return Sha256({kNodePrefix, AsBytes(left), AsBytes(right)});
}

Digest EmptyRoot() { return Sha256({}); }

void Frontier::Append(const Digest& leaf, std::vector<Node>* completed) {
  Digest hash = leaf;
  uint8_t level = 0;
  completed->push_back({level, size_, hash});
  // Each low one bit of the old size is a perfect subtree that now finds its right sibling.
  for (uint64_t rest = size_; IsOdd(rest); rest >>= 1) {
    hash = HashChildren(edge_.back(), hash);
    edge_.pop_back();
    ++level;
    completed->push_back({level, size_ >> level, hash});
  }
  edge_.push_back(hash);
  ++size_;
}

Digest Frontier::Root() const { return edge_.empty() ? EmptyRoot() : FoldEdge(edge_); }

std::vector<Node> Frontier::EdgeOf(uint64_t size) {
  std::vector<Node> places;
  for (auto level = static_cast<uint8_t>(std::bit_width(size)); level-- > 0;) {
    uint64_t subtrees = size >> level;
    if (IsOdd(subtrees)) places.push_back({level, subtrees - 1, Digest{}});
  }
  return places;
}

Frontier Frontier::FromEdge(uint64_t size, const std::vector<Node>& edge) {
  std::vector<Node> places = EdgeOf(size);
  CHECK(edge.size() == places.size());
  Frontier frontier;
  frontier.size_ = size;
  for (size_t i = 0; i < edge.size(); ++i) {
    CHECK(edge[i].level == places[i].level && edge[i].offset == places[i].offset);
    frontier.edge_.push_back(edge[i].hash);
  }
  return frontier;
}

Result<Frontier> LoadFrontier(uint64_t size, const NodeReader& read) {
  std::vector<Node> edge = Frontier::EdgeOf(size);
  for (Node& node : edge) {
    ASSIGN_OR_RETURN(node.hash, read(node.level, node.offset));
  }
  return Frontier::FromEdge(size, edge);
}

Result<Digest> RootAt(uint64_t size, const NodeReader& read) {
  ASSIGN_OR_RETURN(Frontier frontier, LoadFrontier(size, read));
  return frontier.Root();
}

Result<std::vector<Digest>> InclusionProof(uint64_t leaf_index, uint64_t size,
                                           const NodeReader& read) {
  if (leaf_index >= size) {
    return Status(Code::kInvalid, "no leaf " + std::to_string(leaf_index) + " in a tree of " +
                                      std::to_string(size));
  }
  std::vector<Digest> proof;
  Run run{0, size};
  while (run.size() > 1) {
    Run left{run.begin, run.split()};
    Run right{run.split(), run.end};
    bool in_left = leaf_index < left.end;
    RETURN_IF_ERROR(AppendRunRoot(in_left ? right : left, read, &proof));
    run = in_left ? left : right;
  }
  // Gathered from the root down; the proof runs from the leaf up.
  std::reverse(proof.begin(), proof.end());
  return proof;
}

Result<std::vector<Digest>> ConsistencyProof(uint64_t first, uint64_t second,
                                             const NodeReader& read) {
  if (first == 0 || first > second) {
    return Status(Code::kInvalid, "no consistency proof from size " + std::to_string(first) +
                                      " to size " + std::to_string(second));
  }
  std::vector<Digest> proof;
  Run run{0, second};
  while (run.end != first) {
    Run left{run.begin, run.split()};
    Run right{run.split(), run.end};
    bool in_left = first <= left.end;
    RETURN_IF_ERROR(AppendRunRoot(in_left ? right : left, read, &proof));
    run = in_left ? left : right;
  }
  // The verifier knows the root of the first tree; any smaller run it must be given.
  if (run.begin != 0) RETURN_IF_ERROR(AppendRunRoot(run, read, &proof));
  std::reverse(proof.begin(), proof.end());
  return proof;
}

bool VerifyInclusion(const Digest& leaf, uint64_t leaf_index, uint64_t size,
                     const std::vector<Digest>& proof, const Digest& root) {
  if (leaf_index >= size) return false;
  uint64_t node = leaf_index;
  uint64_t last = size - 1;
  Digest hash = leaf;
  for (const Digest& sibling : proof) {
    if (last == 0) return false;
    if (IsOdd(node) || node == last) {
      hash = HashChildren(sibling, hash);
      // On the right edge, levels where the node has no sibling are passed over.
      while (!IsOdd(node) && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      hash = HashChildren(hash, sibling);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && hash == root;
}

bool VerifyConsistency(uint64_t first, uint64_t second, const Digest& first_root,
                       const Digest& second_root, const std::vector<Digest>& proof) {
  if (first == 0 || first > second) return false;
  if (first == second) return proof.empty() && first_root == second_root;
  if (proof.empty()) return false;
  uint64_t node = first - 1;
  uint64_t last = second - 1;
  while (IsOdd(node)) {
    node >>= 1;
    last >>= 1;
  }
  // A first tree of a power of two is itself a node of the second; the proof leaves it out.
  bool first_is_node = std::has_single_bit(first);
  Digest first_hash = first_is_node ? first_root : proof.front();
  Digest second_hash = first_hash;
  for (size_t i = first_is_node ? 0 : 1; i < proof.size(); ++i) {
    if (last == 0) return false;
    if (IsOdd(node) || node == last) {
      first_hash = HashChildren(proof[i], first_hash);
      second_hash = HashChildren(proof[i], second_hash);
      while (!IsOdd(node) && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      second_hash = HashChildren(second_hash, proof[i]);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && first_hash == first_root && second_hash == second_root;
}

}  // namespace kembar::merkle
