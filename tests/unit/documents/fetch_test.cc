// fetch_test.cc — documents of packages as asked for, slow and silent nodes, and what need not
// stand in a directory.
#include "tools/documents/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/documents/fake_node.h"
#include "tools/documents/referenced.h"

namespace kembar::documents {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using testing::FakeNode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FetchTest : public ::testing::Test {
 protected:
  FetchTest() {
    char name[] = "/tmp/kembar-fetch-XXXXXX";
    base_ = mkdtemp(name);
  }
  ~FetchTest() override {
    std::error_code error;
    fs::remove_all(base_, error);
  }

  static Document Make(const std::string& path, const std::string& source) {
    Document document;
    document.path = path;
    document.source = source;
    document.sha256 = Sha256({""});
    return document;
  }
  // Of `count` chunks, which all of `nodes` have.
  static Document MakeLarge(const std::string& path, int count,
                            const std::vector<FakeNode*>& nodes) {
    Document document = Make(path, "documents/uji");
    Hasher whole;
    for (int i = 0; i < count; ++i) {
      const std::string chunk = path + std::to_string(i);
      for (FakeNode* node : nodes) node->AddChunk(chunk);
      document.chunks.push_back(Sha256({chunk}));
      document.size += chunk.size();
      whole.Update(chunk);
    }
    document.sha256 = whole.Finish();
    return document;
  }
  Status List(const std::vector<std::string>& packages, const v1::AsOf& as_of = {}) {
    const auto list = ListDocuments(stubs_.get(), "tebo", as_of, packages);
    listed_.clear();
    if (!list.ok()) return list.status();
    for (const PlacedDocument& placed : *list) listed_.push_back(placed.document.path);
    return Status::Ok();
  }
  Result<RestoreReport> Restore(Fetcher* fetcher, const std::vector<Document>& documents) {
    std::vector<PlacedDocument> placed;
    for (const Document& document : documents) placed.push_back({"paket/1", 1, document});
    return RestoreDocuments(fetcher, placed, base_.string(), false, [](uint64_t, uint64_t) {});
  }

  fs::path base_;
  FakeNode node_;
  client::ChannelPool channels_;
  std::shared_ptr<client::NodeStubs> stubs_ = channels_.Get(node_.address());
  std::vector<std::string> listed_;
};

TEST_F(FetchTest, AMisspeltPackageIsNoPackageWithoutDocuments) {
  node_.Put("paket/1", "row/public.paket/1", "{}");
  const uint64_t before = node_.records();
  node_.Put("paket/2", "document/a", EncodeDocument(Make("a", "")));
  EXPECT_TRUE(List({"paket/1"}).ok());
  EXPECT_THAT(listed_, IsEmpty());
  EXPECT_TRUE(List({"paket/1", "paket/2"}).ok());
  EXPECT_THAT(listed_, ElementsAre("a"));
  for (const char* wrong : {"paket/22", "paket", ""}) {
    const Status status = List({"paket/2", wrong});
    EXPECT_EQ(status.code(), Code::kNotFound) << wrong;
    EXPECT_THAT(status.message(), HasSubstr("\"" + std::string(wrong) + "\""));
  }
  v1::AsOf then;
  then.set_index(before);
  EXPECT_EQ(List({"paket/2"}, then).code(), Code::kNotFound) << "it came later";
}

TEST_F(FetchTest, WhatBelongsToNoPackageMayBeAskedFor) {
  EXPECT_TRUE(List({"-"}).ok());
  node_.Put("-", "document/a", EncodeDocument(Make("a", "")));
  node_.Put("paket/1", "document/b", EncodeDocument(Make("b", "")));
  EXPECT_TRUE(List({"-"}).ok());
  EXPECT_THAT(listed_, ElementsAre("a"));
}

TEST_F(FetchTest, ARecordThatCannotBeReadKeepsNoOtherFromIt) {
  node_.Put("paket/1", "document/a", EncodeDocument(Make("a", "documents/uji")));
  node_.Put("paket/1", "document/b%20c", "{}");
  node_.Put("paket/2", "document/../x", "no JSON");
  node_.Put("paket/2", "document/d", EncodeDocument(Make("d", "documents/lain")));
  std::vector<Trouble> unreadable;
  const auto list = ListDocuments(stubs_.get(), "tebo", {}, {}, &unreadable);
  ASSERT_TRUE(list.ok()) << list.status().ToString();
  EXPECT_THAT(*list, SizeIs(2));
  ASSERT_THAT(unreadable, SizeIs(2));
  EXPECT_EQ(unreadable[0].package + " " + unreadable[0].path, "paket/1 b c");
  EXPECT_EQ(unreadable[1].package + " " + unreadable[1].path, "paket/2 document/../x");
  EXPECT_EQ(unreadable[0].why, "its record cannot be read");
  EXPECT_TRUE(List({}).ok()) << "who does not ask need not be told";

  uint64_t count = 0;
  const auto own = ListDocumentsOf(stubs_.get(), "tebo", {}, "documents/uji", {}, &count);
  ASSERT_TRUE(own.ok()) << own.status().ToString();
  ASSERT_THAT(*own, SizeIs(1));
  EXPECT_EQ(own->front().document.path, "a");
  EXPECT_EQ(count, 2u);
}

TEST_F(FetchTest, AVersionThatCannotBeReadIsNeverTheNearest) {
  node_.Put("paket/1", "document/a", EncodeDocument(Make("a", "")));
  const uint64_t first = node_.records();
  node_.Put("paket/1", "document/a", "{}");
  node_.Remove("paket/1", "document/a");
  node_.Put("paket/1", "reference/a", R"({"table":"public.dokumen","key":"1"})");
  const auto found = FindReferenced(stubs_.get(), "tebo", {}, {}, {});
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  ASSERT_THAT(found->documents, SizeIs(1));
  EXPECT_EQ(found->documents[0].index, first);
}

TEST_F(FetchTest, WhatWasNotCapturedFromADirectoryMayBeAbsentThere) {
  const auto compared = [this] {
    std::vector<PlacedDocument> documents = {{"paket/1", 1, Make("agent", "documents/uji")},
                                             {"paket/1", 2, Make("manual/scan", "import/manual")},
                                             {"paket/1", 3, Make("unsaid", "")}};
    auto findings = CompareDocuments(documents, base_.string(), true, [](uint64_t, uint64_t) {});
    EXPECT_TRUE(findings.ok());
    std::vector<std::string> told;
    for (const FileFinding& finding : *findings) {
      told.push_back(finding.path + (finding.state == FileState::kMissing ? " missing" : " there"));
    }
    return told;
  };
  EXPECT_THAT(compared(), ElementsAre("agent missing", "unsaid missing"));
  fs::create_directory(base_ / "manual");
  std::ofstream(base_ / "manual/scan") << "x";
  EXPECT_THAT(compared(), ElementsAre("agent missing", "manual/scan there", "unsaid missing"));
}

TEST_F(FetchTest, ASlowLineIsNoSilence) {
  const Document document = MakeLarge("large", 6, {&node_});
  node_.SlowDown(milliseconds(300));  // so all of them take longer than one may
  Fetcher fetcher({stubs_}, milliseconds(1'000));
  const auto report = Restore(&fetcher, {document});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->files, 1u);
  EXPECT_EQ(fs::file_size(base_ / "large"), document.size);
}

TEST_F(FetchTest, WhatASilentNodeMayHaveIsNotMissing) {
  FakeNode other;
  const Document known = MakeLarge("known", 2, {&node_, &other});
  const Document unknown = MakeLarge("unknown", 2, {&node_});
  node_.SlowDown(std::chrono::hours(1));
  Fetcher fetcher({stubs_, channels_.Get(other.address())}, milliseconds(500));
  const auto first = Restore(&fetcher, {known});
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(first->files, 1u) << "the other has it";
  const auto second = Restore(&fetcher, {known, unknown});
  EXPECT_EQ(second.status().code(), Code::kTimeout) << second.status().ToString();
  EXPECT_THAT(second.status().message(), HasSubstr("unknown: 2 of 2 chunks"));
  EXPECT_THAT(second.status().message(), HasSubstr(node_.address()));
  EXPECT_FALSE(fs::exists(base_ / "unknown"));
  node_.SlowDown(milliseconds(0));
  const auto third = Restore(&fetcher, {known, unknown});
  ASSERT_TRUE(third.ok()) << third.status().ToString();
  EXPECT_EQ(third->files, 1u);
  EXPECT_EQ(third->skipped, 1u);
}

TEST_F(FetchTest, WhatNoNodeHasIsMissing) {
  FakeNode other;
  const Document document = MakeLarge("lost", 2, {&node_, &other});
  node_.LoseChunk(document.chunks[1]);
  other.LoseChunk(document.chunks[1]);
  Fetcher fetcher({stubs_, channels_.Get(other.address())});
  const auto report = Restore(&fetcher, {document});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  ASSERT_THAT(report->missing, SizeIs(1));
  EXPECT_THAT(report->missing[0].why, HasSubstr("1 of 2 chunks are at no node that answers"));
}

// A line that is cut in the middle does not make what is left of the documents look lost.
TEST_F(FetchTest, WhatANodeThatIsAwayMayHaveIsNotMissing) {
  const Document document = MakeLarge("unknown", 2, {&node_});
  node_.LoseChunk(document.chunks[1]);
  Fetcher fetcher({stubs_, channels_.Get("127.0.0.1:1")});
  const auto report = Restore(&fetcher, {document});
  EXPECT_EQ(report.status().code(), Code::kTimeout) << report.status().ToString();
  EXPECT_THAT(report.status().message(), HasSubstr("unknown: 1 of 2 chunks did not come: node "));
}

}  // namespace
}  // namespace kembar::documents
