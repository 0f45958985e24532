// document_mapping_test.cc — documents in a mapping: packages by path, references by column.
#include <gtest/gtest.h>

#include "tools/capture/mapping.h"

namespace kembar::capture {
namespace {

constexpr char kText[] = R"(
[[package]]
table = "public.paket"
prefix = "paket/"

[[document]]
path = "paket/{key}/**"
package = "paket/{key}"

[[document]]
path = "umum/*.pdf"
package = "umum"

[[document_column]]
table = "public.dokumen"
column = "dok_path"
base = "/home/file_prod/"

[[document_column]]
table = "public.dokumen"
column = "dok_salinan"
)";

Mapping Parse(std::string_view text) {
  Result<Mapping> mapping = Mapping::Parse(text, "m.toml");
  EXPECT_TRUE(mapping.ok()) << mapping.status().ToString();
  return mapping.ok() ? *std::move(mapping) : Mapping();
}

std::string ErrorOf(std::string_view text) {
  const Result<Mapping> mapping = Mapping::Parse(text, "m.toml");
  EXPECT_FALSE(mapping.ok());
  return mapping.status().message();
}

TEST(DocumentMapping, PackageByTheFirstPatternThatMatches) {
  const Mapping mapping = Parse(kText);
  EXPECT_EQ(mapping.PackageOfDocument("paket/12/a/b.rhs"), "paket/12");
  EXPECT_EQ(mapping.PackageOfDocument("paket/1.2/a"), "paket/1%2E2") << "as a row's package";
  EXPECT_EQ(mapping.PackageOfDocument("umum/a.pdf"), "umum");
  EXPECT_EQ(mapping.PackageOfDocument("umum/a.doc"), std::nullopt);
  EXPECT_EQ(mapping.PackageOfDocument("paket/readme"), std::nullopt);
}

TEST(DocumentMapping, ReferencesOfARow) {
  const Mapping mapping = Parse(kText);
  TableShape table;
  table.name = table.root = {"public", "dokumen"};
  table.key = {"dok_id"};
  const auto references = [&](Value path, Value copy) {
    const Row row{{"dok_id", "dok_path", "dok_salinan"}, {"17", std::move(path), std::move(copy)}};
    return mapping.References(table, "row/public.dokumen/17", row);
  };
  const std::string payload = R"({"table":"public.dokumen","key":"17"})";
  EXPECT_EQ(references("/home/file_prod/paket/1/a b.pdf", std::nullopt),
            (std::vector<Reference>{{"reference/paket/1/a%20b.pdf", payload}}));
  EXPECT_EQ(references("/home/file_prod/x", "x"),
            (std::vector<Reference>{{"reference/x", payload}}));
  EXPECT_EQ(references("/home/file_prod/x", "y").size(), 2U);
  EXPECT_TRUE(references("/home/file_prod/../x", "").empty());
  table.name = table.root = {"public", "lain"};
  EXPECT_TRUE(references("/home/file_prod/x", "x").empty());
}

TEST(DocumentMapping, ErrorsNameTheKey) {
  EXPECT_NE(ErrorOf("[[document]]\npath = \"/a\"\npackage = \"p\"\n").find("document.path"),
            std::string::npos);
  EXPECT_NE(ErrorOf("[[document]]\npath = \"a\"\npackage = \"{key}\"\n").find("document.package"),
            std::string::npos);
  EXPECT_NE(ErrorOf("[[document]]\npath = \"a\"\n").find("document.package"), std::string::npos);
  EXPECT_NE(ErrorOf("[[document]]\npath = \"a\"\npackage = \"p\"\nbase = \"b\"\n").find("base"),
            std::string::npos);
  EXPECT_NE(ErrorOf("[[document_column]]\ntable = \"a.b\"\n").find("document_column.column"),
            std::string::npos);
}

}  // namespace
}  // namespace kembar::capture
