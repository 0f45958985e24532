// import_data_test.cc — every row of the published files at ../shared/data beside the repository.
//
// Where they are absent the tests skip and say so.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "replicator/log/record.h"
#include "tools/import/import.h"

namespace kembar::import {
namespace {

class RealData : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(KEMBAR_SOURCE_DIR) / ".." / "shared" / "data";
    if (!std::filesystem::is_directory(folder_)) {
      GTEST_SKIP() << "the real tender data is absent: no ../shared/data beside the repository";
    }
  }

  // Reads a file and checks that its payloads and what stands between them are the whole file.
  ImportFile Read(Format format, const std::string& name) {
    std::string path = (folder_ / name).string();
    Result<ImportFile> file = ReadImportFile(format, path);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    if (!file.ok()) return {};
    EXPECT_EQ(file->rejected.size(), 0U) << name;
    EXPECT_EQ(file->rows, file->drafts.size());
    ExpectWhole(path, *file);
    for (const Draft& draft : file->drafts) {
      kembar::Draft record{RecordKind::kPut, draft.package, draft.item,   draft.title,
                           draft.value,      draft.unit,    draft.payload};
      EXPECT_TRUE(ValidateDraft(record).ok()) << ValidateDraft(record).ToString();
      packages_.insert(draft.package);
    }
    return *std::move(file);
  }

  static void ExpectWhole(const std::string& path, const ImportFile& file) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    const std::string whole = bytes.str();
    size_t array = whole.find('[');
    std::string built = whole.substr(0, array + 1);
    for (const Draft& draft : file.drafts) {
      if (draft.row > 1) built += ",";
      built += draft.payload;
    }
    ASSERT_LE(built.size(), whole.size());
    std::string tail = whole.substr(built.size());
    EXPECT_TRUE(tail == "]" || tail == "]}") << path << ": " << tail.substr(0, 40);
    EXPECT_EQ(built + tail, whole);
  }

  static size_t Items(const ImportFile& file) {
    std::set<std::pair<std::string, std::string>> items;
    for (const Draft& draft : file.drafts) items.insert({draft.package, draft.item});
    return items.size();
  }

  std::filesystem::path folder_;
  std::set<std::string> packages_;
};

TEST_F(RealData, RupIsWholeAndHas6436Packages) {
  EXPECT_EQ(Read(Format::kRup, "rup-lombok-tengah-2014.json").rows, 1871U);
  EXPECT_EQ(Read(Format::kRup, "rup-lombok-tengah-2015.json").rows, 1725U);
  ImportFile last = Read(Format::kRup, "rup-lombok-tengah-2017.json");
  EXPECT_EQ(last.rows, 2914U);
  EXPECT_EQ(Items(last), 2840U);
  EXPECT_EQ(packages_.size(), 6436U);

  std::map<std::string, std::set<std::string>> contents;
  for (const Draft& draft : last.drafts) contents[draft.package].insert(draft.payload);
  auto differing = std::count_if(contents.begin(), contents.end(),
                                 [](const auto& entry) { return entry.second.size() > 1; });
  EXPECT_EQ(differing, 26);
}

TEST_F(RealData, OcdsHas2000Packages) {
  uint64_t rows = 0;
  for (const char* n : {"1", "2", "3", "4"}) {
    ImportFile file =
        Read(Format::kOcds, "ocds-kota-bandung/release-package-" + std::string(n) + ".json");
    rows += file.rows;
    for (const Draft& draft : file.drafts) EXPECT_NE(draft.title, "") << draft.package;
  }
  EXPECT_EQ(rows, 2000U);
  EXPECT_EQ(packages_.size(), 2000U);
}

TEST_F(RealData, IsbRowsAreAllTakenWithKeysOfTheirOwn) {
  struct Expected {
    const char* name;
    uint64_t rows;
    size_t items;  // fewer where rows are versions of one item, or the same row twice
  };
  uint64_t rows = 0;
  for (const Expected& expected :
       {Expected{"RUP-MasterSatker", 165, 165}, Expected{"SPSE-JadwalTahapanTender", 1428, 1428},
        Expected{"SPSE-NonTenderEkontrak-1SPPBJ", 1302, 1302},
        Expected{"SPSE-NonTenderEkontrak-2Kontrak", 1047, 1039},
        Expected{"SPSE-NonTenderEkontrak-3SPMKSPP", 965, 965},
        Expected{"SPSE-NonTenderEkontrak-4BAPBAST", 863, 423},
        Expected{"SPSE-NonTenderPengumuman", 2386, 2386},
        Expected{"SPSE-NonTenderSelesai", 1868, 1868}, Expected{"SPSE-PesertaTender", 4224, 4224},
        Expected{"SPSE-TenderEkontrak-1SPPBJ", 47, 47},
        Expected{"SPSE-TenderEkontrak-2Kontrak", 52, 52},
        Expected{"SPSE-TenderEkontrak-3SPMKSPP", 45, 45}, Expected{"SPSE-TenderPengumuman", 92, 92},
        Expected{"SPSE-TenderSelesai", 68, 68}, Expected{"SPSE-TenderSelesaiNilai", 77, 77}}) {
    SCOPED_TRACE(expected.name);
    ImportFile file =
        Read(Format::kIsb, "isb-kab-bandung-2025/" + std::string(expected.name) + ".json");
    EXPECT_EQ(file.rows, expected.rows);
    EXPECT_EQ(Items(file), expected.items);
    for (const Draft& draft : file.drafts) EXPECT_FALSE(draft.item.starts_with("lain/"));
    rows += file.rows;
  }
  EXPECT_EQ(rows, 14629U);
  EXPECT_EQ(packages_.size(), 92U + 2386U + 1U);
}

TEST_F(RealData, IsbAnnouncementsStateSenExactly) {
  ImportFile file = Read(Format::kIsb, "isb-kab-bandung-2025/SPSE-TenderPengumuman.json");
  EXPECT_EQ(packages_.size(), 92U);
  int with_sen = 0;
  for (const Draft& draft : file.drafts) {
    EXPECT_NE(draft.title, "");
    with_sen += draft.value.find('.') != std::string::npos ? 1 : 0;
    EXPECT_NE(draft.payload.find("\"hps\":" + draft.value + ","), std::string::npos);
  }
  EXPECT_EQ(with_sen, 32);
}

}  // namespace
}  // namespace kembar::import
