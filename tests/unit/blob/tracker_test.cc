// tracker_test.cc — which documents are not whole here: found at the start and while following,
// made whole by chunks that come, handed out for fetching, bounded.
#include "node/blob/tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replicator/base/bytes.h"
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
    BlobStoreOptions options;
    options.dir = dir_.path() + "/blobs";
    options.create_if_missing = true;
    blobs_ = *BlobStore::Open(options);
    EXPECT_TRUE(node_.engine->Start().ok());
    EXPECT_TRUE(node_.Order("log", CreateLog{.state = MakeControl({"tebo"})}).status.ok());
  }
  ~TrackerTest() override {
    if (tracker_) tracker_->Stop();
  }

  void Start(TrackerOptions options = {}) {
    options.turn_ms = 5;
    tracker_ = std::make_unique<BlobTracker>(node_.engine.get(), blobs_.get(), options);
    blobs_->OnStored([this](std::span<const Digest> digests) { tracker_->OnStored(digests); });
    tracker_->Start();
  }
  // Records a document of one chunk; its index.
  uint64_t Record(const std::string& path, const std::string& content) {
    return Append("document/" + path,
                  R"({"path":")" + path + R"(","size":)" + std::to_string(content.size()) +
                      R"(,"mode":"0640","mtime_ns":"5","sha256":")" + ToHex(Sha256({content})) +
                      R"(","chunks":[")" + ToHex(Sha256({content})) + "\"]}");
  }
  uint64_t Append(const std::string& item, const std::string& payload) {
    AppendRequest request;
    request.source = "uji";
    request.position = ++position_;
    request.drafts.push_back({.package = "paket/1", .item = item, .payload = payload});
    const Reply reply = node_.Append("log", std::move(request)).get();
    EXPECT_TRUE(reply.status.ok()) << reply.status.ToString();
    return reply.index;
  }
  void Put(const std::string& content) {
    const std::string_view chunk = content;
    EXPECT_TRUE(blobs_->Put(std::span(&chunk, 1)).ok());
  }
  bool Checked(uint64_t index) {
    return WaitUntil([&] { return tracker_->Documents("log").checked_to >= index; });
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
  EXPECT_THAT(tracker_->NextMissing(10), IsEmpty());
}

TEST_F(TrackerTest, MissingChunksAreHandedOutOnceInAWhile) {
  Record("a", "one");
  Record("b", "one");
  const uint64_t last = Record("c", "two");
  Start({.ask_again_ms = 60'000});
  ASSERT_TRUE(Checked(last));
  const auto first = tracker_->NextMissing(1);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].log, "log");
  EXPECT_EQ(first[0].digests.size(), 1u);
  EXPECT_EQ(tracker_->NextMissing(10).at(0).digests.size(), 1u);
  EXPECT_THAT(tracker_->NextMissing(10), IsEmpty());
}

TEST_F(TrackerTest, AChunkThatWasSetAsideIsMissingAgain) {
  Put("one");
  const uint64_t a = Record("a", "one");
  Start();
  ASSERT_TRUE(Checked(a));
  ASSERT_TRUE(blobs_->SetAside(Sha256({"one"})).ok());
  tracker_->Recheck("log", a);
  EXPECT_THAT(Missing(), ElementsAre(a));
  Put("one");
  EXPECT_THAT(Missing(), IsEmpty());
  ASSERT_TRUE(blobs_->SetAside(Sha256({"one"})).ok());
  tracker_->RecheckAll();
  EXPECT_TRUE(WaitUntil([&] { return Missing() == std::set<uint64_t>{a}; }));
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
