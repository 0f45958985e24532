// runner_test.cc — the runner over a real store and engine, its links made up: a peer that hangs or
// is away holds up nobody else's documents, what a damaged store has lost is set aside at the
// start, and an Ensure is answered whenever it is given up.
#include "node/blob/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <future>

#include "tests/unit/blob/damage.h"
#include "tests/unit/blob/payload.h"
#include "tests/unit/node/engine_fixture.h"

namespace kembar {
namespace {

namespace fs = std::filesystem;
using testing::MakeControl;
using testing::TestNode;
using testing::WaitUntil;

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() {
    OpenBlobs();
    EXPECT_TRUE(node_.engine->Start().ok());
  }
  ~RunnerTest() override {
    if (tracker_) tracker_->Stop();
    if (runner_) runner_->Stop();
  }
  std::string blob_dir() const { return dir_.path() + "/blobs"; }
  void OpenBlobs() {
    BlobStoreOptions options;
    options.dir = blob_dir();
    options.create_if_missing = true;
    blobs_ = *BlobStore::Open(options);
  }
  void PutAndClose(const std::vector<std::string_view>& chunks) {
    digests_ = *blobs_->Put(chunks);
    blobs_.reset();
    WriteOutBlobs(blob_dir());
  }
  void Start() {
    tracker_ = std::make_unique<BlobTracker>(
        node_.engine.get(), blobs_.get(),
        TrackerOptions{.ask_again_ms = 60'000, .turn_ms = 5, .recheck_ms = 5});
    blobs_->OnAside([this] { tracker_->OnAside(); });
    BlobRunnerOptions options;
    options.node = "tebo";
    options.fetch_ms = 5;
    options.recheck_ms = 5;
    options.send = [this](const std::string& peer, blob::Message message) {
      const auto* want = std::get_if<blob::Want>(&message);
      if (want == nullptr) return;
      std::lock_guard lock(mutex_);
      asked_[peer].insert(want->digests.begin(), want->digests.end());
      order_.insert(order_.end(), want->digests.begin(), want->digests.end());
      if (order_.size() > lack_) return;
      runner_->Receive(peer, blob::Lack{want->digests});
    };
    runner_ = std::make_unique<BlobRunner>(std::move(options), node_.engine.get(), blobs_.get(),
                                           tracker_.get());
    tracker_->Start();
    runner_->Start();
  }
  // A log that also `peer` holds.
  void Create(const std::string& log, const std::string& peer) {
    ASSERT_TRUE(
        node_.Order(log, CreateLog{.state = MakeControl({"tebo", peer}, Mode::kMaxPerformance)})
            .status.ok());
  }
  // Records a document that is not here, of so many chunks.
  std::vector<Digest> RecordMissing(const std::string& log, uint64_t chunks) {
    std::vector<Digest> digests;
    for (uint64_t i = 0; i < chunks; ++i) digests.push_back(Sha256({log, std::to_string(i)}));
    AppendRequest request;
    request.source = "uji";
    request.position = 1;
    request.drafts.push_back({.package = "paket/1",
                              .item = "document/a",
                              .payload = DocumentPayload("a", chunks * kChunkBytesMax, digests)});
    const Reply reply = node_.Append(log, std::move(request)).get();
    EXPECT_TRUE(reply.status.ok()) << reply.status.ToString();
    return digests;
  }
  bool Asked(const std::string& peer, const Digest& digest) {
    std::lock_guard lock(mutex_);
    return asked_[peer].contains(digest);
  }
  // How many chunks were asked for, of anybody, before the first of these; all, if none was.
  size_t AskedBefore(const std::vector<Digest>& digests) {
    std::lock_guard lock(mutex_);
    const std::set<Digest> these(digests.begin(), digests.end());
    const auto first = std::find_if(order_.begin(), order_.end(),
                                    [&](const Digest& digest) { return these.contains(digest); });
    return static_cast<size_t>(first - order_.begin());
  }
  size_t AskedInAll() {
    std::lock_guard lock(mutex_);
    return order_.size();
  }
  bool AllLack(const std::vector<std::string>& logs) {
    return WaitUntil([&] { return tracker_->Lacking() == logs; });
  }

  TempDir dir_;
  std::unique_ptr<BlobStore> blobs_;
  TestNode node_{"tebo", nullptr};
  std::unique_ptr<BlobTracker> tracker_;
  std::unique_ptr<BlobRunner> runner_;
  std::mutex mutex_;
  std::map<std::string, std::set<Digest>> asked_;
  std::vector<Digest> order_;  // in which chunks were asked for, of all peers
  size_t lack_ = 0;            // so many are answered: not held
  std::vector<Digest> digests_;
};

TEST_F(RunnerTest, APeerThatHangsHoldsUpNoOtherLog) {
  Create("far", "hung");
  Create("near", "jambi");
  Start();
  runner_->PeerConnected("hung");
  runner_->PeerConnected("jambi");
  RecordMissing("far", 400);
  ASSERT_TRUE(WaitUntil([&] { return runner_->wanted() >= 128; }));
  const auto digests = RecordMissing("near", 1);
  EXPECT_TRUE(WaitUntil([&] { return Asked("jambi", digests[0]); }));
}

TEST_F(RunnerTest, LogsThatShareAPeerShareWhatItMayBeAskedFor) {
  Create("a", "jambi");
  Create("z", "jambi");
  const auto a = RecordMissing("a", 1'000);
  const auto z = RecordMissing("z", 1'000);
  lack_ = 96;  // so that it is not asked for more than at first
  Start();
  ASSERT_TRUE(AllLack({"a", "z"}));
  runner_->PeerConnected("jambi");
  ASSERT_TRUE(WaitUntil([&] { return AskedInAll() > 96; }));
  EXPECT_LE(AskedBefore(a), 96u);
  EXPECT_LE(AskedBefore(z), 96u);
}

TEST_F(RunnerTest, ManyLogsThatShareAPeerTakeTurns) {
  std::vector<std::string> names;
  std::vector<Digest> last;
  for (char c = 'a'; c <= 'l'; ++c) {
    names.emplace_back(1, c);
    Create(names.back(), "jambi");
    last = RecordMissing(names.back(), 1'000);
  }
  lack_ = 20'000;  // all
  Start();
  ASSERT_TRUE(AllLack(names));
  runner_->PeerConnected("jambi");
  ASSERT_TRUE(WaitUntil([&] { return AskedInAll() > 1'500; }));
  EXPECT_LE(AskedBefore(last), 1'500u);
}

TEST_F(RunnerTest, WhatNobodyCanBeAskedForIsAskedForAsSoonAsSomebodyIsLinked) {
  Create("far", "bungo");
  Create("near", "jambi");
  const auto far = RecordMissing("far", 1);
  Start();
  runner_->PeerConnected("jambi");
  // By then it has been the turn of the log `far`, too.
  ASSERT_TRUE(WaitUntil([&] { return tracker_->Stats()["far"].documents_missing == 1; }));
  const auto near = RecordMissing("near", 1);
  ASSERT_TRUE(WaitUntil([&] { return Asked("jambi", near[0]); }));
  runner_->PeerConnected("bungo");
  EXPECT_TRUE(WaitUntil([&] { return Asked("bungo", far[0]); }));
}

TEST_F(RunnerTest, WhatADamagedStoreHasLostIsSetAsideAtTheStart) {
  PutAndClose({"one", "two", "three"});
  RemoveBlobFiles(blob_dir());
  OpenBlobs();
  EXPECT_EQ(blobs_->Missing(digests_)->size(), 0u);
  Start();
  EXPECT_TRUE(WaitUntil([&] { return !blobs_->doubtful(); }));
  EXPECT_EQ(blobs_->Missing(digests_)->size(), 3u);
}

TEST_F(RunnerTest, ADamagedStoreThatCannotBeReadIsCheckedAgainUntilItCan) {
  std::vector<std::string> chunks = {"one", "two"};
  if (Sha256({chunks[1]}) < Sha256({chunks[0]})) std::swap(chunks[0], chunks[1]);
  PutAndClose({chunks[0]});
  const std::vector<fs::path> unreadable = BlobFiles(blob_dir());
  OpenBlobs();
  PutAndClose({chunks[1]});
  RemoveBlobFiles(blob_dir());
  // Reading it is an error that does not tell of damage.
  for (const fs::path& file : unreadable) fs::create_symlink(file, file);
  OpenBlobs();
  Start();
  // Chunks are checked in order of name, so by then reading the other has failed.
  ASSERT_TRUE(WaitUntil([&] { return blobs_->Missing(digests_)->size() == 1; }));
  EXPECT_TRUE(blobs_->doubtful());
  for (const fs::path& file : unreadable) fs::remove(file);
  EXPECT_TRUE(WaitUntil([&] { return !blobs_->doubtful(); }));
  digests_.push_back(Sha256({chunks[0]}));
  EXPECT_EQ(blobs_->Missing(digests_)->size(), 2u);
}

TEST_F(RunnerTest, AnEnsureIsAnsweredWheneverItIsGivenUp) {
  const auto state = MakeControl({"tebo", "jambi"});  // its mirror never comes
  node_.engine->Order("log", CreateLog{.state = state}, [](const Reply&) {});
  Start();
  const auto digests = *blobs_->Put(std::vector<std::string_view>{"chunk"});
  for (int round = 0; round < 20'000; ++round) {
    auto done = std::make_shared<std::promise<Code>>();
    auto code = done->get_future();
    const uint64_t id = runner_->Ensure("log", digests, [done](const Result<uint32_t>& result) {
      done->set_value(result.status().code());
    });
    for (volatile int spin = 0; spin < round % 100 * 1'000;) spin = spin + 1;
    runner_->GiveUp(id);
    ASSERT_EQ(code.wait_for(std::chrono::seconds(10)), std::future_status::ready) << round;
    ASSERT_EQ(code.get(), Code::kTimeout);
  }
}

}  // namespace
}  // namespace kembar
