// merkle.h — the Merkle tree over a log's frames, as RFC 6962 section 2.1 defines it.
//
// leaf = SHA-256(0x00 ‖ frame), node = SHA-256(0x01 ‖ left ‖ right), empty tree = SHA-256("").
// A Frontier is the right edge of the tree (the roots of its perfect subtrees): enough to append
// and to give the root, in O(log n) memory. The nodes that an append completes are handed out to be
// stored; from stored nodes the root at any earlier size, and all proofs, can be computed.
//
// Pure; not thread-safe (use one object from one thread).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "replicator/base/digest.h"
#include "replicator/base/status.h"

namespace kembar::merkle {

// The root of the perfect subtree over leaves [offset << level, (offset + 1) << level).
struct Node {
  uint8_t level = 0;
  uint64_t offset = 0;
  Digest hash{};
  bool operator==(const Node&) const = default;
};

Digest HashLeaf(std::string_view frame);
Digest HashChildren(const Digest& left, const Digest& right);
Digest EmptyRoot();

class Frontier {
 public:
  // Adds the next leaf; every node that it completes (its own leaf first) goes to `completed`.
  void Append(const Digest& leaf, std::vector<Node>* completed);
  uint64_t size() const { return size_; }
  Digest Root() const;

  // The nodes that make up the right edge of a tree of `size` leaves, left to right.
  static std::vector<Node> EdgeOf(uint64_t size);  // hashes are zero: places only
  static Frontier FromEdge(uint64_t size, const std::vector<Node>& edge);

 private:
  uint64_t size_ = 0;
  std::vector<Digest> edge_;  // roots of the perfect subtrees, largest (leftmost) first
};

// Looks a stored node up; fails with kCorrupt or kNotFound when it is not there.
using NodeReader = std::function<Result<Digest>(uint8_t level, uint64_t offset)>;

Result<Frontier> LoadFrontier(uint64_t size, const NodeReader& read);
Result<Digest> RootAt(uint64_t size, const NodeReader& read);

// RFC 6962 section 2.1.1 and 2.1.2. leaf_index counts from 0 and is < size; 0 < first <= second.
Result<std::vector<Digest>> InclusionProof(uint64_t leaf_index, uint64_t size,
                                           const NodeReader& read);
Result<std::vector<Digest>> ConsistencyProof(uint64_t first, uint64_t second,
                                             const NodeReader& read);
// RFC 9162 section 2.1.3.2 and 2.1.4.2 give the verification algorithms.
bool VerifyInclusion(const Digest& leaf, uint64_t leaf_index, uint64_t size,
                     const std::vector<Digest>& proof, const Digest& root);
bool VerifyConsistency(uint64_t first, uint64_t second, const Digest& first_root,
                       const Digest& second_root, const std::vector<Digest>& proof);

}  // namespace kembar::merkle
