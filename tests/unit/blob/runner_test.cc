// runner_test.cc — the runner over a real store and engine, its links made up: a peer that hangs or
// is away holds up nobody else's documents, what a damaged store has lost is set aside at the
// start, and an Ensure is answered whenever it is given up.
#include "node/blob/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/unit/blob/damage.h"
#include "tests/unit/blob/noise.h"
#include "tests/unit/blob/payload.h"
#include "tests/unit/node/engine_fixture.h"

namespace kembar {
namespace {

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
  void Start() {
    tracker_ = std::make_unique<BlobTracker>(
        node_.engine.get(), blobs_.get(),
        TrackerOptions{.ask_again_ms = 60'000, .turn_ms = 5, .recheck_ms = 5});
    blobs_->OnAside([this] { tracker_->OnAside(); });
    BlobRunnerOptions options;
    options.node = "tebo";
    options.fetch_ms = 5;
    options.send = [this](const std::string& peer, blob::Message message) {
      const auto* want = std::get_if<blob::Want>(&message);
      if (want == nullptr) return;
      std::lock_guard lock(mutex_);
      asked_[peer].insert(want->digests.begin(), want->digests.end());
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

  TempDir dir_;
  std::unique_ptr<BlobStore> blobs_;
  TestNode node_{"tebo", nullptr};
  std::unique_ptr<BlobTracker> tracker_;
  std::unique_ptr<BlobRunner> runner_;
  std::mutex mutex_;
  std::map<std::string, std::set<Digest>> asked_;
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
  std::vector<Digest> digests;
  for (uint64_t i = 0; i < 5; ++i) {
    const std::string chunk = Noise(i, 1'000);
    digests.push_back(blobs_->Put(std::vector<std::string_view>{chunk})->front());
  }
  blobs_.reset();
  WriteOutBlobs(blob_dir());
  for (const auto& entry : std::filesystem::directory_iterator(blob_dir())) {
    if (entry.path().extension() == ".blob") std::filesystem::remove(entry.path());
  }
  OpenBlobs();
  EXPECT_EQ(blobs_->Missing(digests)->size(), 0u);
  Start();
  EXPECT_TRUE(WaitUntil([&] { return blobs_->Missing(digests)->size() == 5; }));
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
