// manual_test.cc — procurement by hand, from CSV: a broken row costs one row, amounts and dates are
// never guessed, attachments stand beside the file, what is written is read, and nobody overwrites
// what he has not seen.
#include "tools/import/manual.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>

#include "tools/import/csv.h"
#include "tools/kembarctl/manual_log.h"

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

TEST(Csv, AnotherSeparator) {
  const auto rows = ReadCsv("a,1;\"b;c\";\n\"d\",e;f\n", ';');
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_THAT(rows[0].fields, ElementsAre("a,1", "b;c", ""));
  EXPECT_THAT(rows[1].broken, HasSubstr("the next separator"));
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
  EXPECT_EQ(ReadAmount("RP 1500"), "1500");
  EXPECT_EQ(ReadAmount("rp.1.500,00"), "1500.00");
  EXPECT_EQ(ReadAmount("Rp 150.000.000,-"), "150000000");
  EXPECT_EQ(ReadAmount("150000000,-"), "150000000");
  EXPECT_EQ(ReadAmount("150.000,-"), "150000") << "the comma says what the dot is";
  for (const char* bad :
       {"",         "150.000",  "1,500",  "1,500,000", "1.5.0",      "1500.", "1500,",
        ".5",       "-5",       "1e9",    "1.50.000",  "1500.123",   "1 500", "lima",
        "Rp",       "1.500.",   ",-",     "12.3456,1", "Rp 150.000", "1500-", "1,500,-",
        "1500.5,-", "1.500,--", "1500.-", "Rp ,-",     "R 1500",     "IDR 5"}) {
    EXPECT_EQ(ReadAmount(bad), "") << bad;
  }
}

TEST(Manual, DatesOfTheCalendar) {
  EXPECT_EQ(ReadDate("2019-08-05"), "2019-08-05");
  EXPECT_EQ(ReadDate("29-02-2020"), "2020-02-29");
  EXPECT_EQ(ReadDate("05/08/2019"), "2019-08-05") << "the day first, as in Indonesia";
  EXPECT_EQ(ReadDate("24/11/2026"), "2026-11-24");
  for (const char* bad :
       {"", "29-02-2019", "2019-13-01", "2019-8-5", "0019-08-05", "2019-08-05 ", "20-19-08-0",
        "aaaa-bb-cc", "11/24/2026", "05/08-2019", "05-08/2019", "2019/08/05", "5/8/2019"}) {
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

TEST(Manual, RejectsWhatANodeWouldNotTake) {
  const std::string limit(kTextBytesMax, 'x');
  EXPECT_THAT(ReasonOf("t/1,J," + limit + "x,5,PL,CV,1,2019-08-05,,\n"),
              HasSubstr("\"unit\": is longer than 1024"));
  EXPECT_THAT(ReasonOf(limit + "x,J,U,5,PL,CV,1,2019-08-05,,\n"), HasSubstr("\"package\""));
  EXPECT_THAT(ReasonOf("t/1,\"\u0085\",U,5,PL,CV,1,2019-08-05,,\n"),
              HasSubstr("\"title\": is empty"));
  const ManualFile file =
      Parse(kHeader + limit + "," + limit + "x," + limit + ",5,PL,CV,1,2019-08-05,,\n");
  ASSERT_EQ(file.records.size(), 1U);
  EXPECT_LE(file.records[0].title.size(), kTextBytesMax);
}

TEST(Manual, AttachmentsStandBesideTheFile) {
  const auto reason = [](const std::string& attachments) {
    return ReasonOf("t/1,J,U,5,PL,CV,1,2019-08-05,,\"" + attachments + "\"\n");
  };
  for (const char* absolute : {"/etc/passwd", "ba.pdf;/etc/shadow", "//x"}) {
    EXPECT_THAT(reason(absolute), HasSubstr("\"attachments\"")) << absolute;
    EXPECT_THAT(reason(absolute), HasSubstr("is absolute")) << absolute;
  }
  for (const char* up : {"../x", "..", "scan/../../x", "./..", "scan/.."}) {
    EXPECT_THAT(reason(up), HasSubstr("\"attachments\": \"" + std::string(up))) << up;
    EXPECT_THAT(reason(up), HasSubstr("part \"..\"")) << up;
  }
  EXPECT_THAT(reason("a.pdf\nb.pdf"), HasSubstr("control character"));
  const ManualFile file =
      Parse(std::string(kHeader) + "t/1,J,U,5,PL,CV,1,2019-08-05,,scan/a..pdf;..b.pdf;./c\n");
  ASSERT_EQ(file.records.size(), 1U);
  EXPECT_THAT(file.records[0].attachments, ElementsAre("scan/a..pdf", "..b.pdf", "./c"));
}

// As a spreadsheet with Indonesian settings saves it.
TEST(Manual, Semicolons) {
  const ManualFile file = Parse(
      "\xef\xbb\xbfpackage;title;unit;value;method;vendor;contract_number;contract_date;"
      "attachments\r\n"
      "paket/7;Rehab, tahap 2;Dinas PUPR;Rp 150.000.000,-;PL;CV "
      "A;1;24/11/2026;\"ba.pdf;spk.pdf\"\r\n"
      "paket/8;J;U;1500,5;PL;CV A;1;24/11/2026;\r\n"
      "paket/9;J;U;5;PL;CV A;1;24/11/2026;ba.pdf;spk.pdf\r\n"
      "paket/9,J,U,5,PL,CV A,1,2026-11-24,\r\n");
  ASSERT_EQ(file.records.size(), 2U);
  EXPECT_EQ(file.records[0].title, "Rehab, tahap 2");
  EXPECT_EQ(file.records[0].value, "150000000");
  EXPECT_EQ(file.records[0].contract_date, "2026-11-24");
  EXPECT_THAT(file.records[0].attachments, ElementsAre("ba.pdf", "spk.pdf"));
  EXPECT_EQ(file.records[1].value, "1500.5");
  ASSERT_EQ(file.rejected.size(), 2U) << "decided once, by the header";
  EXPECT_THAT(file.rejected[0].reason, HasSubstr("several attachments stand in quotes"));
  EXPECT_THAT(file.rejected[1].reason, HasSubstr("has 1 fields"));
}

TEST(Manual, QuotedHeadersTellTheSeparatorToo) {
  EXPECT_EQ(Parse("\"package\";\"title\";\"unit\";\"value\";\"method\";\"vendor\";"
                  "\"contract_number\";\"contract_date\"\np;t;u;5;m;v;1;24-11-2026\n")
                .records.size(),
            1U);
}

TEST(Manual, TheSampleIsRead) {
  const std::string sample =
      std::string(KEMBAR_SOURCE_DIR) + "/deploy/sample/manual-procurement.csv";
  const Result<ManualFile> file = ReadManualFile(sample);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(file->records.size(), 3U);
  EXPECT_TRUE(file->rejected.empty());
}

TEST(Manual, WhatCannotBeReadIsOneError) {
  const Result<ManualFile> folder = ReadManualFile("/");
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.status().ToString(), "/: Is a directory");
  EXPECT_EQ(ReadManualFile("/nowhere/m.csv").status().code(), Code::kNotFound);
  EXPECT_EQ(ReadWholeFile("/").status().code(), Code::kIo);
  EXPECT_EQ(*ReadWholeFile("/dev/null"), "");
}

TEST(Manual, SaysOfItsPackageWhatNobodyElseSays) {
  ManualRecord first;
  first.title = "Jalan";
  first.value = "100";
  first.unit = "PUPR";
  ManualRecord next = first;
  next.value = "120";
  const auto facts = [](std::string title, std::string value, std::string unit) {
    return PackageFacts{std::move(title), std::move(value), std::move(unit)};
  };
  EXPECT_EQ(SaysOfPackage({}, {}, first), facts("Jalan", "100", "PUPR"));
  EXPECT_EQ(SaysOfPackage(facts("Jalan", "100", "PUPR"), first, next), facts("", "120", ""))
      << "a correction of what the import itself said";
  EXPECT_EQ(SaysOfPackage(facts("Rehab Jalan", "90", "Dinas PUPR"), first, next), PackageFacts())
      << "said by captured rows";
  EXPECT_EQ(SaysOfPackage(facts("Rehab Jalan", "100", ""), first, next), facts("", "120", "PUPR"))
      << "each for itself";
  EXPECT_EQ(SaysOfPackage(facts("Jalan", "100", "PUPR"), {}, next), PackageFacts())
      << "another contract of the same package";
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
  EXPECT_THAT(ErrorOf("package;title\n"), HasSubstr("\"unit\" is missing"));
  EXPECT_THAT(ErrorOf("package;titel\n"), HasSubstr("unknown column \"titel\""));
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

namespace kembar::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A primary in memory that knows what manual procurement asks of one.
class ManualNode : public v1::Admin::Service, public v1::Log::Service, public v1::Tender::Service {
 public:
  ManualNode() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<v1::Admin::Service*>(this));
    builder.RegisterService(static_cast<v1::Log::Service*>(this));
    builder.RegisterService(static_cast<v1::Tender::Service*>(this));
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~ManualNode() override { server_->Shutdown(); }

  const std::string& address() const { return address_; }

  grpc::Status Status(grpc::ServerContext*, const v1::StatusRequest*,
                      v1::StatusResponse* response) override {
    response->set_node("tebo");
    v1::LogStatus* log = response->add_logs();
    log->set_log("tebo");
    log->set_role("primary");
    return grpc::Status::OK;
  }
  grpc::Status Append(grpc::ServerContext*, const v1::AppendRequest* request,
                      v1::AppendResponse* response) override {
    const std::lock_guard lock(mutex_);
    uint64_t& last = positions_[request->source()];
    response->set_duplicate(request->position() <= last);
    if (response->duplicate()) return grpc::Status::OK;
    last = request->position();
    for (const v1::Draft& draft : request->drafts()) {
      v1::ItemVersion& version = items_[{draft.package(), draft.item()}];
      version.set_package(draft.package());
      version.set_item(draft.item());
      version.set_kind(draft.kind());
      version.set_payload(draft.payload());
      version.set_index(++index_);
    }
    response->set_index(index_);
    return grpc::Status::OK;
  }
  grpc::Status SourcePosition(grpc::ServerContext*, const v1::SourcePositionRequest* request,
                              v1::SourcePositionResponse* response) override {
    const std::lock_guard lock(mutex_);
    response->set_position(positions_[request->source()]);
    return grpc::Status::OK;
  }
  grpc::Status GetItem(grpc::ServerContext*, const v1::GetItemRequest* request,
                       v1::GetItemResponse* response) override {
    const std::lock_guard lock(mutex_);
    const auto at = items_.find({request->package(), request->item()});
    if (at == items_.end()) return {grpc::StatusCode::NOT_FOUND, "no such item"};
    *response->mutable_item() = at->second;
    return grpc::Status::OK;
  }
  grpc::Status ListItems(grpc::ServerContext*, const v1::ListItemsRequest* request,
                         grpc::ServerWriter<v1::ListItemsResponse>* writer) override {
    const std::lock_guard lock(mutex_);
    v1::ListItemsResponse response;
    for (const auto& [key, version] : items_) {
      if (key.second.starts_with(request->item_prefix())) *response.add_items() = version;
    }
    writer->Write(response);
    return grpc::Status::OK;
  }

 private:
  std::mutex mutex_;
  std::map<ManualKey, v1::ItemVersion> items_;
  std::map<std::string, uint64_t> positions_;
  uint64_t index_ = 0;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

class ManualLog : public ::testing::Test {
 protected:
  static constexpr client::Millis kPatience{10'000};

  void SetUp() override { ASSERT_TRUE(cluster_.Refresh().ok()); }

  std::string Payload(const std::string& vendor) const {
    import::StoredManual stored;
    stored.record.vendor = vendor;
    return import::EncodeManual(stored);
  }
  Status Append(uint64_t position, const std::string& item, const std::string& payload) {
    return AppendManual(&follower_, key_, position, {ManualDraft({key_.first, item}, payload)},
                        kPatience);
  }
  Status Append(uint64_t position, const std::string& payload) {
    return Append(position, key_.second, payload);
  }
  ManualPlace Read() {
    const Result<ManualPlace> place = ReadManual(&follower_, key_, kPatience);
    EXPECT_TRUE(place.ok()) << place.status().ToString();
    return place.ok() ? *place : ManualPlace();
  }

  ManualNode node_;
  client::Cluster cluster_{{node_.address()}};
  client::PrimaryFollower follower_{&cluster_, "tebo"};
  const ManualKey key_ = ManualKeyOf("paket/1", "027/SPK");
};

TEST_F(ManualLog, ARecordIsReadAsItIsWritten) {
  EXPECT_EQ(Read().version.index, 0U);
  ASSERT_TRUE(Append(Read().position, Payload("CV A")).ok());
  const ManualPlace place = Read();
  EXPECT_TRUE(place.version.living);
  EXPECT_EQ(place.version.stored.record.vendor, "CV A");
  EXPECT_EQ(place.version.stored.record.package, "paket/1");
}

TEST_F(ManualLog, NothingIsOverwrittenUnseen) {
  const ManualPlace mine = Read();
  ASSERT_TRUE(Append(Read().position, Payload("CV A")).ok());
  const Status slower = Append(mine.position, Payload("CV B"));
  EXPECT_EQ(slower.code(), Code::kDiverged) << slower.ToString();
  EXPECT_THAT(slower.message(), HasSubstr("paket/1"));
  EXPECT_EQ(Read().version.stored.record.vendor, "CV A");
  EXPECT_TRUE(Append(mine.position, Payload("CV A")).ok()) << "our own repetition";
  EXPECT_EQ(Read().version.index, 1U);
}

// Import and `manual entered` count alike, also after an append that leaves the record as it is.
TEST_F(ManualLog, AttachmentsAloneDoNotFreezeTheRecord) {
  const std::string item = "document/~" + std::string(64, 'a');
  ASSERT_TRUE(Append(Read().position, Payload("CV A")).ok());
  const ManualPlace before = Read();
  for (int run = 0; run < 3; ++run) {
    ASSERT_TRUE(Append(Read().position, item, std::to_string(run)).ok());
  }
  EXPECT_EQ(Append(before.position, Payload("CV A")).code(), Code::kOk) << "it is there";
  EXPECT_EQ(Append(before.position, item, "9").code(), Code::kDiverged);
  EXPECT_TRUE(Append(Read().position, Payload("CV B")).ok());
  EXPECT_EQ(Read().version.stored.record.vendor, "CV B");
  EXPECT_EQ(
      ReadLatest(&follower_, {key_.first, item}, client::Deadline::After(kPatience))->payload(),
      "2");
}

TEST_F(ManualLog, WhatCannotBeReadStopsNobodyElse) {
  ASSERT_TRUE(Append(Read().position, Payload("CV A")).ok());
  ASSERT_TRUE(Append(Read().position, "manual/BAD", "no record").ok());
  const auto node = follower_.Get(client::Deadline::After(kPatience));
  ASSERT_TRUE(node.ok());
  const Result<ManualVersions> all = ReadManuals(node->get(), "tebo");
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_EQ(all->at(key_).stored.record.vendor, "CV A");
  EXPECT_FALSE(all->at({"paket/1", "manual/BAD"}).odd.ok());
  EXPECT_THAT(ManualWarnings(*all), ElementsAre(HasSubstr("item manual/BAD of package paket/1")));
  const Result<ManualPlace> odd = ReadManual(&follower_, {"paket/1", "manual/BAD"}, kPatience);
  EXPECT_EQ(odd.status().code(), Code::kCorrupt);
  EXPECT_THAT(odd.status().message(), HasSubstr("manual/BAD"));
}

class ManualAttachments : public ::testing::Test {
 protected:
  ManualAttachments() {
    if (::mkdtemp(folder_.data()) == nullptr) std::abort();
    std::filesystem::create_directories(folder_ + "/csv/scan");
    for (const char* file : {"/secret", "/csv/ba.pdf", "/csv/scan/spk.pdf"}) {
      std::ofstream(folder_ + file) << file;
    }
    std::filesystem::create_symlink(folder_ + "/secret", folder_ + "/csv/link.pdf");
    std::filesystem::create_directory_symlink(folder_, folder_ + "/csv/up");
  }
  ~ManualAttachments() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  Result<PreparedManual> Prepare(const std::string& attachment) const {
    import::ManualRecord record;
    record.package = "paket/1";
    record.contract_number = "027/SPK";
    record.attachments = {attachment};
    return PrepareManual(record, folder_ + "/csv");
  }

  std::string folder_ = ::testing::TempDir() + "kembar_manual_XXXXXX";
};

TEST_F(ManualAttachments, BesideTheFileOrBelow) {
  for (const char* name : {"ba.pdf", "./ba.pdf", "scan/spk.pdf", "scan//spk.pdf"}) {
    const Result<PreparedManual> prepared = Prepare(name);
    ASSERT_TRUE(prepared.ok()) << prepared.status().ToString();
    EXPECT_EQ(prepared->stored.attachments.at(0).name, name);
    EXPECT_THAT(prepared->documents.at(0).path, ::testing::StartsWith("manual/paket/1/027%2FSPK/"));
    EXPECT_GT(prepared->documents.at(0).size, 0U);
  }
}

TEST_F(ManualAttachments, NothingElseOfTheMachine) {
  for (const std::string& name :
       {std::string("link.pdf"), std::string("up/secret"), std::string("../secret"),
        folder_ + "/csv/ba.pdf", std::string("scan"), std::string("nowhere.pdf"),
        std::string(".")}) {
    const Result<PreparedManual> prepared = Prepare(name);
    EXPECT_EQ(prepared.status().code(), Code::kInvalid) << name;
    EXPECT_THAT(prepared.status().message(), HasSubstr("\"attachments\": " + name));
  }
  EXPECT_THAT(Prepare("link.pdf").status().message(), HasSubstr("symbolic links"));
}

}  // namespace
}  // namespace kembar::ctl
