// verify_test.cc — a sound log passes, and a flipped bit is named.
#include "node/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/node/engine_fixture.h"

namespace kembar {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeAppend;
using testing::MakeControl;
using testing::Nodes;
using testing::TestNode;

struct Outcome {
  uint64_t records = 0;
  std::vector<std::string> errors;
  int dones = 0;
};

class VerifyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(tebo_.Order("tebo", CreateLog{.state = MakeControl({"tebo"})}).status.ok());
    for (uint64_t i = 1; i <= 300; ++i) {
      ASSERT_TRUE(tebo_.Append("tebo", MakeAppend(i)).get().status.ok());
    }
    range_ = {.log = "tebo", .last_index = 301, .commit_index = 301, .read_bytes = 1000};
  }
  Outcome Verify() {
    Outcome outcome;
    VerifyLog(tebo_.store, range_, [&](const VerifyProgress& progress) {
      EXPECT_GE(progress.records, outcome.records);
      outcome.records = progress.records;
      outcome.errors.insert(outcome.errors.end(), progress.errors.begin(), progress.errors.end());
      outcome.dones += progress.done ? 1 : 0;
      return true;
    });
    return outcome;
  }

  Nodes nodes_;
  TestNode& tebo_ = nodes_.Add("tebo");
  VerifyRange range_;
};

TEST_F(VerifyTest, ASoundLogPasses) {
  const Outcome outcome = Verify();
  EXPECT_THAT(outcome.errors, IsEmpty());
  EXPECT_EQ(outcome.records, 301u);
  EXPECT_EQ(outcome.dones, 1);
}

TEST_F(VerifyTest, ADamagedRecordIsNamedAndTheRestIsStillChecked) {
  ASSERT_TRUE(tebo_.store.CorruptFrame("tebo", 150));
  const Outcome outcome = Verify();
  EXPECT_THAT(outcome.errors, Contains(HasSubstr("log tebo index 150")));
  EXPECT_THAT(outcome.errors, ::testing::Not(Contains(HasSubstr("index 151:"))));
  EXPECT_GE(outcome.records, 300u);
  EXPECT_EQ(outcome.dones, 1);
}

TEST_F(VerifyTest, StopsWhenNobodyListens) {
  int reports = 0;
  VerifyLog(tebo_.store, range_, [&](const VerifyProgress&) { return ++reports < 2; });
  EXPECT_EQ(reports, 2);
}

TEST_F(VerifyTest, AnEmptyLogPasses) {
  range_ = {.log = "none"};
  const Outcome outcome = Verify();
  EXPECT_THAT(outcome.errors, IsEmpty());
  EXPECT_EQ(outcome.dones, 1);
}

}  // namespace
}  // namespace kembar
