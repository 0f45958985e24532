// exchange_test.cc — the trade in chunks between nodes in memory, over a net that loses, repeats
// and reorders messages and cuts links; and how much of it stands in the way of a record.
#include "node/blob/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "node/blob/blob_store.h"
#include "tests/unit/blob/noise.h"

namespace kembar::blob {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Nodes and their net. Time is virtual; everything that is under way waits in one queue.
class World {
 public:
  struct Node {
    explicit Node(const ExchangeOptions& options) : exchange(options) {}
    Exchange exchange;
    std::map<Digest, std::string> held;
    std::map<uint64_t, uint32_t> ensured;
    std::map<uint64_t, std::string> gave_up;
    bool disk_full = false;
    int lies = 0;  // so many pieces that it sends are altered
    size_t saves = 0;
  };

  explicit World(uint64_t seed = 1) : random(seed) {}

  Node& Add(const std::string& name) { return nodes.emplace(name, Node(options)).first->second; }
  void Do(const std::string& name, Event event) {
    for (Action& action : nodes.at(name).exchange.Step(std::move(event), now_us)) {
      std::visit([&](auto& a) { Carry(name, a); }, action);
    }
  }
  void Link(const std::string& a, const std::string& b, bool up) {
    ++links[{std::min(a, b), std::max(a, b)}].epoch;
    links[{std::min(a, b), std::max(a, b)}].up = up;
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      up ? Do(from, PeerUp{to}) : Do(from, PeerDown{to});
    }
  }
  // Until nothing waits but for time, or `done`.
  bool Run(const std::function<bool()>& done, int64_t for_us = 600'000'000) {
    const int64_t until = now_us + for_us;
    while (!done() && now_us < until) {
      int64_t tick = until;
      for (const auto& [name, node] : nodes) tick = std::min(tick, node.exchange.WakeAt(last_tick));
      if (queue.empty() || queue.begin()->first > tick) {
        now_us = last_tick = std::max(now_us, tick);
        for (auto& [name, node] : nodes) Do(name, Tick{});
        continue;
      }
      auto first = queue.begin();
      now_us = std::max(now_us, first->first);
      auto act = std::move(first->second);
      queue.erase(first);
      act();
    }
    return done();
  }

  std::map<std::string, Node> nodes;
  std::mt19937_64 random;
  ExchangeOptions options;
  int64_t now_us = 1'000'000;
  int64_t last_tick = 1'000'000;
  int64_t delay_us = 1'000, jitter_us = 0;
  int lose_percent = 0, repeat_percent = 0;
  double link_bytes_per_s = 0;  // 0: no limit
  uint64_t piece_bytes = 0;     // that went over the net
  size_t most_queued = 0;       // bytes that stood in a link's queue at once
  std::function<void(const Message&)> seen;

 private:
  struct LinkState {
    bool up = false;
    uint64_t epoch = 0;
  };

  void At(int64_t when, std::function<void()> act) { queue.emplace(when, std::move(act)); }
  bool Chance(int percent) { return static_cast<int>(random() % 100) < percent; }

  void Carry(const std::string& name, Send& send) {
    if (auto* piece = std::get_if<Piece>(&send.message)) {
      Node& node = nodes.at(name);
      piece_bytes += piece->data.size();
      if (node.lies > 0 && node.lies-- > 0) piece->data[0] = static_cast<char>(piece->data[0] ^ 1);
    }
    if (seen) seen(send.message);
    const int copies = Chance(lose_percent) ? 0 : Chance(repeat_percent) ? 2 : 1;
    const LinkState link = links[{std::min(name, send.peer), std::max(name, send.peer)}];
    for (int i = 0; i < copies; ++i) {
      int64_t when = now_us + delay_us;
      if (jitter_us > 0) when += static_cast<int64_t>(random() % static_cast<uint64_t>(jitter_us));
      if (link_bytes_per_s > 0) when = Queue(name, send) + delay_us;
      At(when, [this, from = name, to = send.peer, message = send.message, link] {
        const LinkState now = links[{std::min(from, to), std::max(from, to)}];
        if (now.up && now.epoch == link.epoch) Do(to, Received{from, message});
      });
    }
  }
  // When the link has put this message on the wire.
  int64_t Queue(const std::string& name, const Send& send) {
    size_t bytes = 60;
    if (const auto* piece = std::get_if<Piece>(&send.message)) bytes += piece->data.size();
    if (const auto* offer = std::get_if<Offer>(&send.message)) bytes += 32 * offer->digests.size();
    int64_t& free_at = wire[{name, send.peer}];
    const double waiting_us = static_cast<double>(std::max<int64_t>(0, free_at - now_us));
    most_queued =
        std::max(most_queued, bytes + static_cast<size_t>(waiting_us * link_bytes_per_s / 1e6));
    free_at = std::max(free_at, now_us) +
              static_cast<int64_t>(static_cast<double>(bytes) * 1e6 / link_bytes_per_s);
    return free_at;
  }
  void Carry(const std::string& name, Look& look) {
    At(now_us + 100, [this, name, look] {
      Looked looked{.peer = look.peer};
      for (const Digest& digest : look.digests) {
        (nodes.at(name).held.contains(digest) ? looked.held : looked.missing).push_back(digest);
      }
      Do(name, std::move(looked));
    });
  }
  void Carry(const std::string& name, Load& load) {
    At(now_us + 500, [this, name, load] {
      const auto& held = nodes.at(name).held;
      const auto it = held.find(load.digest);
      Do(name, Loaded{load.peer, load.digest,
                      it == held.end() ? nullptr : std::make_shared<std::string>(it->second)});
    });
  }
  void Carry(const std::string& name, Save& save) {
    At(now_us + 1'000, [this, name, save] {
      Node& node = nodes.at(name);
      EXPECT_EQ(Sha256({*save.chunk}), save.digest);
      ++node.saves;
      if (!node.disk_full) node.held[save.digest] = *save.chunk;
      Do(name, Saved{save.digest, !node.disk_full});
    });
  }
  void Carry(const std::string& name, Ensured& ensured) {
    nodes.at(name).ensured[ensured.id] = ensured.sites;
  }
  void Carry(const std::string& name, GaveUp& gave_up) {
    nodes.at(name).gave_up[gave_up.id] = gave_up.lacking;
  }

  std::multimap<int64_t, std::function<void()>> queue;
  std::map<std::pair<std::string, std::string>, LinkState> links;
  std::map<std::pair<std::string, std::string>, int64_t> wire;
};

class ExchangeTest : public ::testing::Test {
 protected:
  // Gives a node `count` new chunks of up to `bytes_max`.
  std::vector<Digest> Give(const std::string& name, size_t count, size_t bytes_max = 90'000) {
    std::vector<Digest> digests;
    for (size_t i = 0; i < count; ++i) {
      std::string chunk = Noise(++made_, 1 + world_.random() % bytes_max);
      digests.push_back(Sha256({chunk}));
      world_.nodes.at(name).held[digests.back()] = std::move(chunk);
    }
    return digests;
  }
  bool HoldsAll(const std::string& name, const std::vector<Digest>& digests) {
    for (const Digest& digest : digests) {
      if (!world_.nodes.at(name).held.contains(digest)) return false;
    }
    return true;
  }
  World world_;
  uint64_t made_ = 0;
};

TEST_F(ExchangeTest, EnsureBringsWhatAMirrorLacksAndOnlyThat) {
  World::Node& tebo = world_.Add("tebo");
  World::Node& jambi = world_.Add("jambi");
  world_.Link("tebo", "jambi", true);
  std::vector<Digest> digests = Give("tebo", 20);
  for (size_t i = 0; i < 10; ++i) jambi.held[digests[i]] = tebo.held[digests[i]];
  uint64_t lacking = 0;
  for (size_t i = 10; i < 20; ++i) lacking += tebo.held[digests[i]].size();
  world_.Do("tebo", Ensure{7, digests, {"jambi"}, 1});
  ASSERT_TRUE(world_.Run([&] { return tebo.ensured.contains(7); }));
  EXPECT_EQ(tebo.ensured[7], 2u);
  EXPECT_TRUE(HoldsAll("jambi", digests));
  EXPECT_EQ(world_.piece_bytes, lacking);
  // Once more: nothing travels.
  world_.Do("tebo", Ensure{8, digests, {"jambi"}, 1});
  ASSERT_TRUE(world_.Run([&] { return tebo.ensured.contains(8); }));
  EXPECT_EQ(world_.piece_bytes, lacking);
}

TEST_F(ExchangeTest, EnsureWithoutAMirrorIsDoneAtOnce) {
  World::Node& tebo = world_.Add("tebo");
  world_.Do("tebo", Ensure{1, Give("tebo", 3), {"jambi"}, 0});
  EXPECT_EQ(tebo.ensured[1], 1u);
}

TEST_F(ExchangeTest, GivingUpNamesTheNodeAndHowManyItLacks) {
  World::Node& tebo = world_.Add("tebo");
  world_.Do("tebo", Ensure{1, Give("tebo", 3), {"jambi"}, 1});
  EXPECT_FALSE(world_.Run([&] { return tebo.ensured.contains(1); }, 20'000'000));
  world_.Do("tebo", GiveUp{1});
  EXPECT_EQ(tebo.gave_up[1], "node jambi lacks 3 of 3 chunks and is not linked");
}

TEST_F(ExchangeTest, AChangeOfMirrorsEndsTheWait) {
  World::Node& tebo = world_.Add("tebo");
  world_.Do("tebo", Ensure{1, Give("tebo", 3), {"jambi"}, 1});
  world_.Do("tebo", EnsureChanged{1, {}, 0});
  EXPECT_EQ(tebo.ensured[1], 1u);
}

TEST_F(ExchangeTest, AChunkThatTwoEnsuresNeedTravelsOnce) {
  World::Node& tebo = world_.Add("tebo");
  World::Node& jambi = world_.Add("jambi");
  world_.Link("tebo", "jambi", true);
  const auto digests = Give("tebo", 5);
  world_.Do("tebo", Ensure{1, digests, {"jambi"}, 1});
  world_.Do("tebo", Ensure{2, digests, {"jambi"}, 1});
  ASSERT_TRUE(world_.Run([&] { return tebo.ensured.contains(1) && tebo.ensured.contains(2); }));
  EXPECT_EQ(jambi.saves, 5u);
}

TEST_F(ExchangeTest, FetchAsksOneNodeAfterTheOther) {
  for (const char* name : {"tebo", "jambi", "bungo", "gone"}) world_.Add(name);
  world_.Link("bungo", "tebo", true);
  world_.Link("bungo", "jambi", true);
  const auto at_jambi = Give("jambi", 4);
  world_.Do("bungo", Fetch{at_jambi, {"gone", "tebo", "jambi"}});
  ASSERT_TRUE(world_.Run([&] { return HoldsAll("bungo", at_jambi); }, 5'000'000));
  EXPECT_EQ(world_.nodes.at("bungo").exchange.wanted(), 0u);
}

TEST_F(ExchangeTest, WhatNobodyHasIsForgotten) {
  for (const char* name : {"tebo", "jambi"}) world_.Add(name);
  world_.Link("jambi", "tebo", true);
  world_.Do("jambi", Fetch{{Sha256({"nowhere"})}, {"tebo"}});
  Exchange& exchange = world_.nodes.at("jambi").exchange;
  EXPECT_TRUE(world_.Run([&] { return exchange.wanted() == 0; }, 5'000'000));
}

TEST_F(ExchangeTest, BytesThatAreNotWhatTheirNameSaysAreNotSavedButAskedElsewhere) {
  for (const char* name : {"tebo", "jambi", "bungo"}) world_.Add(name);
  world_.Link("bungo", "tebo", true);
  world_.Link("bungo", "jambi", true);
  const auto digests = Give("tebo", 1);
  world_.nodes.at("jambi").held = world_.nodes.at("tebo").held;
  world_.nodes.at("tebo").lies = 1;
  world_.Do("bungo", Fetch{digests, {"tebo", "jambi"}});
  ASSERT_TRUE(world_.Run([&] { return HoldsAll("bungo", digests); }, 5'000'000));
  EXPECT_EQ(world_.nodes.at("bungo").exchange.counters().bad_chunks, 1u);
}

TEST_F(ExchangeTest, ANodeThatIsSilentIsGivenUpForAnother) {
  for (const char* name : {"tebo", "jambi", "bungo"}) world_.Add(name);
  world_.Link("bungo", "jambi", true);
  world_.Do("bungo", PeerUp{"tebo"});  // linked, but nothing arrives there
  const auto digests = Give("jambi", 3);
  world_.Do("bungo", Fetch{digests, {"tebo", "jambi"}});
  EXPECT_FALSE(world_.Run([&] { return HoldsAll("bungo", digests); }, 20'000'000));
  EXPECT_TRUE(world_.Run([&] { return HoldsAll("bungo", digests); }, 20'000'000));
}

TEST_F(ExchangeTest, AFullDiskIsTriedAgainLater) {
  World::Node& tebo = world_.Add("tebo");
  World::Node& jambi = world_.Add("jambi");
  world_.Link("tebo", "jambi", true);
  jambi.disk_full = true;
  const auto digests = Give("tebo", 30);
  world_.Do("tebo", Ensure{1, digests, {"jambi"}, 1});
  EXPECT_FALSE(world_.Run([&] { return tebo.ensured.contains(1); }, 60'000'000));
  EXPECT_LT(jambi.saves, 100u);  // not in a tight loop
  jambi.disk_full = false;
  EXPECT_TRUE(world_.Run([&] { return tebo.ensured.contains(1); }, 60'000'000));
}

TEST_F(ExchangeTest, ACutLosesAtMostTheChunksUnderWay) {
  World::Node& tebo = world_.Add("tebo");
  World::Node& jambi = world_.Add("jambi");
  world_.link_bytes_per_s = 5e6;
  world_.Link("tebo", "jambi", true);
  const auto digests = Give("tebo", 60, kChunkBytesMax);
  uint64_t all = 0;
  for (const auto& [digest, chunk] : tebo.held) all += chunk.size();
  world_.Do("tebo", Ensure{1, digests, {"jambi"}, 1});
  for (int cut = 0; cut < 5; ++cut) {
    const size_t before = jambi.held.size();
    ASSERT_TRUE(world_.Run([&] { return jambi.held.size() >= before + 7; }));
    world_.Link("tebo", "jambi", false);
    EXPECT_FALSE(world_.Run([] { return false; }, 3'000'000));
    EXPECT_EQ(jambi.exchange.wanted(), 0u);
    world_.Link("tebo", "jambi", true);
  }
  ASSERT_TRUE(world_.Run([&] { return tebo.ensured.contains(1); }));
  EXPECT_LE(world_.piece_bytes, all + 5 * kChunkBytesMax);
}

TEST_F(ExchangeTest, LostRepeatedAndReorderedMessagesAndCutsAreBorne) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    world_ = World(seed);
    world_.lose_percent = static_cast<int>(seed % 7);
    world_.repeat_percent = static_cast<int>(seed % 5) * 3;
    world_.jitter_us = seed % 3 == 0 ? 3'000 : 0;
    // Where one piece is under way at a time, each one that gets lost costs a stall.
    world_.options.window_min = size_t{16} << 10;
    World::Node& tebo = world_.Add("tebo");
    for (const char* name : {"jambi", "bungo"}) world_.Add(name);
    world_.Link("tebo", "jambi", true);
    world_.Link("tebo", "bungo", true);
    world_.Link("jambi", "bungo", true);
    const auto pushed = Give("tebo", 40, 50'000);
    const auto pulled = Give("jambi", 10, 50'000);
    world_.Do("tebo", Ensure{1, pushed, {"jambi", "bungo"}, 2});
    for (int step = 0; step < 400 && !(tebo.ensured.contains(1) && HoldsAll("bungo", pulled));
         ++step) {
      // As the tracker does: what is still missing is asked for again.
      std::vector<Digest> missing;
      for (const Digest& digest : pulled) {
        if (!world_.nodes.at("bungo").held.contains(digest)) missing.push_back(digest);
      }
      world_.Do("bungo", Fetch{missing, {"tebo", "jambi"}});
      world_.Run([] { return false; }, static_cast<int64_t>(world_.random() % 2'000'000));
      if (step < 20 && world_.random() % 3 == 0) {
        const bool first = world_.random() % 2 == 0;
        world_.Link("tebo", first ? "jambi" : "bungo", false);
        world_.Run([] { return false; }, static_cast<int64_t>(world_.random() % 300'000));
        world_.Link("tebo", first ? "jambi" : "bungo", true);
      }
    }
    EXPECT_TRUE(tebo.ensured.contains(1));
    EXPECT_TRUE(HoldsAll("jambi", pushed) && HoldsAll("bungo", pushed));
    EXPECT_TRUE(HoldsAll("bungo", pulled));
  }
}

// ---- Peers that hang, flood or come back ----

TEST_F(ExchangeTest, WhatAPeerOffersTooMuchIsRefusedToItAlone) {
  world_.options.wanted_max = 4;
  for (const char* name : {"tebo", "jambi"}) world_.Add(name);
  Exchange& exchange = world_.nodes.at("jambi").exchange;
  world_.Link("jambi", "tebo", true);
  world_.Do("jambi", PeerUp{"flood"});
  std::vector<Digest> offered;
  for (uint64_t i = 0; i < 100; ++i) offered.push_back(Sha256({Noise(i, 9)}));
  world_.Do("jambi", Looked{.peer = "flood", .missing = offered});
  EXPECT_EQ(exchange.wanted_of(), (std::map<std::string, size_t>{{"flood", 4}, {"tebo", 0}}));
  const auto digests = Give("tebo", 4);
  world_.Do("jambi", Fetch{digests, {"flood", "tebo"}});
  EXPECT_TRUE(world_.Run([&] { return HoldsAll("jambi", digests); }, 5'000'000));
  EXPECT_EQ(exchange.wanted_of(), (std::map<std::string, size_t>{{"flood", 4}, {"tebo", 0}}));
  world_.Do("jambi", PeerDown{"flood"});
  EXPECT_EQ(exchange.wanted(), 0u);
}

TEST_F(ExchangeTest, OffersAreLookedUpOneAtATimeAndNoMoreThanAMessageOfThemWaits) {
  Exchange exchange;
  exchange.Step(PeerUp{"flood"}, 1);
  std::vector<Digest> digests;
  for (uint64_t i = 0; i < 3'000; ++i) digests.push_back(Sha256({Noise(i, 9)}));
  EXPECT_EQ(exchange.Step(Received{"flood", Offer{digests}}, 1).size(), 1u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(exchange.Step(Received{"flood", Offer{digests}}, 1), IsEmpty());
  }
  const Actions actions = exchange.Step(Looked{.peer = "flood"}, 1);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(std::get<Look>(actions[0]).digests.size(), kDigestsMax);
  EXPECT_THAT(exchange.Step(Looked{.peer = "flood"}, 1), IsEmpty());
  EXPECT_EQ(exchange.Step(Received{"flood", Offer{digests}}, 1).size(), 1u);
}

TEST_F(ExchangeTest, PiecesNumberedForALinkThatWasReplacedDoNotStopTheNewOne) {
  world_.Add("jambi");
  world_.Do("jambi", PeerUp{"tebo"});
  uint64_t taken = 0;
  world_.seen = [&](const Message& message) {
    if (const auto* t = std::get_if<Taken>(&message)) taken = t->sent;
  };
  const Digest digest = Sha256({"x"});
  world_.Do("jambi", Received{"tebo", Piece{digest, 0, 9'000, std::string(4'096, 'x'), 5'000'000}});
  EXPECT_EQ(taken, 5'000'000u);
  world_.Do("jambi", Received{"tebo", Piece{digest, 0, 9'000, std::string(4'096, 'x'), 4'096}});
  EXPECT_EQ(taken, 4'096u);
}

TEST_F(ExchangeTest, AMirrorThatComesBackWithoutItsChunksDoesNotCount) {
  World::Node& tebo = world_.Add("tebo");
  World::Node& jambi = world_.Add("jambi");
  world_.Add("bungo");
  world_.Link("tebo", "jambi", true);
  const auto digests = Give("tebo", 5);
  world_.Do("tebo", Ensure{1, digests, {"jambi", "bungo"}, 2});
  EXPECT_FALSE(world_.Run([&] { return tebo.ensured.contains(1); }, 5'000'000));
  EXPECT_TRUE(HoldsAll("jambi", digests));
  world_.Link("tebo", "jambi", false);
  jambi.held.clear();
  world_.Link("tebo", "bungo", true);
  world_.Link("tebo", "jambi", true);
  ASSERT_TRUE(world_.Run([&] { return tebo.ensured.contains(1); }, 5'000'000));
  EXPECT_TRUE(HoldsAll("jambi", digests));
  EXPECT_TRUE(HoldsAll("bungo", digests));
}

TEST_F(ExchangeTest, UnknownPeersAndNonsenseChangeNothing) {
  World::Node& tebo = world_.Add("tebo");
  world_.Do("tebo", Received{"stranger", Want{Give("tebo", 1)}});
  world_.Do("tebo", PeerUp{"jambi"});
  const Digest digest = Sha256({"x"});
  world_.Do("tebo", Received{"jambi", Taken{1'000'000}});
  world_.Do("tebo", Received{"jambi", Piece{digest, UINT64_MAX, UINT64_MAX, "x", UINT64_MAX}});
  world_.Do("tebo", Received{"jambi", Piece{digest, 0, 1, "x", 1}});
  world_.Do("tebo", Received{"jambi", Have{{digest}}});
  world_.Do("tebo", Received{"jambi", Lack{{digest}}});
  world_.Do("tebo", Loaded{"jambi", digest, nullptr});
  world_.Do("tebo", Saved{digest, true});
  world_.Do("tebo", GiveUp{99});
  EXPECT_EQ(tebo.saves, 0u);
  EXPECT_EQ(tebo.exchange.wanted(), 0u);
}

// ---- In the way of records ----

TEST_F(ExchangeTest, OnASlowLinkLittleIsUnderWayAndTheLinkIsWellUsed) {
  World::Node& tebo = world_.Add("tebo");
  world_.Add("jambi");
  world_.link_bytes_per_s = 2.5e6;  // 20 Mbit/s
  world_.Link("tebo", "jambi", true);
  const auto digests = Give("tebo", 40, kChunkBytesMax);
  const int64_t begun = world_.now_us;
  world_.Do("tebo", Ensure{1, digests, {"jambi"}, 1});
  ASSERT_TRUE(world_.Run([&] { return tebo.ensured.contains(1); }));
  const double seconds = static_cast<double>(world_.now_us - begun) / 1e6;
  EXPECT_GT(static_cast<double>(world_.piece_bytes) / seconds, 0.8 * 2.5e6);
  // A record waits behind this much: 3 ms.
  EXPECT_LE(world_.most_queued, 8'000u);
}

TEST_F(ExchangeTest, OnALongFastLinkTheWindowGrowsToItsBound) {
  World::Node& tebo = world_.Add("tebo");
  world_.Add("jambi");
  world_.delay_us = 10'000;
  world_.Link("tebo", "jambi", true);
  uint64_t sent = 0, taken = 0, most = 0;
  world_.seen = [&](const Message& message) {
    if (const auto* piece = std::get_if<Piece>(&message)) {
      sent = piece->sent;
      EXPECT_LE(piece->data.size(), kPieceBytesMax);
    }
    if (const auto* t = std::get_if<Taken>(&message)) taken = t->sent;
    most = std::max(most, sent - taken);
  };
  const auto digests = Give("tebo", 20, kChunkBytesMax);
  world_.Do("tebo", Ensure{1, digests, {"jambi"}, 1});
  ASSERT_TRUE(world_.Run([&] { return tebo.ensured.contains(1); }));
  EXPECT_LE(most, world_.options.window_max);
  EXPECT_GE(most, world_.options.window_max * 3 / 4);
}

TEST_F(ExchangeTest, ARateIsKept) {
  World::Node& tebo = world_.Add("tebo");
  world_.Add("jambi");
  world_.Do("tebo", SetRate{500'000});
  world_.Link("tebo", "jambi", true);
  const auto digests = Give("tebo", 10, kChunkBytesMax);
  world_.Do("tebo", Ensure{1, digests, {"jambi"}, 1});
  const int64_t begun = world_.now_us;
  world_.Run([&] { return tebo.ensured.contains(1); });
  ASSERT_TRUE(tebo.ensured.contains(1));
  const double seconds = static_cast<double>(world_.now_us - begun) / 1e6;
  const double rate = static_cast<double>(world_.piece_bytes) / seconds;
  EXPECT_LT(rate, 550'000);
  EXPECT_GT(rate, 300'000);
}

TEST_F(ExchangeTest, UnderARateEveryMirrorHasItsShare) {
  World::Node& tebo = world_.Add("tebo");
  for (const char* name : {"bungo", "jambi"}) {
    world_.Add(name);
    world_.Link("tebo", name, true);
  }
  world_.Do("tebo", SetRate{500'000});
  const auto digests = Give("tebo", 40, 50'000);
  world_.Do("tebo", Ensure{1, digests, {"bungo", "jambi"}, 1});
  ASSERT_TRUE(world_.Run([&] { return tebo.ensured.contains(1); }));
  const size_t bungo = world_.nodes.at("bungo").held.size();
  const size_t jambi = world_.nodes.at("jambi").held.size();
  EXPECT_GT(std::min(bungo, jambi), 30u);
}

}  // namespace
}  // namespace kembar::blob
