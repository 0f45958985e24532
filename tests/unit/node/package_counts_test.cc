// package_counts_test.cc — packages by state, counted behind the back of what changes.
#include "node/package_counts.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "tests/unit/node/engine_fixture.h"

namespace kembar {
namespace {

using testing::MakeControl;
using testing::TestNode;
using testing::WaitUntil;

class PackageCountsTest : public ::testing::Test {
 protected:
  PackageCountsTest() {
    EXPECT_TRUE(node_.engine->Start().ok());
    CreateLog create{.state = MakeControl({"tebo"}, Mode::kMaxPerformance)};
    create.state.config.sync_mirrors = 0;
    EXPECT_TRUE(node_.Order("tebo", create).status.ok());
    PackageCounterOptions options;
    options.documents = [this](const std::string&) {
      std::lock_guard lock(mutex_);
      return here_;
    };
    options.pause_ms = 1;
    counter_ = std::make_unique<PackageCounter>(node_.engine.get(), options);
    counter_->Start();
  }
  ~PackageCountsTest() override { counter_->Stop(); }

  uint64_t Append(const std::string& package, const std::string& item) {
    AppendRequest request;
    request.source = "uji";
    request.position = ++position_;
    request.drafts.push_back({.package = package, .item = item, .payload = "isi"});
    const Reply reply = node_.Append("tebo", std::move(request)).get();
    EXPECT_TRUE(reply.status.ok()) << reply.status.ToString();
    return reply.index;
  }
  bool Become(uint64_t incomplete, uint64_t at_risk) {
    return WaitUntil([&] {
      const auto counts = counter_->Counts();
      const auto at = counts.find("tebo");
      return at != counts.end() && at->second.complete == 0 &&
             at->second.incomplete == incomplete && at->second.at_risk == at_risk;
    });
  }

  TestNode node_{"tebo", nullptr};
  std::mutex mutex_;
  DocumentsHere here_;
  std::unique_ptr<PackageCounter> counter_;
  uint64_t position_ = 0;
};

TEST_F(PackageCountsTest, FollowRecordsAndDocuments) {
  EXPECT_TRUE(Become(0, 0));
  Append("paket/1", "row/a");
  Append("paket/2", "row/a");
  EXPECT_TRUE(Become(0, 2));  // no other site holds them
  const uint64_t document = Append("paket/2", "document/a.pdf");
  {
    std::lock_guard lock(mutex_);
    here_ = {document, std::make_shared<const std::set<uint64_t>>(std::set{document})};
  }
  EXPECT_TRUE(Become(1, 1));
  {
    std::lock_guard lock(mutex_);
    here_ = {document, std::make_shared<const std::set<uint64_t>>()};
  }
  EXPECT_TRUE(Become(0, 2));
  EXPECT_EQ(counter_->Counts().at("tebo").as_of, document);
}

// Whichever logs they are of: many logs take no more of the time than one.
TEST(PackageCounter, RestsAfterEveryCount) {
  using Clock = std::chrono::steady_clock;
  constexpr int kFactor = 20;
  TestNode node("tebo", nullptr);
  ASSERT_TRUE(node.engine->Start().ok());
  for (const char* log : {"a", "b", "c"}) {
    CreateLog create{.state = MakeControl({"tebo"}, Mode::kMaxPerformance)};
    create.state.config.sync_mirrors = 0;
    ASSERT_TRUE(node.Order(log, create).status.ok());
  }
  std::mutex mutex;
  std::vector<std::pair<Clock::time_point, Clock::time_point>> counts;  // begin and end
  PackageCounterOptions options;
  options.pause_ms = 60'000;
  options.pause_factor = kFactor;
  options.documents = [&](const std::string&) {
    const Clock::time_point begin = Clock::now();
    while (Clock::now() - begin < std::chrono::milliseconds(2))
      continue;  // a count that takes time
    std::lock_guard lock(mutex);
    counts.emplace_back(begin, Clock::now());
    return DocumentsHere();
  };
  PackageCounter counter(node.engine.get(), options);
  counter.Start();
  ASSERT_TRUE(WaitUntil([&counter] { return counter.Counts().size() == 3; }));
  counter.Stop();
  ASSERT_EQ(counts.size(), 3u);
  for (size_t i = 1; i < counts.size(); ++i) {
    const auto took = counts[i - 1].second - counts[i - 1].first;
    EXPECT_GE(counts[i].first - counts[i - 1].second, kFactor * took) << i;
  }
}

}  // namespace
}  // namespace kembar
