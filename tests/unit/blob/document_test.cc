// document_test.cc — the payload of document items: what is taken, what is refused and why.
#include "node/blob/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/blob/blob_store.h"
#include "replicator/base/bytes.h"

namespace kembar {
namespace {

using ::testing::HasSubstr;

std::string Hex(const std::string& text) { return ToHex(Sha256({text})); }

std::string Json(const std::string& size, const std::string& chunks,
                 const std::string& more = std::string()) {
  return R"({"path":"a/b%20c.pdf","size":)" + size +
         R"(,"mode":"0640","mtime_ns":"1763979600123456789","sha256":")" + Hex("all") +
         R"(","chunks":[)" + chunks + "]" + more + "}";
}

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

TEST(Document, EveryFieldIsRead) {
  const auto document = DecodeDocument(Json("1048577", Quoted(Hex("1")) + "," + Quoted(Hex("2"))));
  ASSERT_TRUE(document.ok()) << document.status().ToString();
  EXPECT_EQ(document->path, "a/b%20c.pdf");
  EXPECT_EQ(document->size, kChunkBytesMax + 1);
  EXPECT_EQ(document->mode, 0640u);
  EXPECT_EQ(document->mtime_ns, 1763979600123456789);
  EXPECT_EQ(document->sha256, Sha256({"all"}));
  ASSERT_EQ(document->chunks.size(), 2u);
  EXPECT_EQ(document->chunks[1], Sha256({"2"}));
}

TEST(Document, AnEmptyFileHasNoChunk) {
  EXPECT_TRUE(DecodeDocument(Json("0", "")).ok());
  EXPECT_FALSE(DecodeDocument(Json("0", Quoted(Hex("1")))).ok());
}

TEST(Document, UnknownFieldsAreSkippedHoweverDeep) {
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  const std::string more =
      R"(,"later":{"size":"x","chunks":[1]},"n":null,"b":true,"f":1.5,"d":)" + deep;
  const auto document = DecodeDocument(Json("3", Quoted(Hex("1")), more));
  ASSERT_TRUE(document.ok()) << document.status().ToString();
  EXPECT_EQ(document->size, 3u);
}

TEST(Document, RefusalsSayWhatIsWrong) {
  const std::string chunk = Quoted(Hex("1"));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not JSON"},
      {"null", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{}", "must all be there"},
      {"{\"path\":", "not JSON"},
      {Json("3", ""), "0 chunks for 3 bytes"},
      {Json("3", chunk + "," + chunk), "2 chunks for 3 bytes"},
      {Json("-3", chunk), "size"},
      {Json("\"3\"", chunk), "size: of the wrong kind"},
      {Json("3", "\"abc\""), "chunks"},
      {Json("3", "7"), "chunks"},
      {Json("3", "[" + chunk + "]"), "chunks"},
      {Json("3", chunk, ",\"size\":3"), "given twice"},
      {Json("3", chunk, ",\"path\":{}"), "path"},
      {Json("3", chunk) + "x", "not JSON"},
      {std::string(kDocumentPayloadMax + 1, ' '), "longer"},
  };
  for (const auto& [text, why] : cases) {
    const Status status = DecodeDocument(text).status();
    EXPECT_EQ(status.code(), Code::kInvalid) << text.substr(0, 200);
    EXPECT_THAT(status.message(), HasSubstr(why));
  }
}

TEST(Document, ADocumentAndItsReferencesHaveOneKey) {
  EXPECT_EQ(DocumentKey("document/a/b"), DocumentKey("reference/a/b"));
  EXPECT_NE(DocumentKey("document/a/b"), DocumentKey("reference/a/c"));
  EXPECT_EQ(DocumentKey("public.paket/17"), "");
  // The longest path that fits into one of the two names only.
  const std::string path(1015, 'x');
  EXPECT_EQ(DocumentKey("document/" + path), DocumentKey("reference/~" + Hex(path)));
  const std::string longer(1016, 'x');
  EXPECT_EQ(DocumentKey("document/~" + Hex(longer)), DocumentKey("reference/~" + Hex(longer)));
}

}  // namespace
}  // namespace kembar
