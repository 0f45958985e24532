// tracker_test.cc — which documents are not whole here: found at the start and while following,
// made whole by chunks that come, handed out for fetching, bounded. One log is not held up by
// another, and no record by one that cannot be read.
#include "node/blob/tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/blob/verify_blobs.h"
#include "tests/unit/blob/damage.h"
#include "tests/unit/blob/payload.h"
#include "tests/unit/node/engine_fixture.h"
#include "tests/unit/store/rocks_test_util.h"

namespace kembar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::MakeControl;
using testing::TestNode;
using testing::WaitUntil;

class TrackerTest : public ::testing::Test {
 protected:
  TrackerTest() {
    OpenBlobs();
    EXPECT_TRUE(node_.engine->Start().ok());
    for (const char* log : {"log", "other"}) {
      EXPECT_TRUE(node_.Order(log, CreateLog{.state = MakeControl({"tebo"})}).status.ok());
    }
  }
  ~TrackerTest() override {
    if (tracker_) tracker_->Stop();
  }

  void OpenBlobs() {
    BlobStoreOptions options;
    options.dir = dir_.path() + "/blobs";
    options.create_if_missing = true;
    blobs_ = *BlobStore::Open(options);
  }
  // Puts it; then what is held of it is altered.
  void PutDamaged(const std::string& content) {
    Put(content);
    blobs_.reset();
    WriteOutBlobs(dir_.path() + "/blobs");
    FlipInBlobFile(dir_.path() + "/blobs", content, 1);
    OpenBlobs();
  }
  void Start(TrackerOptions options = {}) {
    options.turn_ms = 5;
    tracker_ = std::make_unique<BlobTracker>(node_.engine.get(), blobs_.get(), options);
    blobs_->OnStored([this](std::span<const Digest> digests) { tracker_->OnStored(digests); });
    blobs_->OnAside([this] { tracker_->OnAside(); });
    tracker_->Start();
  }
  // Records a document of one chunk; its index.
  uint64_t Record(const std::string& path, const std::string& content,
                  const std::string& log = "log") {
    return Append("document/" + path, DocumentPayload(path, content.size(), {Sha256({content})}),
                  log);
  }
  uint64_t Append(const std::string& item, const std::string& payload,
                  const std::string& log = "log") {
    AppendRequest request;
    request.source = "uji";
    request.position = ++position_;
    request.drafts.push_back({.package = "paket/1", .item = item, .payload = payload});
    const Reply reply = node_.Append(log, std::move(request)).get();
    EXPECT_TRUE(reply.status.ok()) << reply.status.ToString();
    return reply.index;
  }
  void Put(const std::string& content) {
    const std::string_view chunk = content;
    EXPECT_TRUE(blobs_->Put(std::span(&chunk, 1)).ok());
  }
  bool Checked(uint64_t index, const std::string& log = "log") {
    return WaitUntil([&] { return tracker_->Documents(log).checked_to >= index; });
  }
  std::set<uint64_t> Missing() { return *tracker_->Documents("log").missing; }

  TempDir dir_;
  std::unique_ptr<BlobStore> blobs_;
  TestNode node_{"tebo", nullptr};
  std::unique_ptr<BlobTracker> tracker_;
  uint64_t position_ = 0;
};

TEST_F(TrackerTest, WhatWasThereAtTheStartAndWhatComesLaterAreBothKnown) {
  Put("whole");
  Record("a", "whole");
  const uint64_t b = Record("b", "lacking");
  Append("public.paket/1", "{}");
  Start();
  ASSERT_TRUE(Checked(b + 1));
  EXPECT_THAT(Missing(), ElementsAre(b));
  const uint64_t c = Record("c", "whole");
  const uint64_t d = Record("d", "lacking too");
  ASSERT_TRUE(Checked(d));
  EXPECT_THAT(Missing(), ElementsAre(b, d));
  EXPECT_GT(c, b);
  EXPECT_EQ(tracker_->Stats().at("log").documents_missing, 2u);
  Put("lacking");
  EXPECT_THAT(Missing(), ElementsAre(d));
  Put("lacking too");
  EXPECT_THAT(Missing(), IsEmpty());
}

TEST_F(TrackerTest, EveryVersionOfADocumentCounts) {
  const uint64_t first = Record("a", "one");
  const uint64_t second = Record("a", "two");
  Start();
  ASSERT_TRUE(Checked(second));
  Put("two");
  EXPECT_THAT(Missing(), ElementsAre(first));
}

TEST_F(TrackerTest, ARecordThatCannotBeReadIsNotWhole) {
  const uint64_t bad = Append("document/x", "no JSON");
  Start();
  ASSERT_TRUE(Checked(bad));
  EXPECT_THAT(Missing(), ElementsAre(bad));
  EXPECT_THAT(tracker_->NextMissing("log", 10), IsEmpty());
}

TEST_F(TrackerTest, RecordsThatAreDamagedAtTheStartDoNotHideTheOthers) {
  const uint64_t bad = Record("a", "one");
  const uint64_t lacking = Record("b", "two");
  ASSERT_TRUE(node_.store.CorruptFrame("log", bad));
  Start();
  ASSERT_TRUE(Checked(lacking));
  EXPECT_THAT(Missing(), ElementsAre(bad, lacking));
}

TEST_F(TrackerTest, RecordsThatAreDamagedLaterDoNotHideTheOthers) {
  Record("a", "one");
  Start({.missing_max = 1});  // waits for that chunk
  ASSERT_TRUE(WaitUntil([&] { return !Missing().empty(); }));
  Put("two");
  const uint64_t bad = Record("b", "two");
  Record("c", "two");
  const uint64_t lacking = Record("d", "three");
  ASSERT_TRUE(node_.store.CorruptFrame("log", bad));
  Put("one");
  ASSERT_TRUE(Checked(lacking));
  EXPECT_THAT(Missing(), ElementsAre(bad, lacking));
}

TEST_F(TrackerTest, MissingChunksAreHandedOutOnceInAWhile) {
  Record("a", "one");
  Record("b", "one");
  const uint64_t last = Record("c", "two");
  Start({.ask_again_ms = 60'000});
  ASSERT_TRUE(Checked(last));
  EXPECT_THAT(tracker_->Lacking(), ElementsAre("log"));
  EXPECT_EQ(tracker_->NextMissing("log", 1).size(), 1u);
  EXPECT_EQ(tracker_->NextMissing("log", 10).size(), 1u);
  EXPECT_THAT(tracker_->NextMissing("log", 10), IsEmpty());
}

TEST_F(TrackerTest, AChunkThatTwoLogsLackIsHandedOutForEach) {
  const uint64_t a = Record("a", "one");
  const uint64_t b = Record("b", "one", "other");
  Start({.ask_again_ms = 60'000});
  ASSERT_TRUE(Checked(a) && Checked(b, "other"));
  EXPECT_THAT(tracker_->NextMissing("log", 10), ElementsAre(Sha256({"one"})));
  EXPECT_THAT(tracker_->NextMissing("other", 10), ElementsAre(Sha256({"one"})));
  Put("one");
  EXPECT_THAT(Missing(), IsEmpty());
  EXPECT_THAT(*tracker_->Documents("other").missing, IsEmpty());
  EXPECT_THAT(tracker_->Lacking(), IsEmpty());
}

TEST_F(TrackerTest, AChunkThatWasSetAsideIsMissingAgainInEveryLog) {
  PutDamaged("one");
  const uint64_t a = Record("a", "one");
  const uint64_t b = Record("b", "one", "other");
  Start({.recheck_ms = 1});
  ASSERT_TRUE(Checked(a) && Checked(b, "other"));
  EXPECT_THAT(Missing(), IsEmpty());
  ASSERT_TRUE(blobs_->SetAside(Sha256({"one"})).ok());
  ASSERT_TRUE(Checked(a) && Checked(b, "other"));
  EXPECT_THAT(Missing(), ElementsAre(a));
  EXPECT_THAT(*tracker_->Documents("other").missing, ElementsAre(b));
  Put("one");
  EXPECT_THAT(Missing(), IsEmpty());
}

TEST_F(TrackerTest, UntilAllIsLookedAtAgainNothingIsClaimedAndNewRecordsAreFollowed) {
  const uint64_t a = Record("a", "one");
  Start({.recheck_ms = 60'000});
  ASSERT_TRUE(Checked(a));
  for (int i = 0; i < 100; ++i) tracker_->OnAside();
  EXPECT_EQ(tracker_->Documents("log").checked_to, 0u);
  EXPECT_THAT(Missing(), ElementsAre(a));
  const uint64_t b = Record("b", "two");
  EXPECT_TRUE(WaitUntil([&] { return Missing() == std::set<uint64_t>{a, b}; }));
  EXPECT_EQ(tracker_->Documents("log").checked_to, 0u);
}

TEST_F(TrackerTest, OfADoubtfulStoreNothingIsClaimedUntilAllOfItHasBeenChecked) {
  Put("one");
  const uint64_t a = Record("a", "one");
  const uint64_t b = Record("b", "lacking");
  blobs_.reset();
  WriteOutBlobs(dir_.path() + "/blobs");
  RemoveBlobFiles(dir_.path() + "/blobs");
  OpenBlobs();
  ASSERT_TRUE(blobs_->doubtful());
  Start({.recheck_ms = 1});
  ASSERT_TRUE(WaitUntil([&] { return tracker_->Stats()["log"].documents_missing == 1; }));
  const uint64_t last = Record("c", "lacking too");
  ASSERT_TRUE(WaitUntil([&] { return tracker_->Stats()["log"].documents_missing == 2; }));
  for (const bool go_on : {false, true}) {
    EXPECT_EQ(tracker_->Documents("log").checked_to, 0u);
    EXPECT_EQ(tracker_->Stats()["log"].checked_to, 0u);
    EXPECT_EQ(SetAsideDamaged(blobs_.get(), [&] { return go_on; }).ok(), go_on);
    EXPECT_EQ(blobs_->doubtful(), !go_on);
  }
  ASSERT_TRUE(Checked(last));
  EXPECT_THAT(Missing(), ElementsAre(a, b, last));
}

TEST_F(TrackerTest, AListOfVeryManyIsMadeOnceInAWhileAndIsOfOneMoment) {
  std::vector<uint64_t> indices;
  for (int i = 0; i < 5; ++i) {
    indices.push_back(Record(std::to_string(i), "content " + std::to_string(i)));
  }
  Start({.list_max = 2, .list_ms = 3'600'000});
  ASSERT_TRUE(WaitUntil([&] {
    const TrackerStats stats = tracker_->Stats()["log"];
    return stats.documents_missing == 5 && stats.checked_to == indices[4];
  }));
  const DocumentsHere first = tracker_->Documents("log");
  EXPECT_EQ(first.checked_to, indices[4]);
  EXPECT_EQ(first.missing->size(), 5u);
  Put("content 0");
  const uint64_t later = Record("later", "lacking");
  ASSERT_TRUE(WaitUntil([&] { return tracker_->Stats()["log"].checked_to == later; }));
  const DocumentsHere second = tracker_->Documents("log");
  EXPECT_EQ(second.missing, first.missing);
  EXPECT_EQ(second.checked_to, first.checked_to);  // the list does not speak of what came since
  for (int i = 1; i < 4; ++i) Put("content " + std::to_string(i));
  EXPECT_THAT(Missing(), ElementsAre(indices[4], later));
  EXPECT_EQ(tracker_->Documents("log").checked_to, later);
}

TEST_F(TrackerTest, ALogThatLacksMuchDoesNotHoldUpAnother) {
  for (int i = 0; i < 60; ++i) Record(std::to_string(i), "content " + std::to_string(i));
  const uint64_t lacking = Record("a", "one", "other");
  Start({.missing_max = 50});
  ASSERT_TRUE(Checked(lacking, "other"));
  const uint64_t later = Record("b", "two", "other");
  ASSERT_TRUE(Checked(later, "other"));
  EXPECT_THAT(*tracker_->Documents("other").missing, ElementsAre(lacking, later));
}

TEST_F(TrackerTest, MemoryIsBoundedAndTheRestIsNotClaimed) {
  std::vector<uint64_t> indices;
  for (int i = 0; i < 400; ++i) {
    indices.push_back(Record(std::to_string(i), "content " + std::to_string(i)));
  }
  Start({.missing_max = 50});
  ASSERT_TRUE(WaitUntil([&] { return tracker_->Documents("log").checked_to > 0; }));
  EXPECT_LT(tracker_->Documents("log").checked_to, indices.back());
  for (int i = 0; i < 400; ++i) Put("content " + std::to_string(i));
  ASSERT_TRUE(Checked(indices.back()));
  EXPECT_THAT(Missing(), IsEmpty());
}

}  // namespace
}  // namespace kembar
