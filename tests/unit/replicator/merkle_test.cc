// merkle_test.cc — the tree is RFC 6962's: its published vectors, and properties over many sizes.
//
// The vectors are those of Certificate Transparency's own tests: eight leaves, known node hashes.
#include "replicator/log/merkle.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "replicator/base/bytes.h"

namespace kembar::merkle {
namespace {

// A tree built by Append, with its completed nodes stored as a store would.
class Tree {
 public:
  void Add(std::string_view frame) {
    std::vector<Node> completed;
    leaves_.push_back(HashLeaf(frame));
    frontier_.Append(leaves_.back(), &completed);
    EXPECT_EQ(completed.front(), (Node{0, leaves_.size() - 1, leaves_.back()}));
    for (const Node& node : completed) {
      EXPECT_TRUE(nodes_.emplace(std::pair{node.level, node.offset}, node.hash).second);
    }
  }
  NodeReader Reader() const {
    return [this](uint8_t level, uint64_t offset) -> Result<Digest> {
      auto found = nodes_.find({level, offset});
      if (found == nodes_.end()) return Status(Code::kNotFound, "no such node");
      return found->second;
    };
  }
  void Forget(uint8_t level, uint64_t offset) { nodes_.erase({level, offset}); }
  const Frontier& frontier() const { return frontier_; }
  const std::vector<Digest>& leaves() const { return leaves_; }

 private:
  Frontier frontier_;
  std::vector<Digest> leaves_;
  std::map<std::pair<uint8_t, uint64_t>, Digest> nodes_;
};

Tree MakeTree(size_t size) {
  Tree tree;
  for (size_t i = 0; i < size; ++i) tree.Add("frame " + std::to_string(i));
  return tree;
}

// MTH exactly as RFC 6962 section 2.1 writes it.
Digest NaiveRoot(const std::vector<Digest>& leaves, size_t begin, size_t end) {
  if (begin == end) return EmptyRoot();
  if (end - begin == 1) return leaves[begin];
  size_t middle = begin + std::bit_floor(end - begin - 1);
  return HashChildren(NaiveRoot(leaves, begin, middle), NaiveRoot(leaves, middle, end));
}

Digest RootOf(const Tree& tree, size_t size) { return NaiveRoot(tree.leaves(), 0, size); }

constexpr const char* kRoots[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};
// Node hashes of that tree: kLRC is the node at level L, offset C.
constexpr const char* k00 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
constexpr const char* k01 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
constexpr const char* k02 = "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7";
constexpr const char* k04 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
constexpr const char* k05 = "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658";
constexpr const char* k06 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f";
constexpr const char* k10 = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125";
constexpr const char* k11 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
constexpr const char* k12 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
constexpr const char* k13 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
constexpr const char* k20 = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";
constexpr const char* k21 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";

Tree VectorTree() {
  using std::string_view_literals::operator""sv;
  Tree tree;
  for (std::string_view leaf :
       {""sv, "\x00"sv, "\x10"sv, "\x20\x21"sv, "\x30\x31"sv, "\x40\x41\x42\x43"sv,
        "\x50\x51\x52\x53\x54\x55\x56\x57"sv,
        "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"sv}) {
    tree.Add(leaf);
  }
  return tree;
}

std::vector<std::string> Hex(const std::vector<Digest>& digests) {
  std::vector<std::string> out;
  for (const Digest& digest : digests) out.push_back(ToHex(digest));
  return out;
}

using Hashes = std::vector<std::string>;

TEST(MerkleVectors, Roots) {
  Tree tree = VectorTree();
  for (size_t size = 0; size <= 8; ++size) {
    EXPECT_EQ(ToHex(*RootAt(size, tree.Reader())), kRoots[size]) << size;
  }
  EXPECT_EQ(ToHex(tree.frontier().Root()), kRoots[8]);
  EXPECT_EQ(ToHex(Frontier().Root()), kRoots[0]);
}

TEST(MerkleVectors, InclusionProofs) {
  Tree tree = VectorTree();
  auto proof = [&tree](uint64_t leaf, uint64_t size) {
    return Hex(*InclusionProof(leaf, size, tree.Reader()));
  };
  EXPECT_EQ(proof(0, 1), Hashes{});
  EXPECT_EQ(proof(0, 8), (Hashes{k01, k11, k21}));
  EXPECT_EQ(proof(5, 8), (Hashes{k04, k13, k20}));
  EXPECT_EQ(proof(2, 3), (Hashes{k10}));
  EXPECT_EQ(proof(1, 5), (Hashes{k00, k11, k04}));
  // The example of RFC 6962 section 2.1.3, with the hashes of this tree: [f, j, k] and [i, k].
  EXPECT_EQ(proof(4, 7), (Hashes{k05, k06, k20}));
  EXPECT_EQ(proof(6, 7), (Hashes{k12, k20}));
}

TEST(MerkleVectors, ConsistencyProofs) {
  Tree tree = VectorTree();
  auto proof = [&tree](uint64_t first, uint64_t second) {
    return Hex(*ConsistencyProof(first, second, tree.Reader()));
  };
  EXPECT_EQ(proof(1, 1), Hashes{});
  EXPECT_EQ(proof(1, 8), (Hashes{k01, k11, k21}));
  EXPECT_EQ(proof(6, 8), (Hashes{k12, k13, k20}));
  EXPECT_EQ(proof(2, 5), (Hashes{k11, k04}));
  // RFC 6962 section 2.1.3: PROOF(3, D[7]) = [c, d, g, l], PROOF(6, D[7]) = [i, j, k].
  std::string k03 = ToHex(tree.leaves()[3]);
  std::string l = ToHex(HashChildren(*tree.Reader()(1, 2), tree.leaves()[6]));
  EXPECT_EQ(proof(3, 7), (Hashes{k02, k03, k10, l}));
  EXPECT_EQ(proof(4, 7), (Hashes{l}));
  EXPECT_EQ(proof(6, 7), (Hashes{k12, k06, k20}));
}

TEST(Frontier, AgreesWithTheRecursion) {
  Tree tree;
  for (size_t size = 1; size <= 300; ++size) {
    tree.Add("frame " + std::to_string(size));
    Digest root = RootOf(tree, size);
    EXPECT_EQ(tree.frontier().size(), size);
    EXPECT_EQ(tree.frontier().Root(), root) << size;
    EXPECT_EQ(*RootAt(size, tree.Reader()), root) << size;
  }
  // Earlier sizes are still there in the stored nodes, and go on from there.
  for (size_t size = 0; size <= 300; ++size) {
    EXPECT_EQ(*RootAt(size, tree.Reader()), RootOf(tree, size)) << size;
  }
}

TEST(Frontier, LoadedGoesOnLikeTheOriginal) {
  Tree tree = MakeTree(100);
  for (size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{77}, size_t{100}}) {
    Result<Frontier> frontier = LoadFrontier(size, tree.Reader());
    ASSERT_TRUE(frontier.ok());
    EXPECT_EQ(frontier->size(), size);
    for (size_t i = size; i < 100; ++i) {
      std::vector<Node> completed;
      frontier->Append(tree.leaves()[i], &completed);
      for (const Node& node : completed) {
        EXPECT_EQ(*tree.Reader()(node.level, node.offset), node.hash);
      }
    }
    EXPECT_EQ(frontier->Root(), tree.frontier().Root());
  }
}

TEST(Frontier, EdgeOfCoversTheTreeLeftToRight) {
  EXPECT_TRUE(Frontier::EdgeOf(0).empty());
  for (uint64_t size :
       {uint64_t{1}, uint64_t{6}, uint64_t{1023}, uint64_t{1} << 63, ~uint64_t{0}}) {
    uint64_t covered = 0;
    for (const Node& node : Frontier::EdgeOf(size)) {
      EXPECT_EQ(node.offset << node.level, covered);
      covered += uint64_t{1} << node.level;
    }
    EXPECT_EQ(covered, size);
  }
}

TEST(Frontier, ReportsMissingNodes) {
  Tree tree = MakeTree(7);
  tree.Forget(1, 2);
  EXPECT_EQ(LoadFrontier(7, tree.Reader()).status().code(), Code::kNotFound);
  EXPECT_EQ(RootAt(6, tree.Reader()).status().code(), Code::kNotFound);
  EXPECT_EQ(InclusionProof(0, 7, tree.Reader()).status().code(), Code::kNotFound);
  EXPECT_EQ(ConsistencyProof(4, 7, tree.Reader()).status().code(), Code::kNotFound);
  EXPECT_TRUE(RootAt(5, tree.Reader()).ok());
}

// Every way to damage a proof a little.
std::vector<std::vector<Digest>> Altered(const std::vector<Digest>& proof) {
  std::vector<std::vector<Digest>> out;
  for (size_t i = 0; i < proof.size(); ++i) {
    out.push_back(proof);
    out.back()[i][i % 32] ^= 0x10;
    out.push_back(proof);
    out.back().erase(out.back().begin() + static_cast<ptrdiff_t>(i));
  }
  out.push_back(proof);
  out.back().push_back(EmptyRoot());
  out.push_back(proof);
  out.back().insert(out.back().begin(), EmptyRoot());
  return out;
}

TEST(InclusionProof, VerifiesAndNothingElseDoes) {
  Tree tree = MakeTree(70);
  for (uint64_t size = 1; size <= 70; ++size) {
    Digest root = RootOf(tree, size);
    for (uint64_t leaf = 0; leaf < size; ++leaf) {
      std::vector<Digest> proof = *InclusionProof(leaf, size, tree.Reader());
      const Digest& hash = tree.leaves()[leaf];
      ASSERT_TRUE(VerifyInclusion(hash, leaf, size, proof, root)) << leaf << " of " << size;
      EXPECT_FALSE(VerifyInclusion(HashLeaf("other"), leaf, size, proof, root));
      EXPECT_FALSE(VerifyInclusion(hash, leaf + 1, size, proof, root)) << leaf << " of " << size;
      EXPECT_FALSE(VerifyInclusion(hash, leaf, size, proof, HashLeaf("other")));
      if (size > 40) continue;  // the rest is slow and says the same
      for (const std::vector<Digest>& bad : Altered(proof)) {
        EXPECT_FALSE(VerifyInclusion(hash, leaf, size, bad, root)) << leaf << " of " << size;
      }
    }
  }
}

TEST(ConsistencyProof, VerifiesAndNothingElseDoes) {
  Tree tree = MakeTree(48);
  for (uint64_t second = 1; second <= 48; ++second) {
    Digest second_root = RootOf(tree, second);
    for (uint64_t first = 1; first <= second; ++first) {
      Digest first_root = RootOf(tree, first);
      std::vector<Digest> proof = *ConsistencyProof(first, second, tree.Reader());
      ASSERT_TRUE(VerifyConsistency(first, second, first_root, second_root, proof))
          << first << " to " << second;
      EXPECT_FALSE(VerifyConsistency(first, second, HashLeaf("other"), second_root, proof));
      EXPECT_FALSE(VerifyConsistency(first, second, first_root, HashLeaf("other"), proof));
      for (const std::vector<Digest>& bad : Altered(proof)) {
        EXPECT_FALSE(VerifyConsistency(first, second, first_root, second_root, bad))
            << first << " to " << second;
      }
    }
  }
}

TEST(Proofs, AtLargeRandomSizes) {
  Tree tree = MakeTree(3000);
  std::mt19937_64 random(6962);
  for (int i = 0; i < 100; ++i) {
    uint64_t second = 1 + random() % 3000;
    uint64_t first = 1 + random() % second;
    uint64_t leaf = random() % second;
    Digest root = *RootAt(second, tree.Reader());
    EXPECT_EQ(root, RootOf(tree, second));
    EXPECT_TRUE(VerifyInclusion(tree.leaves()[leaf], leaf, second,
                                *InclusionProof(leaf, second, tree.Reader()), root));
    EXPECT_TRUE(VerifyConsistency(first, second, RootOf(tree, first), root,
                                  *ConsistencyProof(first, second, tree.Reader())));
  }
}

// Hashes that do lead to the root, in a tree of another size than claimed.
TEST(Proofs, RefuseAnotherTreeSize) {
  Tree tree = MakeTree(8);
  Digest root = tree.frontier().Root();
  const Digest& leaf = tree.leaves()[0];
  std::vector<Digest> proof = *InclusionProof(0, 8, tree.Reader());
  ASSERT_TRUE(VerifyInclusion(leaf, 0, 8, proof, root));
  EXPECT_FALSE(VerifyInclusion(leaf, 0, 4, proof, root));
  EXPECT_FALSE(VerifyInclusion(leaf, 0, 16, proof, root));
  // The right half passed off as the whole.
  proof = *InclusionProof(4, 8, tree.Reader());
  EXPECT_FALSE(VerifyInclusion(tree.leaves()[4], 0, 4, proof, root));
  // An inner node passed off as a leaf.
  proof = *InclusionProof(0, 8, tree.Reader());
  std::vector<Digest> upper(proof.begin() + 1, proof.end());
  EXPECT_FALSE(VerifyInclusion(*tree.Reader()(1, 0), 0, 8, upper, root));

  Digest first_root = *RootAt(2, tree.Reader());
  proof = *ConsistencyProof(2, 8, tree.Reader());
  ASSERT_TRUE(VerifyConsistency(2, 8, first_root, root, proof));
  EXPECT_FALSE(VerifyConsistency(2, 4, first_root, root, proof));
  EXPECT_FALSE(VerifyConsistency(2, 16, first_root, root, proof));
  proof = *ConsistencyProof(7, 8, tree.Reader());
  EXPECT_FALSE(VerifyConsistency(3, 4, *RootAt(7, tree.Reader()), root, proof));
}

TEST(Proofs, RefuseImpossibleRequests) {
  Tree tree = MakeTree(8);
  EXPECT_EQ(InclusionProof(8, 8, tree.Reader()).status().code(), Code::kInvalid);
  EXPECT_EQ(InclusionProof(0, 0, tree.Reader()).status().code(), Code::kInvalid);
  EXPECT_EQ(ConsistencyProof(0, 8, tree.Reader()).status().code(), Code::kInvalid);
  EXPECT_EQ(ConsistencyProof(8, 7, tree.Reader()).status().code(), Code::kInvalid);
  Digest root = tree.frontier().Root();
  EXPECT_FALSE(VerifyInclusion(root, 0, 0, {}, root));
  EXPECT_FALSE(VerifyConsistency(0, 8, EmptyRoot(), root, {}));
  EXPECT_FALSE(VerifyConsistency(8, 7, root, root, {}));
  EXPECT_FALSE(VerifyConsistency(4, 8, *RootAt(4, tree.Reader()), root, {}));
}

}  // namespace
}  // namespace kembar::merkle
