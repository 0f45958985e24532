// sources_test.cc — node/sources over a MemoryStore: which captures there are, and their last
// signs.
#include "node/sources.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/node/memory_log.h"

namespace kembar {
namespace {

class SourcesTest : public ::testing::Test, protected MemoryLog {
 protected:
  void Put(const std::string& source, const std::string& item, const std::string& package = "-") {
    Record record;
    record.kind = RecordKind::kPut;
    record.source = source;
    record.position = last_ + 1;
    record.package = package;
    record.item = item;
    AppendRecord(std::move(record));
  }
  // "postgres/epns@3", "postgres/lama@1 retired"
  std::string Text(uint64_t as_of) {
    const auto sources = FindSources(store_, kLog, as_of);
    EXPECT_TRUE(sources.ok()) << sources.status().ToString();
    std::string text;
    for (const SourceSeen& source : *sources) {
      EXPECT_EQ(source.time_us, static_cast<int64_t>(source.index) * kSecond);
      text += (text.empty() ? "" : ", ") + source.source + "@" + std::to_string(source.index) +
              (source.retired ? " retired" : "");
    }
    return text;
  }
};

TEST_F(SourcesTest, TheNewestSignOfEachCaptureCounts) {
  Put("postgres/epns", "transaction/postgres/epns");
  Put("postgres/epns", "transaction-part/postgres/epns");
  Put("documents/file_prod", "document/.kembar-canary");
  Put("import/rup", "rup/1", "rup/1");  // somebody's own doing
  Put("postgres/epns", "transaction/postgres/epns");
  Put("documents/file_prod", "document/.kembar-canary.pdf");
  EXPECT_EQ(Text(last_), "documents/file_prod@3, postgres/epns@5");
  EXPECT_EQ(Text(4), "documents/file_prod@3, postgres/epns@1");
  EXPECT_EQ(Text(0), "");
}

TEST_F(SourcesTest, ADamagedCanaryHidesNothing) {
  Put("postgres/epns", "transaction/postgres/epns");
  Put("documents/file_prod", "document/.kembar-canary");
  ASSERT_TRUE(store_.CorruptFrame(kLog, 2));
  EXPECT_EQ(Text(last_), "documents/?@2, postgres/epns@1");
}

TEST_F(SourcesTest, ARetiredOneCountsAgainWhenItIsHeard) {
  Put("postgres/epns", "transaction/postgres/epns");
  Put("kembarctl/retire/postgres/epns", "retired/postgres/epns");
  Put("kembarctl/retire/postgres/x", "retired/postgres/x");
  EXPECT_EQ(Text(last_), "postgres/epns@1 retired, postgres/x@3 retired");
  Put("postgres/epns", "transaction/postgres/epns");
  EXPECT_EQ(Text(last_), "postgres/epns@4, postgres/x@3 retired");
}

}  // namespace
}  // namespace kembar
