// inventory_test.cc — node/inventory over a MemoryStore: folding, deletions, as-of, history,
// states.
#include "node/inventory.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/node/memory_log.h"

namespace kembar {
namespace {

class InventoryTest : public ::testing::Test, protected MemoryLog {
 protected:
  void Append(RecordKind kind, std::string package, std::string item, std::string title = {},
              std::string value = {}) {
    Record record;
    record.kind = kind;
    record.package = std::move(package);
    record.item = std::move(item);
    record.title = std::move(title);
    record.value = std::move(value);
    record.payload = "payload " + std::to_string(last_ + 1);
    AppendRecord(std::move(record));
  }
  void Put(std::string package, std::string item, std::string title = {}, std::string value = {}) {
    Append(RecordKind::kPut, std::move(package), std::move(item), std::move(title),
           std::move(value));
  }
  void Delete(std::string package, std::string item) {
    Append(RecordKind::kDelete, std::move(package), std::move(item));
  }

  // Another site holds records up to `mirrored`, and all documents.
  InventoryScope Scope(uint64_t as_of, uint64_t mirrored = UINT64_MAX) const {
    return {.log = kLog, .as_of = as_of, .others = {.sites = {{mirrored, Whole()}}}};
  }
  static SharedHolding Lacks(std::vector<uint64_t> missing, uint64_t known_to = UINT64_MAX) {
    return std::make_shared<const Holding>(Holding{known_to, 1, std::move(missing)});
  }
  static SharedHolding Whole() { return Lacks({}); }
  static DocumentsHere Here(uint64_t checked_to, std::set<uint64_t> missing = {}) {
    return {checked_to, std::make_shared<const std::set<uint64_t>>(std::move(missing))};
  }
  InventoryScope Now() const { return Scope(last_); }

  std::vector<PackageInfo> List(const InventoryScope& scope) const {
    std::vector<PackageInfo> packages;
    const Status status = ForEachPackage(store_, scope, [&packages](const PackageInfo& package) {
      packages.push_back(package);
      return true;
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return packages;
  }
  std::vector<std::string> Names(const InventoryScope& scope) const {
    std::vector<std::string> names;
    for (const PackageInfo& package : List(scope)) names.push_back(package.package);
    return names;
  }
};

using Strings = std::vector<std::string>;

TEST_F(InventoryTest, OfAnEmptyLogIsEmpty) {
  EXPECT_TRUE(List(Now()).empty());
  EXPECT_EQ(FindPackage(store_, Now(), "rup/1").status().code(), Code::kNotFound);
}

TEST_F(InventoryTest, FoldsItemsIntoPackages) {
  Put("rup/2", "row/1", "Jalan", "100");
  Put("rup/1", "row/1", "Jembatan", "5");
  Put("rup/1", "row/2");
  Put("-", "row/9", "of no package");
  Put("rup/1", "row/1", "", "7.50");
  const std::vector<PackageInfo> packages = List(Now());
  ASSERT_EQ(packages.size(), 2u);
  EXPECT_EQ(packages[0].package, "rup/1");
  EXPECT_EQ(packages[0].title, "Jembatan");
  EXPECT_EQ(packages[0].value, "7.50");
  EXPECT_EQ(packages[0].items, 2u);
  EXPECT_EQ(packages[0].last_index, 5u);
  EXPECT_EQ(packages[0].last_time_us, 5 * kSecond);
  EXPECT_EQ(packages[1].package, "rup/2");
  EXPECT_EQ(packages[1].items, 1u);
  EXPECT_EQ(FindPackage(store_, Now(), "-").status().code(), Code::kNotFound);
}

TEST_F(InventoryTest, TakesTheLatestTitleByIndexWhateverTheItem) {
  Put("p", "z", "old");
  Put("p", "a", "new");
  Put("p", "z", "");
  EXPECT_EQ(FindPackage(store_, Now(), "p")->title, "new");
  Put("p", "z", "newest");
  EXPECT_EQ(FindPackage(store_, Now(), "p")->title, "newest");
  EXPECT_EQ(FindPackage(store_, Scope(3), "p")->title, "new");
}

TEST_F(InventoryTest, LeavesOutPackagesThatAreGone) {
  Put("a", "1", "A");
  Put("b", "1");
  Put("b", "2");
  Delete("a", "1");
  Delete("b", "2");
  EXPECT_EQ(Names(Now()), Strings{"b"});
  EXPECT_EQ(List(Now())[0].items, 1u);
  const Result<PackageInfo> gone = FindPackage(store_, Now(), "a");
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(gone->items, 0u);
  EXPECT_EQ(gone->title, "A");
  EXPECT_EQ(gone->last_index, 4u);
  EXPECT_EQ(Names(Scope(3)), (Strings{"a", "b"}));
  Put("a", "1");
  EXPECT_EQ(Names(Now()), (Strings{"a", "b"}));
}

TEST_F(InventoryTest, ShowsAnEarlierMoment) {
  Put("a", "1");
  Put("b", "1");
  EXPECT_TRUE(Names(Scope(0)).empty());
  EXPECT_EQ(Names(Scope(1)), Strings{"a"});
  EXPECT_EQ(FindPackage(store_, Scope(1), "b").status().code(), Code::kNotFound);
}

TEST_F(InventoryTest, StopsWhenTheVisitorHasEnough) {
  for (const char* package : {"a", "b", "c"}) Put(package, "1");
  int seen = 0;
  EXPECT_TRUE(
      ForEachPackage(store_, Now(), [&seen](const PackageInfo&) { return ++seen < 2; }).ok());
  EXPECT_EQ(seen, 2);
  seen = 0;
  EXPECT_TRUE(ForEachItem(store_, Now(), "", [&seen](const ItemInfo&) { return ++seen < 2; }).ok());
  EXPECT_EQ(seen, 2);
}

TEST_F(InventoryTest, CountsVersionsOfItems) {
  Put("a", "1");
  Put("a", "2");
  Put("a", "1");
  Delete("a", "2");
  Put("b", "1");
  std::vector<std::string> items;
  const auto add = [&items](const ItemInfo& item) {
    items.push_back(item.latest.package + "/" + item.latest.item + "@" +
                    std::to_string(item.latest.index) + "x" + std::to_string(item.versions));
    return true;
  };
  ASSERT_TRUE(ForEachItem(store_, Now(), "a", add).ok());
  EXPECT_EQ(items, (Strings{"a/1@3x2", "a/2@4x2"}));
  items.clear();
  ASSERT_TRUE(ForEachItem(store_, Scope(2), "", add).ok());
  EXPECT_EQ(items, (Strings{"a/1@1x1", "a/2@2x1"}));
}

TEST_F(InventoryTest, GivesAPackagesRecordsOldestFirst) {
  Put("a", "2");
  Put("a", "1");
  Put("b", "1");
  Delete("a", "2");
  std::vector<std::string> payloads;
  const auto add = [&payloads](const Record& record) {
    payloads.push_back(record.payload);
    return true;
  };
  ASSERT_TRUE(ForEachRecord(store_, Now(), "a", add).ok());
  EXPECT_EQ(payloads, (Strings{"payload 1", "payload 2", "payload 4"}));
  payloads.clear();
  ASSERT_TRUE(ForEachRecord(store_, Scope(2), "a", add).ok());
  EXPECT_EQ(payloads, (Strings{"payload 1", "payload 2"}));
}

TEST_F(InventoryTest, ReportsADamagedRecord) {
  Put("a", "1");
  ASSERT_TRUE(store_.CorruptFrame(kLog, 1));
  const Status status = ForEachRecord(store_, Now(), "a", [](const Record&) { return true; });
  EXPECT_EQ(status.code(), Code::kCorrupt);
}

TEST_F(InventoryTest, FindsTheIndexOfATime) {
  EXPECT_EQ(*IndexAtTime(store_, kLog, 0, kSecond), 0u);
  for (int i = 0; i < 10; ++i) Put("a", std::to_string(i));
  EXPECT_EQ(*IndexAtTime(store_, kLog, 10, 0), 0u);
  EXPECT_EQ(*IndexAtTime(store_, kLog, 10, kSecond), 1u);
  EXPECT_EQ(*IndexAtTime(store_, kLog, 10, 7 * kSecond + 1), 7u);
  EXPECT_EQ(*IndexAtTime(store_, kLog, 10, 8 * kSecond - 1), 7u);
  EXPECT_EQ(*IndexAtTime(store_, kLog, 10, 1000 * kSecond), 10u);
  EXPECT_EQ(*IndexAtTime(store_, kLog, 6, 1000 * kSecond), 6u);
  time_us_ -= kSecond;  // the next two records have equal times
  Put("a", "x");
  EXPECT_EQ(*IndexAtTime(store_, kLog, 11, 10 * kSecond), 11u);
}

TEST_F(InventoryTest, IsAtRiskBeyondWhatAnotherSiteHolds) {
  Put("a", "1");
  Put("b", "1");
  const std::vector<PackageInfo> packages = List(Scope(2, 1));
  EXPECT_EQ(packages[0].state, PackageState::kComplete);
  EXPECT_EQ(packages[1].state, PackageState::kAtRisk);
}

ReplicaStatus Primary() {
  ReplicaStatus status;
  status.role = Role::kPrimary;
  status.state = LogState::kProtected;
  status.last_index = status.durable_index = status.commit_index = 10;
  status.control.config.members = {{"tebo", ""}, {"jambi", ""}};
  PeerStatus peer;
  peer.name = "jambi";
  peer.member = true;
  peer.connected = true;
  peer.contact_ms_ago = 5;
  peer.durable_index = 8;
  status.peers.push_back(peer);
  return status;
}

uint64_t RecordsAt(const ReplicaStatus& status) {
  const OtherSites others = OtherSitesOf(status, {});
  return others.sites.empty() ? 0 : others.sites.front().records_to;
}

TEST(OtherSites, OfAPrimaryHoldWhatTheyAcknowledged) {
  ReplicaStatus status = Primary();
  EXPECT_EQ(RecordsAt(status), 8u);
  status.peers[0].connected = false;  // it acknowledged that, and nobody left it out
  EXPECT_EQ(RecordsAt(status), 8u);
  status.peers[0].durable_index = 0;  // after a restart: as persisted
  status.hard.acked_by["jambi"] = 7;
  EXPECT_EQ(RecordsAt(status), 7u);
  status.peers[0].connected = true;  // it came back with an empty disk
  EXPECT_EQ(RecordsAt(status), 0u);
  status.peers[0].durable_index = 10;
  status.peers[0].member = false;  // left out
  EXPECT_EQ(OtherSitesOf(status, {}).sites.size(), 0u);
  status.peers.clear();
  EXPECT_EQ(OtherSitesOf(status, {}).sites.size(), 0u);
}

TEST(OtherSites, OfAMirrorAreThePrimary) {
  ReplicaStatus status = Primary();
  status.role = Role::kMirror;
  status.primary = "tebo";
  status.peers.clear();
  EXPECT_EQ(RecordsAt(status), 10u);
  status.control.config.solo = true;  // no quorum with a mirror, but the primary is there
  status.primary_contact_ms_ago = 3;
  EXPECT_EQ(RecordsAt(status), 10u);
  status.state = LogState::kNoPrimary;
  EXPECT_EQ(RecordsAt(status), 0u);
  const auto said = std::make_shared<const Holding>(Holding{.known_to = 4});
  const OtherSites others = OtherSitesOf(status, {{"tebo", said}, {"kerinci", nullptr}});
  ASSERT_EQ(others.sites.size(), 1u);
  EXPECT_EQ(others.sites[0].documents, said);
  EXPECT_EQ(others.needed, 1u);
}

TEST(OtherSites, AsManyAreNeededAsAWriteIsMeantToReach) {
  ReplicaStatus status = Primary();
  Config& config = status.control.config;
  const auto needed = [&status] { return OtherSitesOf(status, {}).needed; };
  EXPECT_EQ(needed(), 1u);
  config.sync_mirrors = 2;
  EXPECT_EQ(needed(), 1u);  // there is only one
  config.members.push_back({"kerinci", ""});
  EXPECT_EQ(needed(), 2u);
  config.solo = true;  // whatever it makes do with now
  EXPECT_EQ(needed(), 2u);
  config.sync_mirrors = 0;
  EXPECT_EQ(needed(), 1u);
}

TEST_F(InventoryTest, IsCompleteOnceAsManySitesHoldItAsAreNeeded) {
  Put("a", "1");
  Put("b", "document/x");
  const uint64_t x = last_;
  InventoryScope scope = Now();
  scope.documents = Here(last_);
  const auto states = [&](std::vector<SiteHolds> sites, size_t needed) {
    scope.others = {std::move(sites), needed};
    std::string all;
    for (const PackageInfo& package : List(scope)) {
      all += package.state == PackageState::kComplete ? 'c' : 'r';
    }
    return all;
  };
  EXPECT_EQ(states({}, 1), "rr");
  EXPECT_EQ(states({{last_, Whole()}}, 1), "cc");
  EXPECT_EQ(states({{last_, Whole()}, {0, Whole()}}, 1), "cc");
  EXPECT_EQ(states({{last_, Whole()}, {0, Whole()}}, 2), "rr");
  EXPECT_EQ(states({{last_, Whole()}, {1, Whole()}}, 2), "cr");
  EXPECT_EQ(states({{last_, Whole()}, {last_, Lacks({x})}}, 2), "cr");
  EXPECT_EQ(states({{last_, Whole()}, {last_, Whole()}}, 2), "cc");
  // One holds the records and another the documents: neither holds the package.
  EXPECT_EQ(states({{last_, Lacks({x})}, {1, Whole()}}, 1), "cr");
}

TEST_F(InventoryTest, IsAtRiskUntilAnotherSiteIsKnownToHoldEveryDocument) {
  Put("paket/1", "document/a.pdf");
  const uint64_t old = last_;
  Put("paket/1", "document/a.pdf");
  const uint64_t a = last_;
  Put("paket/1", "document/b.pdf");
  Put("paket/1", "public.dokumen/17");
  const auto state = [&](SharedHolding said) {
    InventoryScope scope = Now();
    scope.documents = Here(last_);
    scope.others.sites = {{last_, std::move(said)}};
    return FindPackage(store_, scope, "paket/1")->state;
  };
  EXPECT_EQ(state(nullptr), PackageState::kAtRisk);  // it has said nothing yet
  EXPECT_EQ(state(Whole()), PackageState::kComplete);
  EXPECT_EQ(state(Lacks({a})), PackageState::kAtRisk);
  EXPECT_EQ(state(Lacks({old})), PackageState::kComplete);  // not living any more
  EXPECT_EQ(state(Lacks({}, a)), PackageState::kAtRisk);    // b.pdf is not spoken of
  EXPECT_EQ(state(Lacks({}, a + 1)), PackageState::kComplete);
}

TEST_F(InventoryTest, ADocumentOfAnotherPackageIsTheOneReferredToToo) {
  Put("-", "document/lepas.pdf");
  Put("paket/A", "document/bersama.pdf");
  const uint64_t shared = last_;
  Put("paket/B", "reference/bersama.pdf");
  Put("paket/B", "reference/lepas.pdf");
  Put("paket/C", "document/hilang.pdf");
  Delete("paket/C", "document/hilang.pdf");
  Put("paket/C", "reference/hilang.pdf");
  InventoryScope scope = Now();
  const auto find = [&](DocumentsHere here, SharedHolding there) {
    scope.documents = std::move(here);
    scope.others.sites = {{last_, std::move(there)}};
    return *FindPackage(store_, scope, "paket/B");
  };
  PackageInfo package = find(Here(last_), Whole());
  EXPECT_EQ(package.state, PackageState::kComplete);
  EXPECT_EQ(package.documents, 0u);
  EXPECT_EQ(package.missing_documents, 0u);
  package = find(Here(last_, {shared}), Whole());
  EXPECT_EQ(package.state, PackageState::kIncomplete);
  EXPECT_EQ(package.missing_documents, 1u);
  EXPECT_EQ(find(Here(shared - 1), Whole()).state, PackageState::kAtRisk);  // not looked at
  EXPECT_EQ(find(Here(last_), Lacks({shared})).state, PackageState::kAtRisk);
  find(Here(last_), Whole());
  EXPECT_EQ(FindPackage(store_, scope, "paket/C")->state, PackageState::kIncomplete);  // nowhere
  std::string all;
  for (const PackageInfo& each : List(scope)) {
    all += each.package + (each.state == PackageState::kComplete ? " complete " : " incomplete ");
  }
  EXPECT_EQ(all, "paket/A complete paket/B complete paket/C incomplete ");
}

TEST_F(InventoryTest, TheNewestDocumentOfAPathCountsWhereverItIs) {
  Put("paket/A", "document/x.pdf");
  Put("paket/B", "document/x.pdf");
  const uint64_t newest = last_;
  Put("paket/C", "reference/x.pdf");
  InventoryScope scope = Now();
  scope.documents = Here(last_, {newest});
  EXPECT_EQ(FindPackage(store_, scope, "paket/C")->state, PackageState::kIncomplete);
  scope.documents = Here(last_, {newest - 1});
  EXPECT_EQ(FindPackage(store_, scope, "paket/C")->state, PackageState::kComplete);
}

TEST_F(InventoryTest, ItemsSayWhichDocumentsAreMissing) {
  Put("paket/1", "document/a.pdf");
  const uint64_t a = last_;
  Put("paket/1", "document/b.pdf");
  Put("paket/1", "document/gone.pdf");
  Delete("paket/1", "document/gone.pdf");
  for (const char* path : {"a.pdf", "b.pdf", "gone.pdf"}) {
    Put("paket/1", std::string("reference/") + path);
  }
  Put("paket/2", "reference/a.pdf");
  Put("paket/2", "reference/b.pdf");
  InventoryScope scope = Now();
  scope.documents = Here(last_, {a});
  std::vector<std::string> missing;
  const auto add = [&missing](const ItemInfo& item) {
    if (item.missing) missing.push_back(item.latest.package + " " + item.latest.item);
    return true;
  };
  ASSERT_TRUE(ForEachItem(store_, scope, {}, add).ok());
  EXPECT_EQ(missing, (Strings{"paket/1 document/a.pdf", "paket/1 reference/gone.pdf",
                              "paket/2 reference/a.pdf"}));
}

TEST_F(InventoryTest, DocumentsAreCountedApartAndDecideWhetherAPackageIsWhole) {
  Put("paket/1", "public.dokumen/17");
  Put("paket/1", "reference/a.pdf");
  Put("paket/1", "reference/b.pdf");
  Put("paket/1", "document/a.pdf");
  const uint64_t a = last_;
  Put("paket/1", "document/c.pdf");
  Put("paket/1", "document/gone.pdf");
  Delete("paket/1", "document/gone.pdf");
  const auto find = [&](uint64_t checked_to, std::set<uint64_t> missing) {
    InventoryScope scope = Now();
    scope.documents = Here(checked_to, std::move(missing));
    return *FindPackage(store_, scope, "paket/1");
  };
  PackageInfo package = find(last_, {});
  EXPECT_EQ(package.items, 1u);
  EXPECT_EQ(package.documents, 2u);
  EXPECT_EQ(package.missing_documents, 1u);  // b.pdf
  EXPECT_EQ(package.state, PackageState::kIncomplete);
  Put("paket/1", "document/b.pdf");
  EXPECT_EQ(find(last_, {}).state, PackageState::kComplete);
  EXPECT_EQ(find(a, {}).state, PackageState::kAtRisk);  // not looked at yet
  package = find(last_, {a});
  EXPECT_EQ(package.missing_documents, 1u);
  EXPECT_EQ(package.state, PackageState::kIncomplete);
  EXPECT_EQ(FindPackage(store_, Now(), "paket/1")->state, PackageState::kAtRisk);
}

}  // namespace
}  // namespace kembar
