// manual_test.cc — procurement by hand, from CSV: a broken row costs one row, amounts and dates are
// never guessed, what is written is read.
#include "tools/import/manual.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/import/csv.h"

namespace kembar::import {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kHeader[] =
    "package,title,unit,value,method,vendor,contract_number,contract_date,recommendation_letter,"
    "attachments\n";
constexpr char kRow[] =
    "tender/1,Jalan,Dinas PUPR,150000000,Pengadaan Langsung,CV Maju,027/SPK/2019,2019-08-05,,\n";

ManualFile Parse(const std::string& bytes) {
  Result<ManualFile> file = ParseManual("m.csv", bytes);
  EXPECT_TRUE(file.ok()) << file.status().ToString();
  if (!file.ok()) return {};
  EXPECT_EQ(file->rows, file->records.size() + file->rejected.size() + file->repeats);
  return *std::move(file);
}

std::string ReasonOf(const std::string& row) {
  const ManualFile file = Parse(kHeader + row + kRow);
  EXPECT_EQ(file.records.size(), 1U) << row;
  EXPECT_EQ(file.rejected.size(), 1U) << row;
  if (file.rejected.empty()) return "";
  EXPECT_EQ(file.rejected[0].row, 2U);
  return file.rejected[0].reason;
}

std::string ErrorOf(const std::string& bytes) {
  const Result<ManualFile> file = ParseManual("m.csv", bytes);
  EXPECT_FALSE(file.ok()) << bytes;
  return file.status().ToString();
}

TEST(Csv, Fields) {
  const auto rows = ReadCsv(
      "\xef\xbb\xbf"
      "a,\"b \"\"c\"\"\",\r\n\"x\ny\",,z");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_THAT(rows[0].fields, ElementsAre("a", "b \"c\"", ""));
  EXPECT_THAT(rows[1].fields, ElementsAre("x\ny", "", "z"));
  EXPECT_EQ(rows[1].number, 2U);
  EXPECT_TRUE(ReadCsv("").empty());
  EXPECT_TRUE(ReadCsv(" , \n")[0].blank());
}

TEST(Csv, ABrokenRowCostsItself) {
  for (const char* broken : {"a\"b,c", "\"a\"b,c", "a\rb,c", "\xff,c", "\"\xc0\x80\",c"}) {
    const auto rows = ReadCsv("1,2\n" + std::string(broken) + "\n3,4\n");
    ASSERT_EQ(rows.size(), 3U) << broken;
    EXPECT_FALSE(rows[1].broken.empty()) << broken;
    EXPECT_THAT(rows[2].fields, ElementsAre("3", "4"));
  }
  const auto open = ReadCsv("1,2\n\"never closed,2\n3,4\n5,6\n");
  ASSERT_EQ(open.size(), 4U);
  EXPECT_THAT(open[1].broken, HasSubstr("never closed"));
  EXPECT_THAT(open[3].fields, ElementsAre("5", "6"));
}

TEST(Csv, IsLinear) {
  std::string bytes;
  for (int i = 0; i < 200'000; ++i) bytes += "\"\"\"x\n";
  EXPECT_FALSE(ReadCsv(bytes).empty());
}

TEST(Manual, ReadsARow) {
  const ManualFile file =
      Parse(std::string(kHeader) +
            "paket/7,\"Rehab \"\"SDN 1\"\", tahap 2\",Dinas Pendidikan,\"Rp 199.999.999,50\",PL,"
            "CV A,027/SPK,05-08-2019,123/LKPP,\"ba.pdf; spk.pdf\"\n");
  ASSERT_EQ(file.records.size(), 1U);
  const ManualRecord& record = file.records[0];
  EXPECT_EQ(record.row, 2U);
  EXPECT_EQ(record.title, "Rehab \"SDN 1\", tahap 2");
  EXPECT_EQ(record.value, "199999999.50");
  EXPECT_EQ(record.contract_date, "2019-08-05");
  EXPECT_EQ(record.recommendation_letter, "123/LKPP");
  EXPECT_THAT(record.attachments, ElementsAre("ba.pdf", "spk.pdf"));
}

TEST(Manual, ColumnsInAnyOrderWithoutTheOptionalOnes) {
  const ManualFile file = Parse(
      "contract_date,contract_number,vendor,method,value,unit,title,package\n"
      "2019-08-05,1,v,m,5,u,t,p\n\n");
  ASSERT_EQ(file.records.size(), 1U);
  EXPECT_EQ(file.records[0].package, "p");
  EXPECT_EQ(file.rows, 1U) << "a blank row is none";
}

TEST(Manual, AmountsAreExactOrRefused) {
  EXPECT_EQ(ReadAmount("150000000"), "150000000");
  EXPECT_EQ(ReadAmount("150000000.5"), "150000000.5");
  EXPECT_EQ(ReadAmount("150.000.000"), "150000000");
  EXPECT_EQ(ReadAmount("150.000.000,25"), "150000000.25");
  EXPECT_EQ(ReadAmount("1.500,5"), "1500.5");
  EXPECT_EQ(ReadAmount("Rp 1.500,00"), "1500.00");
  EXPECT_EQ(ReadAmount("Rp1500"), "1500");
  EXPECT_EQ(ReadAmount("Rp. 1500"), "1500");
  for (const char* bad :
       {"", "150.000", "1,500", "1,500,000", "1.5.0", "1500.", "1500,", ".5", "-5", "1e9",
        "1.50.000", "1500.123", "1 500", "lima", "Rp", "1.500.", "12.3456,1"}) {
    EXPECT_EQ(ReadAmount(bad), "") << bad;
  }
}

TEST(Manual, DatesOfTheCalendar) {
  EXPECT_EQ(ReadDate("2019-08-05"), "2019-08-05");
  EXPECT_EQ(ReadDate("29-02-2020"), "2020-02-29");
  for (const char* bad : {"", "29-02-2019", "2019-13-01", "2019-8-5", "05/08/2019", "0019-08-05",
                          "2019-08-05 ", "20-19-08-0", "aaaa-bb-cc"}) {
    EXPECT_EQ(ReadDate(bad), "") << bad;
  }
}

TEST(Manual, RejectsNameTheColumn) {
  EXPECT_THAT(ReasonOf("t/1,J,U,150.000,PL,CV,1,2019-08-05,,\n"), HasSubstr("\"value\""));
  EXPECT_THAT(ReasonOf("t/1,J,U,0,PL,CV,1,2019-08-05,,\n"), HasSubstr("\"value\""));
  EXPECT_THAT(ReasonOf("t/1,J,U,5,PL,CV,1,2019-02-30,,\n"), HasSubstr("\"contract_date\""));
  EXPECT_THAT(ReasonOf(",J,U,5,PL,CV,1,2019-08-05,,\n"), HasSubstr("\"package\": is empty"));
  EXPECT_THAT(ReasonOf("t/1,J,U,5,PL,CV,,2019-08-05,,\n"), HasSubstr("\"contract_number\""));
  EXPECT_THAT(ReasonOf("t/1,J,U,5,PL,\"a\x01\",1,2019-08-05,,\n"), HasSubstr("\"vendor\""));
  EXPECT_THAT(ReasonOf("t/1,J\n"), HasSubstr("has 2 fields"));
  EXPECT_THAT(ReasonOf("t/1,J\"x,U,5,PL,CV,1,2019-08-05,,\n"), HasSubstr("field 2"));
}

TEST(Manual, AContractStandsOnce) {
  const std::string row(kRow);
  std::string other = row;
  other.replace(other.find("150000000"), 9, "160000000");
  const ManualFile file = Parse(kHeader + row + row + other);
  EXPECT_EQ(file.records.size(), 1U);
  EXPECT_EQ(file.repeats, 1U);
  ASSERT_EQ(file.rejected.size(), 1U);
  EXPECT_THAT(file.rejected[0].reason, HasSubstr("row 2 has this"));
}

TEST(Manual, RefusesWhatIsNoSuchFile) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf("\xff\xfe"
                      "a"),
              HasSubstr("UTF-16"));
  EXPECT_THAT(ErrorOf("package;title\n"), HasSubstr("save the file with commas"));
  EXPECT_THAT(ErrorOf("package,titel\n"), HasSubstr("unknown column \"titel\""));
  EXPECT_THAT(ErrorOf("package,package\n"), HasSubstr("twice"));
  EXPECT_THAT(ErrorOf("package,title\n"), HasSubstr("is missing"));
}

TEST(Manual, ItemsAreNamesOfALog) {
  EXPECT_EQ(ManualItem("027/SPK/2019"), "manual/027%2FSPK%2F2019");
  EXPECT_EQ(ManualItem("a.b-c_d"), "manual/a.b-c_d");
  EXPECT_EQ(ManualItem(std::string(2'000, 'x')).size(), 7 + 1 + 64U);
}

TEST(Manual, PayloadRoundTrip) {
  StoredManual stored;
  stored.record = Parse(kHeader + std::string(kRow)).records.at(0);
  stored.attachments = {{"ba.pdf", "manual/tender/1/x/ba.pdf", 821, std::string(64, 'a')}};
  stored.recorded_by = "budi@tebo";
  const Result<StoredManual> again = DecodeManual(EncodeManual(stored));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(EncodeManual(*again), EncodeManual(stored));
  EXPECT_TRUE(SameFacts(*again, stored));
  StoredManual entered = stored;
  entered.entered = true;
  entered.recorded_by = "siti@jambi";
  EXPECT_TRUE(SameFacts(entered, stored)) << "who and whether entered are no facts of the contract";
  entered.record.value = "1";
  EXPECT_FALSE(SameFacts(entered, stored));
  for (const char* bad : {"", "{}", "[]", "{\"title\":1}"}) EXPECT_FALSE(DecodeManual(bad).ok());
}

}  // namespace
}  // namespace kembar::import
