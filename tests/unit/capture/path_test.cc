// path_test.cc — paths of documents: one encoding, no way out of the directory, patterns.
#include "tools/capture/path.h"

#include <gtest/gtest.h>

namespace kembar::capture {
namespace {

TEST(Path, Plain) {
  for (const char* good : {"a", "a/b", "...", ".x", "a/..b", " "})
    EXPECT_TRUE(IsPlainPath(good)) << good;
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b"}) {
    EXPECT_FALSE(IsPlainPath(bad)) << bad;
  }
  EXPECT_FALSE(IsPlainPath(std::string("a\0b", 3)));
  EXPECT_FALSE(IsPlainPath(std::string(4'097, 'a')));
}

TEST(Path, EncodesAndDecodes) {
  EXPECT_EQ(EncodePath("paket/1/BA Hasil.pdf"), "paket/1/BA%20Hasil.pdf");
  EXPECT_EQ(EncodePath("sur\xc3\xa9t%"), "sur\xc3\xa9t%25");
  EXPECT_EQ(EncodePath("\xff\xfe"), "%FF%FE");
  EXPECT_EQ(EncodePath("\xc2\x85"), "%C2%85") << "a control character";
  for (int byte = 1; byte < 256; ++byte) {
    std::string path(1, static_cast<char>(byte));
    if (path == "/" || path == ".") continue;
    path += "x";
    EXPECT_EQ(DecodePath(EncodePath(path)), path) << byte;
  }
}

TEST(Path, DecodesOnlyTheOneSpelling) {
  for (const char* bad : {"", "%", "%2", "%2f", "%2F", "a%41", " ", "%2E", "%2E%2E", "..", "a/../b",
                          "/a", "\xff", "a%00"}) {
    EXPECT_EQ(DecodePath(bad), std::nullopt) << bad;
  }
}

TEST(Path, LongNamesAreDigests) {
  const std::string path(1'015, 'a');
  EXPECT_EQ(DocumentItem(path).size(), 1'024U);
  EXPECT_EQ(DocumentItem(path + "a").size(), 9 + 1 + 64U);
  EXPECT_TRUE(DocumentItem(path + "a").starts_with("document/~"));
  EXPECT_NE(DocumentItem(path + "a"), DocumentItem(path + "b"));
  EXPECT_EQ(ReferenceItem("a/b"), "reference/a/b");
}

TEST(Path, CleansWhatDatabasesHold) {
  EXPECT_EQ(CleanPath("/home/file_prod/paket/1/x.pdf", "/home/file_prod/"), "paket/1/x.pdf");
  EXPECT_EQ(CleanPath("/home/file_prod/paket//1/./x.pdf", "/home/file_prod"), "paket/1/x.pdf");
  EXPECT_EQ(CleanPath("paket/x", "/home/file_prod/"), "paket/x");
  EXPECT_EQ(CleanPath("../etc/passwd", ""), std::nullopt);
  EXPECT_EQ(CleanPath("/", ""), std::nullopt);
  EXPECT_EQ(CleanPath("", "x"), std::nullopt);
}

std::string Match(std::string_view pattern, std::string_view path) {
  const Result<PathPattern> parsed = PathPattern::Parse(pattern);
  EXPECT_TRUE(parsed.ok()) << pattern << ": " << parsed.status().ToString();
  std::string key;
  if (!parsed.ok() || !parsed->Matches(path, &key)) return "no";
  return "yes:" + key;
}

TEST(PathPattern, Matches) {
  EXPECT_EQ(Match("file_prod/paket/{key}/**", "file_prod/paket/12/a/b.pdf"), "yes:12");
  EXPECT_EQ(Match("file_prod/paket/{key}/**", "file_prod/paket/12"), "no");
  EXPECT_EQ(Match("file_prod/paket/{key}/**", "file_prod/lain/12/a"), "no");
  EXPECT_EQ(Match("{key}/*.pdf", "7/a.pdf"), "yes:7");
  EXPECT_EQ(Match("{key}/*.pdf", "7/a.pdf.exe"), "no");
  EXPECT_EQ(Match("{key}/*.pdf", "7/b/a.pdf"), "no");
  EXPECT_EQ(Match("**/paket/{key}/*", "a/b/paket/9/x"), "yes:9");
  EXPECT_EQ(Match("**/paket/{key}/*", "paket/9/x"), "yes:9");
  EXPECT_EQ(Match("**/paket/{key}/*", "paket/1/paket/9/x"), "yes:9");
  EXPECT_EQ(Match("a/**/b/**/c", "a/b/c"), "yes:");
  EXPECT_EQ(Match("a/**/b/**/c", "a/x/b/y/z/c"), "yes:");
  EXPECT_EQ(Match("a/**/b/**/c", "a/x/c"), "no");
  EXPECT_EQ(Match("**", "a"), "yes:");
  EXPECT_EQ(Match("*", "a/b"), "no");
  EXPECT_EQ(Match("a*c*e", "abcde"), "yes:");
  EXPECT_EQ(Match("a*c*e", "abcdef"), "no");
}

TEST(PathPattern, RefusesWhatIsUnclear) {
  for (const char* bad :
       {"", "/a", "a//b", "../a", "a**", "x{key}", "{name}", "{key}/{key}", "a/}"}) {
    EXPECT_FALSE(PathPattern::Parse(bad).ok()) << bad;
  }
}

TEST(PathPattern, TakesNoLongerThanTheProductOfTheLengths) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "**/a*a*/";
  pattern += "b";
  std::string path;
  for (int i = 0; i < 1'000; ++i) path += "aa/";
  path += "c";
  EXPECT_EQ(Match(pattern, path), "no");
}

}  // namespace
}  // namespace kembar::capture
