// referenced_test.cc — documents that rows refer to but that are not living as of then: the nearest
// version of each, by the rows themselves, and what the log never had.
#include "tools/documents/referenced.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/documents/fake_node.h"

namespace kembar::documents {
namespace {

using ::testing::ElementsAre;
using testing::FakeNode;
using ::testing::IsEmpty;

constexpr char kMapping[] = "[[document_column]]\ntable = \"public.dokumen\"\ncolumn = \"path\"\n";
constexpr char kTable[] = R"({"schema":"public","table":"dokumen","columns":[],"key":["id"]})";

class ReferencedTest : public ::testing::Test {
 protected:
  // Each returns the index of its record.
  uint64_t Write(const std::string& path, uint64_t mtime_ns) {
    Document document;
    document.path = path;
    document.mtime_ns = static_cast<int64_t>(mtime_ns);
    node_.Put("paket/1", ItemOf(document), EncodeDocument(document));
    return node_.records();
  }
  uint64_t Remove(const std::string& path) {
    Document document;
    document.path = path;
    node_.Remove("paket/1", ItemOf(document));
    return node_.records();
  }
  uint64_t Refer(const std::string& id, const std::string& path,
                 const std::string& package = "paket/1") {
    node_.Put(package, "row/public.dokumen/" + id,
              R"({"id":")" + id + R"(","path":")" + path + "\"}");
    return node_.records();
  }
  void Map() {
    node_.Put("-", "mapping/postgres/uji", kMapping);
    node_.Put("-", "table/public.dokumen", kTable);
  }

  // "path@index" of what is added to the living documents as of then; 0: now.
  std::vector<std::string> Added(uint64_t index, const std::vector<std::string>& packages = {}) {
    v1::AsOf as_of;
    if (index > 0) as_of.set_index(index);
    const auto living = ListDocuments(stubs_.get(), "tebo", as_of, packages);
    EXPECT_TRUE(living.ok()) << living.status().ToString();
    const auto found = FindReferenced(stubs_.get(), "tebo", as_of, packages, *living);
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    dangling_.clear();
    for (const Trouble& trouble : found->dangling) {
      dangling_.push_back(trouble.package + " " + trouble.path);
    }
    std::vector<std::string> added;
    for (const PlacedDocument& placed : found->documents) {
      added.push_back(placed.document.path + "@" + std::to_string(placed.index));
    }
    return added;
  }

  FakeNode node_;
  client::ChannelPool channels_;
  std::shared_ptr<client::NodeStubs> stubs_ = channels_.Get(node_.address());
  std::vector<std::string> dangling_;
};

TEST_F(ReferencedTest, WhatIsLivingIsNotAdded) {
  Map();
  Write("a.pdf", 1);
  Refer("1", "a.pdf");
  Write("b.pdf", 1);  // no row refers to it
  EXPECT_THAT(Added(0), IsEmpty());
  EXPECT_THAT(dangling_, IsEmpty());
}

TEST_F(ReferencedTest, ADocumentThatIsRecordedAfterItsRowComesFromThere) {
  Map();
  const uint64_t row = Refer("1", "a.pdf");
  const uint64_t first = Write("a.pdf", 1);
  Write("a.pdf", 2);
  EXPECT_THAT(Added(row), ElementsAre("a.pdf@" + std::to_string(first)));
  EXPECT_THAT(Added(first), IsEmpty());
}

TEST_F(ReferencedTest, ADocumentThatIsDeletedBeforeItsRowComesFromBefore) {
  Map();
  Write("a.pdf", 1);
  const uint64_t second = Write("a.pdf", 2);
  Refer("1", "a.pdf");
  const uint64_t gone = Remove("a.pdf");
  const uint64_t later = Write("a.pdf", 3);  // another upload of that name
  EXPECT_THAT(Added(gone), ElementsAre("a.pdf@" + std::to_string(second)));
  EXPECT_THAT(Added(later), IsEmpty());
}

TEST_F(ReferencedTest, RowsThatAreGoneReferToNothing) {
  Map();
  Write("a.pdf", 1);
  Refer("1", "a.pdf");
  node_.Put("paket/1", "reference/a.pdf", R"({"table":"public.dokumen","key":"1"})");
  node_.Remove("paket/1", "row/public.dokumen/1");  // its reference is worked out a minute later
  EXPECT_THAT(Added(Remove("a.pdf")), IsEmpty());
}

TEST_F(ReferencedTest, WhatTheLogNeverHadIsTold) {
  Map();
  Refer("1", "a b.pdf");
  node_.Put("paket/9", "reference/ba.pdf", R"({"table":"manual","key":"1"})");
  EXPECT_THAT(Added(0), IsEmpty());
  EXPECT_THAT(dangling_, ElementsAre("paket/1 a b.pdf", "paket/9 ba.pdf"));
}

TEST_F(ReferencedTest, OnlyThePackagesAskedForCount) {
  Map();
  Refer("1", "a.pdf");
  const uint64_t rows = Refer("2", "b.pdf", "paket/2");
  Write("a.pdf", 1);
  const uint64_t b = Write("b.pdf", 1);
  EXPECT_THAT(Added(rows, {"paket/2"}), ElementsAre("b.pdf@" + std::to_string(b)));
}

TEST_F(ReferencedTest, WithoutAMappingInTheLogReferenceItemsCount) {
  node_.Put("paket/1", "reference/a.pdf", R"({"table":"public.dokumen","key":"1"})");
  const uint64_t row = node_.records();
  const uint64_t a = Write("a.pdf", 1);
  EXPECT_THAT(Added(row), ElementsAre("a.pdf@" + std::to_string(a)));
}

}  // namespace
}  // namespace kembar::documents
