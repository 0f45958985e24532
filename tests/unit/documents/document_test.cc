// document_test.cc — documents as payloads: what is written is read; anything else is refused.
#include "tools/documents/document.h"

#include <gtest/gtest.h>

namespace kembar::documents {
namespace {

Document Sample() {
  Document document;
  document.path = "paket/12/penawaran \xff.rhs";
  document.size = kChunkBytes + 1;
  document.mode = 0640;
  document.mtime_ns = 1763979600123456789;
  document.sha256 = Sha256({"whole"});
  document.chunks = {Sha256({"a"}), Sha256({"b"})};
  document.source = "documents/uploads";
  return document;
}

TEST(Document, RoundTrip) {
  const Document document = Sample();
  const Result<Document> again = DecodeDocument(EncodeDocument(document));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(*again, document);
  EXPECT_EQ(ItemOf(document), "document/paket/12/penawaran%20%FF.rhs");
}

TEST(Document, Form) {
  Document document;
  document.path = "a";
  document.mode = 0600;
  document.mtime_ns = -5;
  EXPECT_EQ(EncodeDocument(document),
            R"({"path":"a","size":0,"mode":"0600","mtime_ns":"-5","sha256":")" +
                std::string(64, '0') + R"(","chunks":[]})");
}

TEST(Document, ChunkCount) {
  EXPECT_EQ(ChunkCount(0), 0U);
  EXPECT_EQ(ChunkCount(1), 1U);
  EXPECT_EQ(ChunkCount(kChunkBytes), 1U);
  EXPECT_EQ(ChunkCount(kChunkBytes + 1), 2U);
  EXPECT_EQ(ChunkCount(UINT64_MAX), (uint64_t{1} << 44));
}

TEST(Document, RefusesWhatIsOdd) {
  const std::string good = EncodeDocument(Sample());
  const auto refused = [&good](const std::string& from, const std::string& to) {
    std::string bad = good;
    const size_t at = bad.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bad.replace(at, from.size(), to);
    EXPECT_EQ(DecodeDocument(bad).status().code(), Code::kCorrupt) << bad;
  };
  refused("paket/12", "../12");
  refused("paket/12", "/12");
  refused("%20", "%2");
  refused("%20", " ");
  refused("1048577", "1048576");
  refused("1048577", "-1");
  refused("\"0640\"", "\"0648\"");
  refused("\"0640\"", "\"10640\"");
  refused("\"1763979600123456789\"", "1763979600123456789");
  refused("\"1763979600123456789\"", "\"17639796001234567890\"");
  refused("\"chunks\":[", "\"chunks\":[1,");
  refused("\"sha256\":\"", "\"sha256\":\"A");
  EXPECT_FALSE(DecodeDocument("").ok());
  EXPECT_FALSE(DecodeDocument("[]").ok());
  EXPECT_FALSE(DecodeDocument("\xff").ok());
  EXPECT_FALSE(DecodeDocument("{}").ok());
}

}  // namespace
}  // namespace kembar::documents
