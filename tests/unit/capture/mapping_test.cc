// mapping_test.cc — which package a row belongs to; and what a mapping must not say.
#include "tools/capture/mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kembar::capture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kToml[] = R"(
[[package]]
table = "public.paket"
prefix = "paket/"
title = "pkt_nama"
value = "pkt_pagu"
category = "kgr_id"

[[member]]
table = "public.jadwal"      # before its parent: the order of the file does not matter
column = "lls_id"
parent = "public.lelang"

[[member]]
table = "public.lelang"
column = "pkt_id"
parent = "public.paket"
)";

const TableName kPaket{"public", "paket"};
const TableName kLelang{"public", "lelang"};
const TableName kJadwal{"public", "jadwal"};

std::string Refusal(const std::string& toml) {
  const Result<Mapping> mapping = Mapping::Parse(toml, "peta.toml");
  if (mapping.ok()) return "taken";
  EXPECT_EQ(mapping.status().code(), Code::kInvalid);
  return mapping.status().ToString();
}

TEST(Mapping, IsParsed) {
  const Result<Mapping> mapping = Mapping::Parse(kToml, "peta.toml");
  ASSERT_TRUE(mapping.ok()) << mapping.status().ToString();
  ASSERT_EQ(mapping->packages().size(), 1u);
  const PackageTable* paket = mapping->FindPackage(kPaket);
  ASSERT_NE(paket, nullptr);
  EXPECT_EQ(paket->prefix, "paket/");
  EXPECT_EQ(paket->title, "pkt_nama");
  EXPECT_EQ(paket->value, "pkt_pagu");
  EXPECT_EQ(paket->category, "kgr_id");
  EXPECT_EQ(mapping->FindPackage(kJadwal), nullptr);
  ASSERT_NE(mapping->FindMember(kJadwal), nullptr);
  EXPECT_EQ(mapping->FindMember(kJadwal)->parent, kLelang);
  EXPECT_EQ(mapping->FindMember(kPaket), nullptr);
  EXPECT_EQ(mapping->text(), kToml);
  EXPECT_TRUE(Mapping::Parse("", "kosong")->packages().empty());
}

TEST(Mapping, PutsParentsFirst) {
  const Result<Mapping> mapping = Mapping::Parse(kToml, "peta.toml");
  const TableName b{"public", "b"};
  const TableName a{"public", "a"};
  EXPECT_THAT(mapping->InOrder({b, kJadwal, kLelang, a, kPaket}),
              ElementsAre(kPaket, kLelang, kJadwal, b, a));
  EXPECT_THAT(mapping->InOrder({}), IsEmpty());
  EXPECT_EQ(mapping->Rank(kPaket), 0u);
  EXPECT_EQ(mapping->Rank(kJadwal), 2u);
  EXPECT_EQ(mapping->Rank(a), Mapping::kUnmapped);
}

TEST(Mapping, RefusalsNameFileLineAndKey) {
  EXPECT_THAT(Refusal("[[package]]\ntable = \"a.b\"\nprefix = \"p/\"\ntitel = \"x\"\n"),
              HasSubstr("peta.toml:4: package.titel: unknown key (hint: did you mean title?)"));
  EXPECT_THAT(Refusal("\n[[paket]]\n"), HasSubstr("peta.toml:2: paket: unknown section"));
  EXPECT_THAT(Refusal("[package]\ntable = \"a.b\"\n"), HasSubstr("write [[package]]"));
  EXPECT_THAT(Refusal("member = 3\n"), HasSubstr("peta.toml:1: member: must be a list"));
  EXPECT_THAT(Refusal("package = [1]\n"), HasSubstr("must be a list of sections"));
  EXPECT_THAT(Refusal("x = [\n"), HasSubstr("not TOML"));
  EXPECT_THAT(Refusal("[[package]]\nprefix = \"p/\"\n"),
              HasSubstr("peta.toml:1: package.table: is missing"));
  EXPECT_THAT(Refusal("[[package]]\ntable = \"a.b\"\n"), HasSubstr("package.prefix: is missing"));
  EXPECT_THAT(Refusal("[[package]]\ntable = \"a.b\"\nprefix = \"\"\n"), HasSubstr("is empty"));
  EXPECT_THAT(Refusal("[[package]]\ntable = \"paket\"\nprefix = \"p/\"\n"),
              HasSubstr("peta.toml:2: package.table: \"paket\" is not SCHEMA.TABLE"));
  EXPECT_THAT(Refusal("[[package]]\ntable = 7\nprefix = \"p/\"\n"),
              HasSubstr("must be a string in quotes, not integer"));
  EXPECT_THAT(Refusal("[[package]]\ntable = \"a.b\"\nprefix = \"p\\n\"\n"),
              HasSubstr("control character"));
  EXPECT_THAT(Refusal("[[package]]\ntable = \"a.b\"\nprefix = \"" + std::string(300, 'p') + "\"\n"),
              HasSubstr("longer than 256 bytes"));
}

TEST(Mapping, RefusesContradictions) {
  const std::string paket = "[[package]]\ntable = \"a.p\"\nprefix = \"p/\"\n";
  EXPECT_THAT(Refusal(paket + paket), HasSubstr("peta.toml:5: package.table: a.p stands twice"));
  EXPECT_THAT(Refusal(paket + "[[package]]\ntable = \"a.q\"\nprefix = \"p/\"\n"),
              HasSubstr("\"p/\" is that of a.p"));
  EXPECT_THAT(Refusal(paket + "[[member]]\ntable = \"a.p\"\ncolumn = \"c\"\nparent = \"a.p\"\n"),
              HasSubstr("peta.toml:5: member.table: a.p stands twice"));
  EXPECT_THAT(Refusal(paket + "[[member]]\ntable = \"a.m\"\ncolumn = \"c\"\nparent = \"a.o\"\n"),
              HasSubstr("peta.toml:7: member.parent: a.o is neither a package nor a member "
                        "(hint: did you mean a.p?)"));
  EXPECT_THAT(Refusal(paket + "[[member]]\ntable = \"a.m\"\ncolumn = \"c\"\nparent = \"a.m\"\n"),
              HasSubstr("goes round in a circle"));
  EXPECT_THAT(Refusal("[[member]]\ntable = \"a.m\"\ncolumn = \"c\"\nparent = \"a.n\"\n"
                      "[[member]]\ntable = \"a.n\"\ncolumn = \"c\"\nparent = \"a.m\"\n"),
              HasSubstr("goes round in a circle"));
  EXPECT_THAT(Refusal(std::string(2 << 20, '#')), HasSubstr("larger than 1MiB"));
}

class PlaceTest : public ::testing::Test {
 protected:
  static TableShape Table(const TableName& name, std::vector<std::string> key) {
    return {.name = name, .root = name, .columns = {}, .key = std::move(key)};
  }
  static std::string Item(const TableName& table, std::string_view key) {
    return RowItem(table, std::span(&key, 1));
  }

  const Mapping mapping_ = *Mapping::Parse(kToml, "peta.toml");
  PackageIndex index_{&mapping_};
  const TableShape paket_ = Table(kPaket, {"pkt_id"});
  const TableShape lelang_ = Table(kLelang, {"lls_id"});
  const TableShape jadwal_ = Table(kJadwal, {"dtj_id"});
};

TEST_F(PlaceTest, OfThePackagesOwnRow) {
  const Row row{{"pkt_id", "pkt_nama", "pkt_pagu"}, {"a 7", "Jalan\nLintas", "999995334.78"}};
  const Placement placement = index_.Place(paket_, Item(kPaket, "a 7"), row);
  EXPECT_EQ(placement.package, "paket/a%207");
  EXPECT_EQ(placement.title, "Jalan Lintas");
  EXPECT_EQ(placement.value, "999995334.78");
  EXPECT_EQ(index_.size(), 0u);  // placing is not remembering
}

TEST_F(PlaceTest, TakesOnlyValuesThatALogTakes) {
  const auto value = [this](Value text) {
    const Row row{{"pkt_pagu"}, {std::move(text)}};
    return index_.Place(paket_, Item(kPaket, "1"), row).value;
  };
  for (const char* good : {"0", "7", "-12.50", "007", "1.0"}) EXPECT_EQ(value(good), good);
  for (const char* bad :
       {"", "-", "NaN", "Infinity", "1e5", "1.", ".5", "1,5", "Rp5", " 1", "1 ", "--1", "1.2.3"}) {
    EXPECT_EQ(value(bad), "") << bad;
  }
  EXPECT_EQ(value(std::nullopt), "");
  EXPECT_EQ(value(std::string(1025, '1')), "");
  EXPECT_EQ(index_.Place(paket_, Item(kPaket, "1"), Row{}).title, "");
}

TEST(Mapping, NamesTheWorkUnitOfAPackage) {
  const Mapping mapping = *Mapping::Parse(std::string(kToml) + R"(
[[member]]
table = "public.paket_satker"
column = "pkt_id"
parent = "public.paket"
unit = "stk_id"

[[unit]]
table = "public.satuan_kerja"
name = "stk_nama"
)",
                                          "peta.toml");
  const TableName member{"public", "paket_satker"};
  const TableName units{"public", "satuan_kerja"};
  EXPECT_LT(mapping.CopyRank(units), mapping.CopyRank(kPaket));
  EXPECT_TRUE(mapping.States(member));
  EXPECT_FALSE(mapping.States(kJadwal));
  PackageIndex index(&mapping);
  const TableShape shape{.name = member, .root = member, .columns = {}, .key = {"pkt_id"}};
  const Row row{{"pkt_id", "stk_id"}, {"7", "101"}};
  EXPECT_EQ(index.Place(shape, "row/public.paket_satker/7", row).unit, "101");  // not known yet
  index.NoteUnit("row/public.satuan_kerja/101", Row{{"stk_id", "stk_nama"}, {"101", "Dinas\nPU"}});
  const Placement placement = index.Place(shape, "row/public.paket_satker/7", row);
  EXPECT_EQ(placement.unit, "Dinas PU");
  EXPECT_EQ(placement.package, "paket/7");
  EXPECT_EQ(index.Place(shape, "row/public.paket_satker/7", Row{{"pkt_id"}, {"7"}}).unit, "");
  const std::string second = "[[unit]]\ntable = \"a.b\"\nname = \"n\"\n";
  EXPECT_THAT(Refusal(second + second), HasSubstr("have one table"));
}

TEST_F(PlaceTest, CutsTitlesAtACharacter) {
  const auto title = [this](std::string text) {
    const Row row{{"pkt_nama"}, {std::move(text)}};
    return index_.Place(paket_, Item(kPaket, "1"), row).title;
  };
  EXPECT_EQ(title(std::string(1024, 'a')), std::string(1024, 'a'));
  EXPECT_EQ(title(std::string(1025, 'a')), std::string(1024, 'a'));
  EXPECT_EQ(title(std::string(1023, 'a') + "é"), std::string(1023, 'a'));
  EXPECT_EQ(title(std::string(1022, 'a') + "éb"), std::string(1022, 'a') + "é");
  EXPECT_EQ(title("a\tb\x7f\xc2\x85z\xff\xe2\x82"), "a b  z   ");
}

TEST_F(PlaceTest, OfMembersThroughTheirParents) {
  // A parent that is a package need not be known.
  const Placement lelang =
      index_.Place(lelang_, Item(kLelang, "31"), {{"lls_id", "pkt_id"}, {"31", "7"}});
  EXPECT_EQ(lelang.package, "paket/7");
  EXPECT_EQ(lelang.title, "");
  const Row jadwal{{"dtj_id", "lls_id"}, {"5", "31"}};
  EXPECT_EQ(index_.Place(jadwal_, Item(kJadwal, "5"), jadwal).package, "-");
  index_.Set(Item(kLelang, "31"), lelang.package);
  EXPECT_EQ(index_.Place(jadwal_, Item(kJadwal, "5"), jadwal).package, "paket/7");
  index_.Set(Item(kLelang, "31"), "-");
  EXPECT_EQ(index_.Place(jadwal_, Item(kJadwal, "5"), jadwal).package, "-");
}

TEST_F(PlaceTest, OfWhatHasNoPackage) {
  const Row null{{"lls_id", "pkt_id"}, {"31", std::nullopt}};
  EXPECT_EQ(index_.Place(lelang_, Item(kLelang, "31"), null).package, "-");
  EXPECT_EQ(index_.Place(lelang_, Item(kLelang, "31"), {{"lls_id"}, {"31"}}).package, "-");
  const TableName other{"public", "lain"};
  EXPECT_EQ(index_.Place(Table(other, {"id"}), Item(other, "1"), {{"id"}, {"1"}}).package, "-");
  const Row row{{"pkt_id"}, {"7"}};  // a package table that lost its key
  EXPECT_EQ(index_.Place(Table(kPaket, {}), KeylessRowItem(kPaket, {}, 1), row).package, "-");
}

TEST_F(PlaceTest, OfPartitionsByTheirRoot) {
  TableShape part = Table({"public", "paket_2026"}, {"pkt_id"});
  part.root = kPaket;
  EXPECT_EQ(index_.Place(part, Item(part.name, "7"), {{"pkt_id"}, {"7"}}).package, "paket/7");
  TableShape lelang = Table({"arsip", "lelang_2026"}, {"lls_id"});
  lelang.root = kLelang;
  const std::string item = Item(lelang.name, "31");
  EXPECT_EQ(index_.Place(lelang, item, {{"lls_id", "pkt_id"}, {"31", "7"}}).package, "paket/7");
  index_.Set(item, "paket/7");
  const Row jadwal{{"dtj_id", "lls_id"}, {"5", "31"}};
  EXPECT_EQ(index_.Place(jadwal_, Item(kJadwal, "5"), jadwal).package, "paket/7");
  // An index that was filled from a log must be told of partitions.
  PackageIndex fresh(&mapping_);
  fresh.Set(item, "paket/7");
  EXPECT_EQ(fresh.Place(jadwal_, Item(kJadwal, "5"), jadwal).package, "-");
  fresh.Learn(lelang);
  EXPECT_EQ(fresh.Place(jadwal_, Item(kJadwal, "5"), jadwal).package, "paket/7");
}

TEST_F(PlaceTest, LongKeysGiveNamesThatALogTakes) {
  const std::string key(1500, 'k');
  const std::string item = Item(kPaket, key);
  const Placement own = index_.Place(paket_, item, {{"pkt_id"}, {key}});
  EXPECT_EQ(own.package, "paket/~" + ToHex(Sha256({key})));
  EXPECT_EQ(index_.Place(lelang_, Item(kLelang, "1"), {{"pkt_id"}, {key}}).package, own.package);
}

TEST(PackageIndex, RemembersAndForgets) {
  const Mapping mapping = *Mapping::Parse(kToml, "peta.toml");
  PackageIndex index(&mapping);
  EXPECT_EQ(index.Of("row/public.jadwal/1"), "-");
  for (const char* key : {"2", "10", "1"}) {
    index.Set(std::string("row/public.jadwal/") + key, "paket/7");
  }
  index.Set("row/public.jadwal_lama/1", "paket/7");
  index.Set("row/public.jadwal/2", "paket/8");
  EXPECT_EQ(index.size(), 4u);
  EXPECT_EQ(index.Of("row/public.jadwal/2"), "paket/8");
  EXPECT_THAT(index.ItemsOf(kJadwal),
              ElementsAre("row/public.jadwal/1", "row/public.jadwal/10", "row/public.jadwal/2"));
  index.Set("row/public.jadwal/2", "-");
  EXPECT_EQ(index.Of("row/public.jadwal/2"), "-");
  EXPECT_EQ(index.size(), 3u);
}

}  // namespace
}  // namespace kembar::capture
