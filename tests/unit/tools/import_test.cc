// import_test.cc — files become drafts: exact bytes, a broken row costs one row, a cut file
// nothing.
#include "tools/import/import.h"

#include <gtest/gtest.h>

#include <string>

#include "replicator/log/record.h"

namespace kembar::import {
namespace {

static_assert(kRowBytesMax == kPayloadBytesMax && kTextBytesMax == kNameBytesMax);

ImportFile Parse(Format format, const std::string& bytes) {
  Result<ImportFile> file = ParseImport(format, "file.json", bytes);
  EXPECT_TRUE(file.ok()) << file.status().ToString();
  if (!file.ok()) return {};
  EXPECT_EQ(file->rows, file->drafts.size() + file->rejected.size());
  return *std::move(file);
}

std::string ErrorOf(Format format, const std::string& bytes) {
  Result<ImportFile> file = ParseImport(format, "file.json", bytes);
  EXPECT_FALSE(file.ok()) << "should be refused: " << bytes;
  EXPECT_EQ(file.status().code(), Code::kInvalid);
  return file.status().message();
}

std::string RupRow(const std::string& id, const std::string& nama = "Pengadaan AC") {
  return R"({"id_satker":58001,"id":)" + id + R"(,"nama":")" + nama +
         R"(","total_pagu":4500000,"kode_kegiatan":null})";
}

// Rows 1, 3 and 4 are whole and the second is `broken`: it alone may be lost.
void ExpectCostsOneRow(const std::string& broken) {
  SCOPED_TRACE(broken);
  ImportFile file = Parse(
      Format::kRup, "[" + RupRow("1") + "," + broken + "," + RupRow("3") + "," + RupRow("4") + "]");
  ASSERT_EQ(file.rejected.size(), 1U);
  EXPECT_EQ(file.rejected[0].file, "file.json");
  EXPECT_EQ(file.rejected[0].row, 2U);
  EXPECT_FALSE(file.rejected[0].reason.empty());
  ASSERT_EQ(file.drafts.size(), 3U);
  EXPECT_EQ(file.drafts[0].payload, RupRow("1"));
  EXPECT_EQ(file.drafts[1].payload, RupRow("3"));
  EXPECT_EQ(file.drafts[2].payload, RupRow("4"));
  EXPECT_EQ(file.drafts[1].row, 3U);
  EXPECT_EQ(file.drafts[2].row, 4U);

  // The same as the first row, and as the last.
  ImportFile first = Parse(Format::kRup, "[" + broken + "," + RupRow("3") + "]");
  EXPECT_EQ(first.rejected.size(), 1U);
  ASSERT_EQ(first.drafts.size(), 1U);
  EXPECT_EQ(first.drafts[0].payload, RupRow("3"));
  ImportFile last = Parse(Format::kRup, "[" + RupRow("1") + "," + broken + "]\n");
  EXPECT_EQ(last.rejected.size(), 1U);
  EXPECT_EQ(last.drafts.size(), 1U);
}

std::string RejectReason(Format format, const std::string& row) {
  ImportFile file =
      Parse(format, format == Format::kOcds ? "{\"releases\":[" + row + "]}" : "[" + row + "]");
  EXPECT_EQ(file.drafts.size(), 0U) << row;
  EXPECT_EQ(file.rejected.size(), 1U) << row;
  return file.rejected.empty() ? "" : file.rejected[0].reason;
}

// --- RUP ---

TEST(ImportRup, MapsARow) {
  ImportFile file = Parse(Format::kRup, "[" + RupRow("352749") + "]");
  ASSERT_EQ(file.drafts.size(), 1U);
  const Draft& draft = file.drafts[0];
  EXPECT_EQ(draft.package, "rup/352749");
  EXPECT_EQ(draft.item, "rup");
  EXPECT_EQ(draft.payload, RupRow("352749"));
  EXPECT_EQ(draft.title, "Pengadaan AC");
  EXPECT_EQ(draft.value, "4500000");
  EXPECT_EQ(draft.row, 1U);
  EXPECT_EQ(file.path, "file.json");
  EXPECT_EQ(file.sha256_hex.size(), 64U);
}

TEST(ImportRup, KeepsEveryByteBetweenTheBracesAndNothingElse) {
  std::string row =
      "{ \"nama\" : \"a \\\"},{\\\" \\\\ b\\r\\n\\u0042 é ]\" ,\r\n\t\"id\":7 , \"x\":[ {} , [1] ] "
      "}";
  ImportFile file = Parse(Format::kRup, "\xef\xbb\xbf\r\n [ " + row + "\r\n ,\n" + row + " ] \n");
  ASSERT_EQ(file.drafts.size(), 2U);
  EXPECT_EQ(file.drafts[0].payload, row);
  EXPECT_EQ(file.drafts[1].payload, row);
  EXPECT_EQ(file.drafts[0].title, "a \"},{\" \\ b B é ]");
}

TEST(ImportRup, EmptyArrayIsFine) {
  EXPECT_EQ(Parse(Format::kRup, "[]").rows, 0U);
  EXPECT_EQ(Parse(Format::kRup, " [ \n ] ").rows, 0U);
}

TEST(ImportRup, RepeatedIdsAreVersionsOfOneItem) {
  ImportFile file =
      Parse(Format::kRup, "[" + RupRow("5", "APBD;DAK") + "," + RupRow("5", "DAK;APBD") + "]");
  ASSERT_EQ(file.drafts.size(), 2U);
  EXPECT_EQ(file.drafts[0].package, file.drafts[1].package);
  EXPECT_EQ(file.drafts[0].item, file.drafts[1].item);
  EXPECT_NE(file.drafts[0].payload, file.drafts[1].payload);
}

TEST(ImportRup, IdsAreSixtyFourBitCodesAndMayBeText) {
  EXPECT_EQ(Parse(Format::kRup, "[" + RupRow("9223372036854775807") + "]").drafts.at(0).package,
            "rup/9223372036854775807");
  EXPECT_EQ(Parse(Format::kRup, "[" + RupRow("\"10002510000\"") + "]").drafts.at(0).package,
            "rup/10002510000");
  for (const char* odd : {"null", "0", "-5", "1.5", "1e3", "true", "\"\"", "\"007\"", "\"12a\"",
                          "[1]", "{\"a\":1}", "9223372036854775808", "99999999999999999999999"}) {
    std::string reason = RejectReason(Format::kRup, RupRow(odd));
    EXPECT_NE(reason.find("id "), std::string::npos) << odd << ": " << reason;
  }
  EXPECT_EQ(RejectReason(Format::kRup, R"({"nama":"x"})"), "id is missing");
  EXPECT_EQ(RejectReason(Format::kRup, RupRow("9223372036854775808")),
            "id 9223372036854775808 does not fit in 64 bits");
}

TEST(ImportRup, AmountsAreExactText) {
  auto value = [](const std::string& pagu) {
    ImportFile file = Parse(Format::kRup, R"([{"id":1,"total_pagu":)" + pagu + "}]");
    return file.drafts.empty() ? "rejected" : file.drafts[0].value;
  };
  EXPECT_EQ(value("999995334.78"), "999995334.78");
  EXPECT_EQ(value("123456789012345678901234.05"), "123456789012345678901234.05");
  EXPECT_EQ(value("18446744073709551617"), "18446744073709551617");
  EXPECT_EQ(value("0.10"), "0.10");
  EXPECT_EQ(value("-1.5"), "-1.5");
  EXPECT_EQ(value("1.5e9"), "1500000000");
  EXPECT_EQ(value("1.25E+1"), "12.5");
  EXPECT_EQ(value("125e-2"), "1.25");
  EXPECT_EQ(value("5e-3"), "0.005");
  EXPECT_EQ(value("\"4500000\""), "4500000");
  EXPECT_EQ(value("\"Rp 4.500.000\""), "");
  EXPECT_EQ(value("null"), "");
  EXPECT_EQ(value("1e200"), "");
}

TEST(ImportRup, TitlesAreTidiedAndPayloadsAreNot) {
  ImportFile file =
      Parse(Format::kRup, "[" + RupRow("1", "  Rehab\\r\\n gedung \\t A\\u001b[31m ") + "]");
  EXPECT_EQ(file.drafts.at(0).title, "Rehab gedung A [31m");
  EXPECT_NE(file.drafts.at(0).payload.find("\\r\\n"), std::string::npos);

  std::string long_name;
  for (int i = 0; i < 1000; ++i) long_name += "é";
  std::string title = Parse(Format::kRup, "[" + RupRow("1", long_name) + "]").drafts.at(0).title;
  EXPECT_LE(title.size(), 1000U);
  EXPECT_TRUE(title.ends_with("é…"));
}

// --- One broken row ---

TEST(ImportBroken, QuotesAndBracketsCostOneRow) {
  for (const char* broken : {
           R"({"id_satker":2,"id":2,"nama":"no closing quote,"x":1})",
           R"({"id_satker":2,"id":2,"nama":"no closing quote at the end})",
           R"({"id_satker":2,"id":2,"nama":no opening quote","x":1})",
           R"({"id_satker":2,"id":2,"nama":"one "quoted" word","x":1})",
           R"({"id_satker":2,"id":2,"nama":"escaped end\"})",
           R"({"id_satker":2,"id:2,"nama":"key without its quote"})",
           R"({"id_satker":2,"id":2,"nama":"no closing brace")",
           R"("id_satker":2,"id":2,"nama":"no opening brace"})",
           R"({"id_satker":2,"id":2,"x":{"y":1})",
           R"({"id_satker":2,"id":2,"x":[1,2,"y":3})",
           R"({"id_satker":2,"id":2,"x":1]})",
           R"({"id_satker":2,"id":2}})",
           R"({"id_satker":2,"id":2,,"x":1})",
           R"({"id_satker":2,"id":2,"x":1,})",
           R"({"id_satker":2,"id":2,"x":})",
           R"({"id_satker":2,"id":2,"x" 5})",
           R"({"id_satker":2,"id":2} {)",
           R"({id_satker:2,id:2})",
           "{\"id_satker\":2,\"id\":2,\"nama\":\"raw\nline break\"}",
           "{\"id_satker\":2,\"id\":2,\"nama\":\"raw\n",
           "\xff\xfe",
       }) {
    ExpectCostsOneRow(broken);
  }
}

// Its missing bracket is the array's own: behind the last row nothing tells it from a cut file.
TEST(ImportBroken, RowThatRunsToTheEndCostsOneRowUnlessItIsTheLast) {
  std::string broken = R"({"id_satker":2,"id":2,"x":[1,{"y":3})";
  ImportFile file = Parse(
      Format::kRup, "[" + RupRow("1") + "," + broken + "," + RupRow("3") + "," + RupRow("4") + "]");
  ASSERT_EQ(file.rejected.size(), 1U);
  EXPECT_EQ(file.rejected[0].row, 2U);
  ASSERT_EQ(file.drafts.size(), 3U);
  EXPECT_EQ(file.drafts[1].payload, RupRow("3"));
  EXPECT_NE(ErrorOf(Format::kRup, "[" + RupRow("1") + "," + broken + "]").find("truncated"),
            std::string::npos);
}

TEST(ImportBroken, WhatTheParserRefusesCostsOneRow) {
  for (const char* broken : {
           R"({"id_satker":2,"id":2,"x":01})",
           R"({"id_satker":2,"id":2,"x":tru})",
           R"({"id_satker":2,"id":2,"x":NaN})",
           R"({"id_satker":2,"id":2,"x":1e999})",
           R"({"id_satker":2,"id":2,"x":"\q"})",
           R"({"id_satker":2,"id":2,"x":"\ud800"})",
           "{\"id_satker\":2,\"id\":2,\"x\":\"\xc3\x28\"}",
           "{\"id_satker\":2,\"id\":2,\"x\":\"\xed\xa0\x80\"}",
           R"({"id_satker":2,"id":2,"id":3})",
           "null",
           "5",
           "\"text\"",
           "[1,2]",
           "[]",
       }) {
    ExpectCostsOneRow(broken);
  }
}

TEST(ImportBroken, MissingCommaCostsOneRow) {
  ImportFile file = Parse(Format::kRup, "[" + RupRow("1") + RupRow("2") + "," + RupRow("3") + "]");
  EXPECT_EQ(file.rejected.size(), 1U);
  ASSERT_EQ(file.drafts.size(), 2U);
  EXPECT_EQ(file.drafts[0].payload, RupRow("2"));
}

TEST(ImportBroken, NeighboursAreRejectedOneByOne) {
  std::string broken = R"({"id_satker":2,"id":2,"nama":"one "quoted" word"})";
  ImportFile file = Parse(
      Format::kRup, "[" + RupRow("1") + "," + broken + "," + broken + "," + RupRow("4") + ",]");
  ASSERT_EQ(file.rejected.size(), 3U);
  EXPECT_EQ(file.rejected[0].row, 2U);
  EXPECT_EQ(file.rejected[1].row, 3U);
  EXPECT_EQ(file.rejected[2].row, 5U);
  EXPECT_EQ(file.drafts.size(), 2U);
}

TEST(ImportBroken, RowsInAnotherOrderOfKeysAreFoundAgain) {
  std::string other = R"({"nama":"y","id":3})";
  ImportFile file = Parse(
      Format::kRup, "[" + RupRow("1") + R"(,{"id_satker":2,"id":"x,"nama":1},)" + other + "]");
  EXPECT_EQ(file.rejected.size(), 1U);
  ASSERT_EQ(file.drafts.size(), 2U);
  EXPECT_EQ(file.drafts[1].payload, other);
}

TEST(ImportBroken, ReasonsNameThePlace) {
  std::string head = "[" + RupRow("1") + ",";
  ImportFile file = Parse(Format::kRup, head + "{\"id\":2,\"x\":\"\xc3\x28\"}]");
  ASSERT_EQ(file.rejected.size(), 1U);
  EXPECT_EQ(file.rejected[0].reason, "invalid UTF-8 at byte " + std::to_string(head.size() + 14));

  file = Parse(Format::kRup, head + R"({"id":2,"x":y"}])");
  ASSERT_EQ(file.rejected.size(), 1U);
  EXPECT_EQ(file.rejected[0].reason, "unexpected '\"' at byte " + std::to_string(head.size() + 13) +
                                         "; bytes " + std::to_string(head.size()) + " to " +
                                         std::to_string(head.size() + 15) + " are left out");
  EXPECT_EQ(RejectReason(Format::kRup, R"({"id":2,"id":3})"), "key \"/id\" stands twice");
}

TEST(ImportBroken, DepthIsBounded) {
  auto nested = [](size_t depth) {
    return R"({"id":1,"x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(Parse(Format::kRup, "[" + nested(100) + "]").drafts.size(), 1U);
  EXPECT_EQ(RejectReason(Format::kRup, nested(1'000'000)), "nested deeper than 128");
}

TEST(ImportBroken, TooLargeRowIsRejected) {
  std::string reason = RejectReason(Format::kRup, RupRow("1", std::string(kRowBytesMax, 'x')));
  EXPECT_EQ(reason, "the row is longer than 16777216 bytes");
}

// --- Whole files ---

TEST(ImportFileForm, TruncatedAnywhereIsAnErrorAndNothingElse) {
  std::string whole = "[" + RupRow("1") + ",\n" + RupRow("2", "a \\\" b") + "," + RupRow("3") + "]";
  for (size_t size = 1; size < whole.size(); ++size) {
    EXPECT_EQ(ErrorOf(Format::kRup, whole.substr(0, size)),
              "file.json: truncated at byte " + std::to_string(size) +
                  ": the array that opens at byte 0 is never closed");
  }
  std::string release = R"({"ocid":"ocds-a-1","id":"1","tender":{"items":[{"id":1},{"id":2}]}})";
  whole = R"({"version":"1.1","releases":[)" + release + "," + release + R"(],"x":[1]})";
  for (size_t size = 1; size < whole.size(); ++size) {
    std::string error = ErrorOf(Format::kOcds, whole.substr(0, size));
    EXPECT_NE(error.find("truncated at byte " + std::to_string(size)), std::string::npos) << error;
  }
}

TEST(ImportFileForm, OtherFormsAreErrors) {
  EXPECT_EQ(ErrorOf(Format::kRup, ""), "file.json: is empty");
  EXPECT_EQ(ErrorOf(Format::kRup, "\xef\xbb\xbf \n"), "file.json: is empty");
  EXPECT_EQ(ErrorOf(Format::kRup, "<html>"),
            "file.json: not a JSON array of RUP packages: '<' at byte 0");
  EXPECT_EQ(ErrorOf(Format::kIsb, "{\"a\":1}"),
            "file.json: not a JSON array of ISB rows: '{' at byte 0");
  EXPECT_EQ(ErrorOf(Format::kRup, std::string("\xff\xfe[\0]\0", 6)), "file.json: is UTF-16 text");
  EXPECT_EQ(ErrorOf(Format::kRup, "[]]"),
            "file.json: unexpected ']' at byte 2, behind the end of the array");
  EXPECT_EQ(ErrorOf(Format::kRup, "[" + RupRow("1") + "] x").substr(0, 27),
            "file.json: unexpected 'x' a");
  EXPECT_NE(ErrorOf(Format::kOcds, "[]").find("not an OCDS"), std::string::npos);
  EXPECT_NE(ErrorOf(Format::kOcds, "{\"a\":[1]}").find("no \"releases\""), std::string::npos);
  EXPECT_NE(ErrorOf(Format::kOcds, "{\"releases\":[],}").find("unexpected '}'"), std::string::npos);
}

TEST(ImportFileForm, FilesThatCannotBeReadAreNamed) {
  Result<ImportFile> none = ReadImportFile(Format::kRup, "/nonexistent/rup.json");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().code(), Code::kNotFound);
  EXPECT_EQ(none.status().message(), "/nonexistent/rup.json: No such file or directory");
  Result<ImportFile> folder = ReadImportFile(Format::kRup, "/tmp");
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.status().code(), Code::kIo);
}

TEST(ImportFileForm, FormsHaveNames) {
  EXPECT_EQ(*ParseFormat("isb"), Format::kIsb);
  EXPECT_EQ(*ParseFormat("ocds"), Format::kOcds);
  EXPECT_FALSE(ParseFormat("RUP").ok());
}

// --- OCDS ---

const char kRelease[] =
    R"({"ocid":"ocds-a-1","id":"r1","planning":{"budget":{"amount":{"amount":20,)"
    R"("currency":"IDR"},)"
    R"("project":"Bus"}},"tender":{"title":"Bus  sekolah","value":{"amount":1999.50},)"
    R"("items":[{"ocid":"not-a-row","id":1},{"id":2}]}})";

TEST(ImportOcds, MapsAPackageARecordPackageAndALoneRelease) {
  std::string release = kRelease;
  for (const std::string& bytes :
       {"{\"uri\":\"u\",\"releases\" : [ " + release + " ],\"version\":\"1.1\"}", release,
        "{\"records\":[{\"ocid\":\"ocds-a-1\",\"releases\":[" + release +
            "],\"compiledRelease\":{\"ocid\":\"ocds-a-1\",\"id\":\"c\"}}]}"}) {
    ImportFile file = Parse(Format::kOcds, bytes);
    ASSERT_EQ(file.drafts.size(), 1U) << bytes;
    EXPECT_EQ(file.drafts[0].package, "ocds-a-1");
    EXPECT_EQ(file.drafts[0].item, "release/r1");
    EXPECT_EQ(file.drafts[0].payload, release);
    EXPECT_EQ(file.drafts[0].title, "Bus sekolah");
    EXPECT_EQ(file.drafts[0].value, "1999.50");
  }
}

TEST(ImportOcds, TakesThePlansTitleAndValueWhenTheTenderHasNone) {
  auto draft = [](const std::string& more) {
    return Parse(Format::kOcds, R"({"ocid":"ocds-a-1","id":5)" + more + "}").drafts.at(0);
  };
  std::string plan =
      R"(,"planning":{"budget":{"amount":{"amount":20.00,"currency":"IDR"},"project":"P"}})";
  EXPECT_EQ(draft(plan + R"(,"tender":{"value":{"amount":0}})").value, "20.00");
  EXPECT_EQ(draft(plan + R"(,"tender":{"value":{"amount":0}})").title, "P");
  EXPECT_EQ(draft(plan).item, "release/5");
  EXPECT_EQ(draft("").value, "");
  EXPECT_EQ(draft("").title, "");
  EXPECT_EQ(draft(R"(,"tender":{"value":{"amount":7,"currency":"USD"}})").value, "");
}

TEST(ImportOcds, OddReleasesAreRejected) {
  EXPECT_EQ(RejectReason(Format::kOcds, R"({"id":"1"})"), "ocid is missing");
  EXPECT_EQ(RejectReason(Format::kOcds, R"({"ocid":"ocds-a-1"})"), "id is missing");
  EXPECT_EQ(RejectReason(Format::kOcds, R"({"ocid":5,"id":"1"})"), "ocid is not a string");
  EXPECT_EQ(RejectReason(Format::kOcds, R"({"ocid":"","id":"1"})"), "ocid is empty");
  EXPECT_EQ(RejectReason(Format::kOcds, R"({"ocid":"a\u0000b","id":"1"})"),
            "ocid contains a control character");
  EXPECT_EQ(RejectReason(Format::kOcds, R"({"ocid":"rup/5","id":"1"})"),
            "ocid \"rup/5\" is not an OCDS identifier");
  EXPECT_EQ(RejectReason(Format::kOcds, R"({"ocid":")" + std::string(2000, 'x') + R"(","id":"1"})"),
            "the package's name is longer than 1024 bytes");
}

TEST(ImportOcds, ABrokenReleaseCostsOneRow) {
  auto release = [](const std::string& id, const std::string& more) {
    return R"({"ocid":"ocds-a-)" + id + R"(","id":")" + id +
           R"(","parties":[{"id":"p","name":"x"},{"id":"q"}])" + more + "}";
  };
  for (const char* more : {R"(,"title":"a "b" c","awards":[{"id":"1"},{"id":"2"}])",
                           R"(,"title":"a,"awards":[{"id":"1"},{"id":"2"}])",
                           R"(,"items":[{"id":"1"},{"id":"2"})", R"(,"tender":{"id":"1")",
                           R"(,"items":[{"id":"1"},{"id":"2"}]])", R"(,"items":[{"id":"1"})"}) {
    SCOPED_TRACE(more);
    std::string bytes = "{\"version\":\"1.1\",\"releases\":[" + release("1", "") + "," +
                        release("2", more) + "," + release("3", "") + "," + release("4", "") +
                        "],\"extensions\":[\"e\"]}";
    ImportFile file = Parse(Format::kOcds, bytes);
    ASSERT_EQ(file.rejected.size(), 1U);
    EXPECT_EQ(file.rejected[0].row, 2U);
    ASSERT_EQ(file.drafts.size(), 3U);
    EXPECT_EQ(file.drafts[1].payload, release("3", ""));

    bytes = "{\"releases\":[" + release("1", "") + "," + release("2", more) + "],\"x\":\"y\"}";
    // As the last row a missing bracket can't be told from a file that is cut off.
    Result<ImportFile> last = ParseImport(Format::kOcds, "f", bytes);
    EXPECT_TRUE(!last.ok() || last->rejected.size() == 1) << last->rejected.size();
  }
}

TEST(ImportOcds, MissingBracketsDoNotSwallowTheRowsBehind) {
  std::string row2 = R"({"ocid":"ocds-a-2","id":"2","items":[{"id":"1"},{"id":"2"})";
  std::string row3 = R"({"ocid":"ocds-a-3","id":"3"})";
  ImportFile file = Parse(Format::kOcds, R"({"releases":[{"ocid":"ocds-a-1","id":"1"},)" + row2 +
                                             "," + row3 + "," + row3 + "]}");
  ASSERT_EQ(file.rejected.size(), 1U);
  EXPECT_EQ(file.rejected[0].row, 2U);
  EXPECT_EQ(file.drafts.size(), 3U);
}

// --- ISB ---

Draft Isb(const std::string& fields) {
  ImportFile file = Parse(Format::kIsb, "[{\"tahun_anggaran\":2025," + fields + "}]");
  EXPECT_EQ(file.rejected.size(), 0U) << fields << ": " << file.rejected.at(0).reason;
  return file.drafts.empty() ? Draft{} : file.drafts[0];
}

TEST(ImportIsb, MapsStagesWithNullNames) {
  Draft draft = Isb(R"("kd_tender":10011868000,"kd_tahapan":18843,"nama_tahapan":null)");
  EXPECT_EQ(draft.package, "tender/10011868000");
  EXPECT_EQ(draft.item, "jadwal/18843");
  EXPECT_EQ(draft.title, "");
  EXPECT_EQ(draft.value, "");
}

TEST(ImportIsb, AnnouncementsStateTitleAndValue) {
  Draft draft = Isb(
      R"("kd_tender":1,"nama_paket":"Belanja  <b>X</b>\r\n","pagu":1000000000,"hps":999995334.78,)"
      R"("tgl_pengumuman_tender":"2025-02-11 10:00:00")");
  EXPECT_EQ(draft.item, "pengumuman");
  EXPECT_EQ(draft.title, "Belanja <b>X</b>");
  EXPECT_EQ(draft.value, "999995334.78");
  draft = Isb(
      R"("kd_nontender":2,"nama_paket":"Y","pagu":5.50,"hps":null,"tgl_selesai_nontender":null)");
  EXPECT_EQ(draft.package, "nontender/2");
  EXPECT_EQ(draft.item, "selesai");
  EXPECT_EQ(draft.value, "5.50");
}

TEST(ImportIsb, AddendaAndPaymentsAreItemsOfTheirOwn) {
  EXPECT_EQ(
      Isb(R"("kd_nontender":2,"no_sppbj":"1","no_kontrak":" 000.4/405 ","versi_addendum":0)").item,
      "kontrak/000.4/405");
  EXPECT_EQ(
      Isb(R"("kd_nontender":2,"no_sppbj":"1","no_kontrak":"000.4/405","versi_addendum":1)").item,
      "kontrak/000.4/405|addendum 1");
  Draft draft = Isb(R"("kd_nontender":2,"no_kontrak":"k","no_bast":"a|b","no_bap":null,)"
                    R"("tgl_bap":"2025-03-17T00:00:00.000000Z")");
  EXPECT_EQ(draft.item, "bapbast/a%7cb|?|2025-03-17");
  EXPECT_EQ(draft.title, "");
  std::string number(900, 'n');
  std::string a = Isb(R"("kd_nontender":2,"no_sppbj":")" + number + "a\"").item;
  std::string b = Isb(R"("kd_nontender":2,"no_sppbj":")" + number + "b\"").item;
  EXPECT_NE(a, b);
  EXPECT_LE(a.size(), 250U);
}

TEST(ImportIsb, UnknownRowsKeepAKeyByContentOrAreRejected) {
  Draft draft = Isb(R"("kd_tender":7,"baru":1)");
  EXPECT_EQ(draft.package, "tender/7");
  EXPECT_EQ(draft.item.size(), std::string("lain/").size() + 16);
  EXPECT_EQ(draft.item, Isb(R"("kd_tender":7,"baru":1)").item);
  EXPECT_NE(draft.item, Isb(R"("kd_tender":7,"baru":2)").item);
  EXPECT_EQ(RejectReason(Format::kIsb, R"({"kd_rup":5})"),
            "has neither kd_tender nor kd_nontender");
  EXPECT_EQ(RejectReason(Format::kIsb, R"({"kd_tender":5,"kd_nontender":6})"),
            "has both kd_tender and kd_nontender");
  EXPECT_EQ(Isb(R"("kd_satker":60412,"status_satker":"Aktif")").package, "-");
  EXPECT_EQ(Isb(R"("kd_satker":60412,"status_satker":"Aktif")").item, "satker/60412");
}

}  // namespace
}  // namespace kembar::import
