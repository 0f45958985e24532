// names_test.cc — items of a captured database: one spelling each, and back.
#include "tools/capture/names.h"

#include <gtest/gtest.h>

#include <vector>

namespace kembar::capture {
namespace {

using Keys = std::vector<std::string_view>;

const TableName kPaketName{"public", "paket"};

TEST(TableName, IsEncodedPartByPart) {
  EXPECT_EQ(kPaketName.Encoded(), "public.paket");
  EXPECT_EQ(kPaketName.Display(), "public.paket");
  EXPECT_EQ((TableName{"e kontrak", "a.b/c%d"}.Encoded()), "e%20kontrak.a%2Eb%2Fc%25d");
  EXPECT_EQ((TableName{"skema", "tåbel_1-X"}.Encoded()), "skema.tåbel_1-X");
}

TEST(TableName, OfConfiguration) {
  EXPECT_EQ(*ParseTableName("public.paket"), kPaketName);
  EXPECT_EQ(*ParseTableName("a.b.c"), (TableName{"a", "b.c"}));
  for (const char* bad : {"", "paket", ".paket", "public.", "."}) {
    EXPECT_EQ(ParseTableName(bad).status().code(), Code::kInvalid) << bad;
    EXPECT_FALSE(ParseTableName(bad).status().hint().empty()) << bad;
  }
}

TEST(Items, OfRows) {
  EXPECT_EQ(RowItem(kPaketName, Keys{"12"}), "row/public.paket/12");
  EXPECT_EQ(RowItem(kPaketName, Keys{"12", "a b", ""}), "row/public.paket/12/a%20b/");
  EXPECT_EQ(RowItem(kPaketName, Keys{"2026-11-24 10:00:00.5+00"}),
            "row/public.paket/2026-11-24%2010%3A00%3A00%2E5%2B00");
  EXPECT_EQ(RowItem(kPaketName, Keys{"~x/é"}), "row/public.paket/%7Ex%2Fé");
  EXPECT_EQ(RowPrefix(kPaketName), "row/public.paket/");
  EXPECT_EQ(KeylessRowItem(kPaketName, Digest{}, 3),
            "row/public.paket/~" + std::string(64, '0') + "/3");
}

// A log refuses control characters and ill-formed UTF-8 in names.
TEST(Items, HoldOnlyWhatALogTakes) {
  EXPECT_EQ(RowItem(kPaketName, Keys{"a\nb\x7f"}), "row/public.paket/a%0Ab%7F");
  EXPECT_EQ(RowItem(kPaketName, Keys{"a\xc2\x85z\xc2\xa0"}), "row/public.paket/a%C2%85z\xc2\xa0");
  EXPECT_EQ(RowItem(kPaketName, Keys{"\xff\xc3"}), "row/public.paket/%FF%C3");
}

TEST(Items, OfLongKeysAreHashed) {
  const size_t room = 1024 - RowPrefix(kPaketName).size();
  const std::string longest(room, 'k');
  EXPECT_EQ(RowItem(kPaketName, Keys{longest}), RowPrefix(kPaketName) + longest);
  const std::string longer(room + 1, 'k');
  const std::string item = RowItem(kPaketName, Keys{longer});
  EXPECT_EQ(item, RowPrefix(kPaketName) + "~" + ToHex(Sha256({longer})));
  const ItemName name = ParseItem(item);
  EXPECT_EQ(name.kind, ItemKind::kRow);
  EXPECT_EQ(name.key, "~" + ToHex(Sha256({longer})));
  // Percent signs count: the hash is of the text as encoded.
  const std::string blanks(400, ' ');
  std::string encoded;
  for (int i = 0; i < 400; ++i) encoded += "%20";
  EXPECT_EQ(RowItem(kPaketName, Keys{blanks}),
            RowPrefix(kPaketName) + "~" + ToHex(Sha256({encoded})));
}

TEST(Items, DifferentKeysHaveDifferentItems) {
  const std::vector<Keys> keys = {{""}, {"", ""}, {"a/b"}, {"a", "b"}, {"a%2Fb"}, {"a b"}, {"a+b"}};
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t j = 0; j < i; ++j)
      EXPECT_NE(RowItem(kPaketName, keys[i]), RowItem(kPaketName, keys[j]));
  }
}

TEST(Items, AreReadBack) {
  const TableName odd{"e kontrak", "a.b/c"};
  const ItemName row = ParseItem(RowItem(odd, Keys{"1", "x y"}));
  EXPECT_EQ(row.kind, ItemKind::kRow);
  EXPECT_EQ(row.table, odd);
  EXPECT_EQ(row.key, "1/x%20y");
  EXPECT_EQ(ParseItem(TableItem(odd)).kind, ItemKind::kTable);
  EXPECT_EQ(ParseItem(TableItem(odd)).table, odd);
  EXPECT_EQ(ParseItem(SequenceItem(odd)).kind, ItemKind::kSequence);
  EXPECT_EQ(ParseItem(SequenceItem(odd)).table, odd);
  EXPECT_EQ(ParseItem(LargeObjectItem(16385, 2)).kind, ItemKind::kLargeObject);
  EXPECT_EQ(ParseItem(LargeObjectItem(16385, 2)).key, "16385/2");
  EXPECT_EQ(ParseItem(kPreDataItem).kind, ItemKind::kPreData);
  EXPECT_EQ(ParseItem(kPostDataItem).kind, ItemKind::kPostData);
  const std::string source = "postgres/tebo";
  EXPECT_EQ(TransactionItem(source, true), "transaction/postgres/tebo");
  EXPECT_EQ(TransactionItem(source, false), "transaction-part/postgres/tebo");
  const std::vector<std::pair<ItemKind, std::string>> items = {
      {ItemKind::kMapping, MappingItem(source)},
      {ItemKind::kTransaction, TransactionItem(source, true)},
      {ItemKind::kTransactionPart, TransactionItem(source, false)},
      {ItemKind::kCut, CutItem(source)},
      {ItemKind::kAudit, AuditItem(source)}};
  for (const auto& [kind, item] : items) {
    EXPECT_EQ(ParseItem(item).kind, kind) << item;
    EXPECT_EQ(ParseItem(item).key, source) << item;
  }
}

TEST(Items, OfOtherSourcesAreOther) {
  for (const char* item : {"",
                           "rup",
                           "row",
                           "row/",
                           "row/paket/1",
                           "row/public.paket",
                           "row/.paket/1",
                           "row/public./1",
                           "row/a%2eb.c/1",
                           "row/a b.c/1",
                           "row/a%.c/1",
                           "row/a%2.c/1",
                           "row/a%41.c/1",
                           "row/a.b.c/1",
                           "table/",
                           "table/public",
                           "table/a.b/c",
                           "sequence/x",
                           "large-object/1",
                           "large-object//0",
                           "large-object/1/x",
                           "large-object/1/2/3",
                           "mapping/",
                           "transaction/",
                           "transactionx/a",
                           "schema/data",
                           "schema/pre-data/x"}) {
    EXPECT_EQ(ParseItem(item).kind, ItemKind::kOther) << item;
  }
}

}  // namespace
}  // namespace kembar::capture
