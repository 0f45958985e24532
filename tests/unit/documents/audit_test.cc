// audit_test.cc — the log beside the living directory: what differs is named, what is on its way is
// not, and the source records anew what an audit found.
#include "tools/documents/audit.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include "tests/unit/documents/source_case.h"
#include "tools/documents/content.h"
#include "tools/documents/plan.h"

namespace kembar::documents {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Kind = AuditTrouble::Kind;

// Other bytes of the same length; size, mode and time are as before.
void ChangeUnseen(const fs::path& path) {
  struct stat before;
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  std::ofstream(path, std::ios::binary) << std::string(static_cast<size_t>(before.st_size), '!');
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

class AuditTest : public SourceCase {
 protected:
  AuditTest() { audit_.settle_ns = 0; }

  // As if it had been recorded as it is now.
  void Record(const std::string& path) {
    PlacedDocument& placed = log_.emplace_back();
    placed.package = "paket/7";
    placed.index = ++index_;
    const Result<Tree> tree = Tree::Open(root_.string());
    const Result<Fd> fd = tree->OpenFile(path);
    ASSERT_TRUE(fd.ok());
    const auto nothing = [](const Digest&, const std::string&) { return Status::Ok(); };
    ASSERT_TRUE(ReadContent(fd->get(), nothing, &placed.document).ok());
    placed.document.path = path;
  }
  void WriteAndRecord(const std::string& path, const std::string& content) {
    Write(path, content);
    Record(path);
  }
  // `meanwhile` is called before the log is read the second time.
  AuditReport Audit(const std::function<void()>& meanwhile = nullptr) {
    const Result<Tree> tree = Tree::Open(root_.string());
    const auto list = [&]() -> Result<std::vector<PlacedDocument>> {
      if (++lists_ == 2 && meanwhile) meanwhile();
      std::sort(log_.begin(), log_.end(), [](const PlacedDocument& a, const PlacedDocument& b) {
        return a.document.path < b.document.path;
      });
      return log_;
    };
    Result<AuditReport> report = AuditDocuments(*tree, list, audit_, nullptr, {});
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return *std::move(report);
  }
  static std::vector<std::string> Told(const AuditReport& report) {
    std::vector<std::string> told;
    for (const AuditTrouble& trouble : report.troubles) {
      told.push_back(trouble.package + " " + trouble.path + ": " + trouble.what);
    }
    return told;
  }

  AuditOptions audit_;
  std::vector<PlacedDocument> log_;
  uint64_t index_ = 0;
  int lists_ = 0;
};

TEST_F(AuditTest, EqualIsToldAtOnce) {
  WriteAndRecord("a", "1");
  WriteAndRecord("b/empty", "");
  WriteAndRecord("b/large", std::string(kChunkBytes + 1, 'x'));
  Write(".kembar-canary", "own");
  const AuditReport report = Audit();
  EXPECT_EQ(report.files, 3U);
  EXPECT_EQ(report.unsettled, 0U);
  EXPECT_TRUE(report.equal());
  EXPECT_EQ(lists_, 1);
}

TEST_F(AuditTest, EveryKindOfDifferenceIsNamed) {
  for (const char* path : {"bytes", "gone", "longer", "mode", "same", "time"}) {
    WriteAndRecord(path, "123");
  }
  ChangeUnseen(root_ / "bytes");
  fs::remove(root_ / "gone");
  Write("longer", "1234");
  chmod((root_ / "mode").c_str(), 0600);
  fs::last_write_time(root_ / "time", fs::file_time_type::clock::now() - std::chrono::hours(1));
  Write("new", "1");
  const AuditReport report = Audit();
  EXPECT_THAT(Told(report), ElementsAre("paket/7 bytes: content", "paket/7 gone: extra",
                                        "paket/7 longer: size, time", "paket/7 mode: mode",
                                        "paket/7 time: time", "- new: missing"));
  EXPECT_EQ(report.files, 6U);
  EXPECT_EQ(report.Count(Kind::kDiffering), 4U);
  EXPECT_EQ(report.Count(Kind::kExtra), 1U);
  EXPECT_EQ(report.Count(Kind::kMissing), 1U);
}

TEST_F(AuditTest, WhatTheCaptureDealtWithMeanwhileIsNotJudged) {
  WriteAndRecord("changed again", "1");
  WriteAndRecord("deleted in the log", "1");
  WriteAndRecord("differs still", "1");
  WriteAndRecord("recorded anew", "1");
  for (const PlacedDocument& placed : log_) ChangeUnseen(root_ / placed.document.path);
  Write("new", "1");
  fs::remove(root_ / "deleted in the log");
  const AuditReport report = Audit([this] {
    ChangeUnseen(root_ / "changed again");
    std::erase_if(log_, [](const PlacedDocument& placed) {
      return placed.document.path == "deleted in the log" ||
             placed.document.path == "recorded anew";
    });
    Record("recorded anew");
    Record("new");
  });
  EXPECT_THAT(Told(report), ElementsAre("paket/7 differs still: content"));
  EXPECT_EQ(report.unsettled, 4U);
}

TEST_F(AuditTest, WhatChangedJustBeforeIsNotJudged) {
  audit_.settle_ns = 200 * kMsNs;
  WriteAndRecord("a", "1");
  ChangeUnseen(root_ / "a");
  const AuditReport soon = Audit();
  EXPECT_EQ(soon.unsettled, 1U);
  EXPECT_TRUE(soon.equal());
  // By now it has rested for longer.
  EXPECT_THAT(Told(Audit()), ElementsAre("paket/7 a: content"));
}

TEST_F(AuditTest, WhatIsLeftOutOrUnreadable) {
  WriteAndRecord("skipped/a", "1");
  WriteAndRecord("skipped/b", "1");
  fs::remove(root_ / "skipped/b");
  ChangeUnseen(root_ / "skipped/a");
  audit_.skip = [](const std::string& path) {
    return path == "skipped" || IsBelow(path, "skipped");
  };
  EXPECT_TRUE(Audit().equal());
  // Too deep to be looked at, whoever we are.
  std::string deep = "d";
  for (int i = 0; i < 200; ++i) deep += "/d";
  fs::create_directories(root_ / deep);
  PlacedDocument& placed = log_.emplace_back();
  placed.package = "paket/7";
  placed.index = ++index_;
  placed.document.path = deep + "/x";
  const AuditReport report = Audit();
  ASSERT_THAT(report.troubles, SizeIs(2)) << "the document and the directory";
  EXPECT_EQ(report.troubles[0].what, kCannotBeRead);
  EXPECT_EQ(report.Count(Kind::kDiffering), 2U);
}

TEST_F(AuditTest, APathTooLongForARecordIsToldByAShorterName) {
  MakeTooLongPaths(root_);
  const AuditReport report = Audit();
  EXPECT_EQ(report.Count(Kind::kDiffering), 2U);
  EXPECT_THAT(EncodeAudit(report, 100), HasSubstr(kCannotBeRead));
}

TEST_F(AuditTest, StopsWhileItWaitsForItsLimit) {
  audit_.bytes_per_s = 1;
  WriteAndRecord("a", std::string(1000, 'a'));
  WriteAndRecord("b", std::string(1000, 'b'));
  const Result<Tree> tree = Tree::Open(root_.string());
  std::atomic<bool> begun = false;
  const auto list = [&]() -> Result<std::vector<PlacedDocument>> { return log_; };
  const auto progress = [&](uint64_t, uint64_t) { begun = true; };
  Status status;
  std::jthread thread([&](const std::stop_token& stop) {
    status = AuditDocuments(*tree, list, audit_, progress, stop).status();
  });
  ASSERT_TRUE(WaitUntil([&] { return begun.load(); }));
  thread.request_stop();
  thread.join();
  EXPECT_EQ(status.code(), Code::kCancelled) << status.ToString();
}

TEST(EncodeAuditTest, CountsAndTheFirstTroubles) {
  AuditReport report;
  report.time_us = 1'795'539'600'000'000;
  report.files = 3;
  report.unsettled = 1;
  report.troubles = {{Kind::kDiffering, "paket/7", "a b\xff", "content, mode"},
                     {Kind::kExtra, "-", "x", "extra"}};
  EXPECT_EQ(EncodeAudit(report, 1),
            R"({"time":"2026-11-24T17:00:00Z","files":{"files":3,"equal":false,"missing":0,)"
            R"("extra":1,"differing":1,"unsettled":1,"troubles":[)"
            R"({"package":"paket/7","path":"a%20b%FF","what":"content, mode"}]}})");
  EXPECT_THAT(EncodeAudit({}, 1), HasSubstr("\"equal\":true"));
}

class SourceAuditTest : public SourceCase {
 protected:
  std::vector<std::string> Audits() const { return node_.Versions("-", "audit/documents/uji"); }
  // The last audit was equal, and it was not the first.
  bool Repaired() {
    return WaitUntil([&] {
      const auto audits = Audits();
      return audits.size() > 1 && audits.back().find("\"equal\":true") != std::string::npos;
    });
  }
};

TEST_F(SourceAuditTest, WhatChangedUnseenIsToldAndRecordedAnew) {
  Write("paket/7/a.rhs", "isi");
  Write("paket/7/b.rhs", "isi");
  Start();
  ASSERT_TRUE(CaughtUp(2));
  ChangeUnseen(root_ / "paket/7/a.rhs");
  // Once it has rested, it is told; until then it may count as unsettled.
  ASSERT_TRUE(WaitUntil([&] {
    source_->AskAudit();
    return source_->status().audit_repaired == 1;
  }));
  ASSERT_TRUE(Repaired());
  EXPECT_EQ(source_->status().audit_differences, 0U);
  EXPECT_GT(source_->status().audit_us, 0);
  EXPECT_THAT(node_.Versions("paket/7", "document/paket/7/a.rhs"), SizeIs(2));
  EXPECT_THAT(node_.Versions("paket/7", "document/paket/7/b.rhs"), SizeIs(1));
  EXPECT_THAT(Audits(), ::testing::Contains(HasSubstr(
                            R"("differing":1,"unsettled":0,"troubles":[{"package":"paket/7",)"
                            R"("path":"paket/7/a.rhs","what":"content"}])")));
}

TEST_F(SourceAuditTest, WhatTheLogHasLostOrInventedIsPutRight) {
  for (const char* path : {"paket/7/a", "paket/7/b", "paket/7/c"}) Write(path, "1");
  Start();
  ASSERT_TRUE(CaughtUp(3));
  // Behind the back of the source, which has no reason to look.
  node_.Remove("paket/7", "document/paket/7/a");
  Document invented;
  invented.path = "paket/8/x";
  invented.source = "documents/uji";
  node_.Put("paket/8", ItemOf(invented), EncodeDocument(invented));
  source_->AskAudit();
  ASSERT_TRUE(Repaired());
  EXPECT_THAT(Audits().front(), HasSubstr("\"missing\":1,\"extra\":1,\"differing\":0"));
  EXPECT_THAT(Audits().front(), HasSubstr(R"({"package":"paket/7","path":"paket/7/a")"));
  const auto living = node_.Living();
  EXPECT_TRUE(living.contains("paket/7 document/paket/7/a"));
  EXPECT_FALSE(living.contains("paket/8 document/paket/8/x"));
}

TEST_F(SourceAuditTest, OthersDocumentsAreLeftAlone) {
  Document document;
  document.path = "manual/x/ba.pdf";
  document.source = "import/manual";
  node_.Put("paket/1", ItemOf(document), EncodeDocument(document));
  Write("a", "1");
  Start();
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("- document/a"); }));
  source_->AskAudit();
  ASSERT_TRUE(WaitUntil([&] { return !Audits().empty(); }));
  EXPECT_THAT(Audits().front(), HasSubstr("\"files\":1,\"equal\":true"));
}

TEST_F(SourceAuditTest, RecordingGoesOnAndStoppingIsPrompt) {
  options_.audit_limit = 1;
  Write("a", std::string(1000, 'a'));
  Write("b", std::string(1000, 'b'));
  Start();
  ASSERT_TRUE(CaughtUp(2));
  source_->AskAudit();
  ASSERT_TRUE(WaitUntil([&] { return source_->status().auditing; }));
  Write("c", "1");
  ASSERT_TRUE(CaughtUp(3));
  EXPECT_TRUE(source_->status().auditing);
  const auto begun = std::chrono::steady_clock::now();
  Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
  EXPECT_THAT(Audits(), IsEmpty());
}

TEST_F(SourceAuditTest, ByPeriod) {
  options_.audit_every_s = 1;
  Write("a", "1");
  Start();
  ASSERT_TRUE(WaitUntil([&] { return Audits().size() > 1; }));
  EXPECT_THAT(Audits().back(), HasSubstr("\"files\":1,\"equal\":true"));
}

}  // namespace
}  // namespace kembar::documents
