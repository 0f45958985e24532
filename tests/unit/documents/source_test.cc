// source_test.cc — a real directory into a node in memory and back: recorded once, moved without
// its content, deleted only when it is meant, restored equal.
#include "tools/documents/source.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>

#include "tests/unit/documents/fake_node.h"
#include "tests/unit/documents/source_case.h"
#include "tools/documents/fetch.h"

namespace kembar::documents {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using testing::FakeNode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::SizeIs;

class SourceTest : public SourceCase {};

TEST_F(SourceTest, RecordsWhatIsThereAndWhatComes) {
  Write("paket/7/a.rhs", "isi");
  Write("lain/\xff", "");
  fs::create_symlink("/etc/passwd", root_ / "link");
  Start();
  ASSERT_TRUE(CaughtUp(2));
  EXPECT_THAT(node_.Living(), Contains(Key("paket/7 document/paket/7/a.rhs")));
  EXPECT_THAT(node_.Living(), Contains(Key("- document/lain/%FF")));
  Write("paket/8/deep/er/b", "x");
  ASSERT_TRUE(CaughtUp(3));
  EXPECT_THAT(node_.Living(), Contains(Key("paket/8 document/paket/8/deep/er/b")));
  EXPECT_EQ(source_->status().symlinks, 1U);
  fs::remove(root_ / "paket/7/a.rhs");
  ASSERT_TRUE(CaughtUp(2));
}

TEST_F(SourceTest, AMovedDirectoryMovesNoContent) {
  for (int i = 0; i < 5; ++i)
    Write("paket/7/" + std::to_string(i), std::string(50'000, char('a' + i)));
  Start();
  ASSERT_TRUE(CaughtUp(5));
  const uint64_t before = node_.bytes_put();
  fs::rename(root_ / "paket/7", root_ / "paket/9");
  ASSERT_TRUE(WaitUntil([&] {
    return node_.Living().contains("paket/9 document/paket/9/4") && node_.Living().size() == 5;
  }));
  Write("paket/9/copy", std::string(50'000, 'a'));
  ASSERT_TRUE(CaughtUp(6));
  EXPECT_EQ(node_.bytes_put(), before);
}

TEST_F(SourceTest, ChangesOfModeAndContentAreVersions) {
  Write("a", "1");
  chmod((root_ / "a").c_str(), 0640);
  Start();
  ASSERT_TRUE(CaughtUp(1));
  chmod((root_ / "a").c_str(), 0600);
  ASSERT_TRUE(WaitUntil(
      [&] { return node_.Living()["- document/a"].find("\"0600\"") != std::string::npos; }));
  Write("a", "22");
  ASSERT_TRUE(WaitUntil(
      [&] { return node_.Living()["- document/a"].find("\"size\":2") != std::string::npos; }));
}

TEST_F(SourceTest, AfterARestartNothingIsRecordedAgain) {
  for (int i = 0; i < 300; ++i) Write("d/" + std::to_string(i), std::to_string(i));
  Start();
  ASSERT_TRUE(CaughtUp(300));
  Stop();
  const uint64_t records = node_.records();
  EXPECT_EQ(records, 300U);
  fs::remove(root_ / "d/7");
  Write("d/8", "changed while the agent was away");
  Start();
  ASSERT_TRUE(CaughtUp(299));
  EXPECT_EQ(node_.records(), records + 2);
}

TEST_F(SourceTest, APositionThatIsTakenMakesItLookAgain) {
  Write("a", "1");
  Start();
  ASSERT_TRUE(CaughtUp(1));
  node_.TakePosition("documents/uji");
  Write("b", "1");
  ASSERT_TRUE(CaughtUp(2));
  EXPECT_EQ(node_.records(), 2U);
}

TEST_F(SourceTest, ManyDeletionsAreHeldUntilConfirmed) {
  options_.mass_delete_min = 10;
  for (int i = 0; i < 40; ++i) Write("d/" + std::to_string(i), std::to_string(i));
  Start();
  ASSERT_TRUE(CaughtUp(40));
  for (int i = 0; i < 20; ++i) fs::remove(root_ / "d" / std::to_string(i));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held_deletions == 20; }));
  EXPECT_THAT(source_->status().held, HasSubstr(kConfirmFile));
  for (int i = 0; i < 30; ++i) Write("new/" + std::to_string(i), "1");
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().size() == 70; })) << "recorded meanwhile";
  // However much is new: it does not make up for what is held.
  Write("later", "1");
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("- document/later"); }));
  EXPECT_THAT(node_.Living(), SizeIs(71));
  EXPECT_EQ(source_->status().held_deletions, 20U);
  Write(kConfirmFile, "");
  ASSERT_TRUE(CaughtUp(51));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held.empty(); }));
  EXPECT_FALSE(fs::exists(root_ / kConfirmFile));
}

TEST_F(SourceTest, HeldDeletionsStayHeldAfterAReconciliation) {
  options_.mass_delete_min = 10;
  for (int i = 0; i < 40; ++i) Write("d/" + std::to_string(i), std::to_string(i));
  Start();
  ASSERT_TRUE(CaughtUp(40));
  for (int i = 0; i < 6; ++i) fs::remove(root_ / "d" / std::to_string(i));
  ASSERT_TRUE(CaughtUp(34));
  for (int i = 6; i < 12; ++i) fs::remove(root_ / "d" / std::to_string(i));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held_deletions == 6; }));
  const uint64_t before = source_->status().reconciliations;
  fs::rename(root_, base_ / "away");
  fs::rename(base_ / "away", root_);
  ASSERT_TRUE(WaitUntil([&] { return source_->status().reconciliations > before; }));
  Write("new", "1");
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("- document/new"); }));
  EXPECT_EQ(source_->status().held_deletions, 6U);
  EXPECT_THAT(node_.Living(), SizeIs(35));
  for (int i = 6; i < 12; ++i) Write("d/" + std::to_string(i), std::to_string(i));
  ASSERT_TRUE(CaughtUp(35));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held.empty(); })) << "they are back";
}

TEST_F(SourceTest, AConfirmationCountsOnce) {
  Write("a", "1");
  Write("b", "1");
  Start();
  ASSERT_TRUE(CaughtUp(2));
  // With nothing to confirm it is gone, too: it would let the next loss pass.
  Write(kConfirmFile, "");
  ASSERT_TRUE(WaitUntil([&] { return !fs::exists(root_ / kConfirmFile); }));
  fs::copy(root_, base_ / "other");
  std::ofstream(base_ / "other" / kConfirmFile) << "";
  fs::rename(root_, base_ / "away");
  fs::rename(base_ / "other", root_);
  ASSERT_TRUE(WaitUntil([&] { return !fs::exists(root_ / kConfirmFile); }));
  ASSERT_TRUE(CaughtUp(2));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held.empty(); }));
  fs::remove(root_ / "a");
  fs::remove(root_ / "b");
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held_deletions == 2; }));
}

TEST_F(SourceTest, AnotherDirectoryInItsPlaceIsNotBelieved) {
  Write("a", "1");
  Write("b", "1");
  Start();
  ASSERT_TRUE(CaughtUp(2));
  fs::rename(root_, base_ / "away");
  ASSERT_TRUE(WaitUntil([&] { return !source_->status().trouble.empty(); }));
  fs::create_directory(root_);
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held_deletions == 2; }));
  EXPECT_THAT(source_->status().held, HasSubstr("another directory"));
  Write("new", "1");
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("- document/new"); }));
  EXPECT_THAT(node_.Living(), SizeIs(3)) << "what is new is recorded, and nothing deleted";
  fs::remove_all(root_);
  fs::rename(base_ / "away", root_);
  Write("c", "1");
  ASSERT_TRUE(WaitUntil([&] { return !node_.Living().contains("- document/new"); }));
  ASSERT_TRUE(CaughtUp(3)) << "the right one is back";
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held.empty(); }));
}

TEST_F(SourceTest, AnEmptyDirectoryAtTheStartIsNotBelieved) {
  options_.canary_every_s = 3'600;
  Write("a", "1");
  Start();
  ASSERT_TRUE(CaughtUp(2));
  EXPECT_GT(source_->status().canary_us, 0);
  Stop();
  fs::rename(root_, base_ / "away");
  fs::create_directory(root_);
  Write("other", "1");
  Start();
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held_deletions == 2; }));
  EXPECT_FALSE(fs::exists(root_ / kCanaryFile));
  EXPECT_THAT(source_->status().held, HasSubstr("canary"));
  // The right one is mounted late: the log knows its canary.
  fs::remove_all(root_);
  fs::rename(base_ / "away", root_);
  Write("c", "1");
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("- document/c"); }));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held.empty(); }));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().trouble.empty(); }));
}

TEST_F(SourceTest, ARecordThatCannotBeReadStopsNothing) {
  node_.Put("paket/1", "document/x", "{broken");
  Write("a", "1");
  Start();
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("- document/a"); }));
  EXPECT_EQ(source_->status().unreadable_records, 1U);
  EXPECT_THAT(node_.Living(), SizeIs(2)) << "and it is left alone";
}

class StaleTreeTest : public SourceTest {
 protected:
  // The tree as it was an hour ago, beside a log that went on.
  void StartOnAnOldTree() {
    options_.canary_every_s = 3'600;
    Write("a", "1");
    Start();
    ASSERT_TRUE(CaughtUp(2));
    Stop();
    known_time_ = fs::last_write_time(root_ / kCanaryFile);
    fs::last_write_time(root_ / kCanaryFile, known_time_ - std::chrono::hours(1));
    Write("a", "of old");
    records_ = node_.records();
    Start();
    ASSERT_TRUE(WaitUntil([&] { return source_->status().needs_operator; }));
    EXPECT_THAT(source_->status().trouble, HasSubstr("newer canary"));
    EXPECT_EQ(node_.records(), records_);
  }

  fs::file_time_type known_time_;
  uint64_t records_ = 0;
};

TEST_F(StaleTreeTest, NothingIsRecordedUntilItIsConfirmed) {
  StartOnAnOldTree();
  Write(kConfirmFile, "");
  ASSERT_TRUE(CaughtUp(2));
  EXPECT_GT(node_.records(), records_);
  EXPECT_FALSE(source_->status().needs_operator);
  ASSERT_TRUE(WaitUntil([&] { return !fs::exists(root_ / kConfirmFile); }));
}

TEST_F(StaleTreeTest, NothingIsRecordedUntilTheNewestTreeIsBack) {
  StartOnAnOldTree();
  fs::last_write_time(root_ / kCanaryFile, known_time_);
  ASSERT_TRUE(CaughtUp(2));
  EXPECT_FALSE(source_->status().needs_operator);
}

TEST_F(StaleTreeTest, AnOldCopyThatTakesItsPlaceIsRefusedToo) {
  options_.canary_every_s = 3'600;
  Write("a", "1");
  Start();
  ASSERT_TRUE(CaughtUp(2));
  fs::create_directory(base_ / "copy");
  std::ofstream(base_ / "copy/a") << "of old";
  std::ofstream(base_ / "copy" / kCanaryFile) << "of old";
  fs::last_write_time(base_ / "copy" / kCanaryFile,
                      fs::file_time_type::clock::now() - std::chrono::hours(1));
  fs::rename(root_, base_ / "away");
  fs::rename(base_ / "copy", root_);
  ASSERT_TRUE(WaitUntil([&] { return source_->status().needs_operator; }));
  EXPECT_EQ(node_.records(), 2U);
}

TEST_F(SourceTest, WithoutEventsItIsToldAndTriedAgain) {
  Write("a", "1");
  std::atomic<bool> exhausted = true;
  prepare_ = [&exhausted](DocumentsSource* source) {
    source->make_watcher = [&exhausted]() -> Result<std::unique_ptr<Watcher>> {
      if (exhausted) return Status(Code::kIo, "inotify: none left");
      return Watcher::Make();
    };
  };
  Start();
  ASSERT_TRUE(WaitUntil([&] { return source_->status().state == "waiting"; }));
  EXPECT_THAT(source_->status().trouble, HasSubstr("none left"));
  EXPECT_GT(source_->status().started_us, 0);
  exhausted = false;
  ASSERT_TRUE(CaughtUp(1));
  Stop();
  EXPECT_EQ(source_->status().state, "stopped");
}

TEST_F(SourceTest, ABacklogKeepsNothingWaitingThatComes) {
  options_.settle_ms = 0;
  for (int i = 0; i < 1'000; ++i) Write("d/" + std::to_string(i), std::to_string(i));
  std::mutex mutex;
  std::vector<std::set<std::string>> appends;
  node_.OnAppend([&](const v1::AppendRequest& request) {
    const std::lock_guard lock(mutex);
    auto& items = appends.emplace_back();
    for (const v1::Draft& draft : request.drafts()) items.insert(draft.item());
    if (appends.size() == 1) Write("today", "1");
  });
  Start();
  ASSERT_TRUE(CaughtUp(1'001));
  const std::lock_guard lock(mutex);
  ASSERT_GT(appends.size(), 3U);
  EXPECT_THAT(appends[1], Contains("document/today"));
  EXPECT_THAT(appends[1], SizeIs(256)) << "and the backlog goes on";
}

TEST_F(SourceTest, ReconciliationsDoNotPutDeletionsOff) {
  options_.settle_ms = 1'500;
  options_.reconcile_every_s = 1;
  Write("a", "1");
  Write("b", "1");
  Start();
  ASSERT_TRUE(CaughtUp(2));
  fs::remove(root_ / "a");
  ASSERT_TRUE(CaughtUp(1));
}

TEST_F(SourceTest, APathTooLongForARecordIsToldAndLeftOut) {
  Write("a", "1");
  const std::string longest = MakeTooLongPaths(root_);
  Start();
  ASSERT_TRUE(CaughtUp(1));
  EXPECT_EQ(source_->status().unreadable, 2U);
  // One comes while its directory is watched.
  const Result<Tree> tree = Tree::Open(root_.string());
  const Result<Fd> directory = tree->OpenDirectory(longest);
  ASSERT_TRUE(directory.ok());
  const std::string name(210, 'm');
  ASSERT_TRUE(
      Fd(openat(directory->get(), name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)).ok());
  Write("b", "1");
  ASSERT_TRUE(CaughtUp(2));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().unreadable == 3; }));
}

// Only root may mount.
class MountTest : public SourceTest {
 protected:
  ~MountTest() override {
    Stop();
    for (const fs::path& path : mounted_) umount2(path.c_str(), MNT_DETACH);
  }
  bool Mount(const fs::path& what, const fs::path& path, const char* type, unsigned long flags) {
    if (mount(what.c_str(), path.c_str(), type, flags, nullptr) != 0) return false;
    mounted_.push_back(path);
    return true;
  }

  std::vector<fs::path> mounted_;
};

TEST_F(MountTest, TheRightDirectoryMountedLateIsAccepted) {
  options_.canary_every_s = 3'600;
  options_.references_every_s = 1;
  const fs::path disk = base_ / "disk";
  fs::create_directory(disk);
  if (!Mount(disk, root_, nullptr, MS_BIND)) GTEST_SKIP() << "may not mount";
  Write("a", "1");
  Start();
  ASSERT_TRUE(CaughtUp(2));
  Stop();
  ASSERT_EQ(umount(root_.c_str()), 0);
  Start();
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held_deletions == 2; }));
  std::ofstream(disk / "new") << "1";
  ASSERT_TRUE(Mount(disk, root_, nullptr, MS_BIND));
  ASSERT_TRUE(CaughtUp(3));
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held.empty(); }));
}

TEST_F(MountTest, WhatWasUnmountedBelowTheRootIsNotDeleted) {
  fs::create_directory(root_ / "arsip");
  if (!Mount("kembar", root_ / "arsip", "tmpfs", 0)) GTEST_SKIP() << "may not mount";
  for (const char* path : {"a", "b", "arsip/c"}) Write(path, "1");
  Start();
  ASSERT_TRUE(CaughtUp(3));
  ASSERT_EQ(umount((root_ / "arsip").c_str()), 0);
  ASSERT_TRUE(WaitUntil([&] { return source_->status().held_deletions == 1; }));
  EXPECT_THAT(source_->status().held, HasSubstr("arsip is not mounted"));
  Write(kConfirmFile, "");
  ASSERT_TRUE(CaughtUp(2));
}

TEST_F(SourceTest, AFileThatGrowsIsRecordedWhenItRests) {
  options_.settle_ms = 300;
  Start();
  ASSERT_TRUE(CaughtUp(0));
  std::ofstream out(root_ / "big", std::ios::binary);
  for (int i = 0; i < 20; ++i) {
    out << std::string(10'000, 'x') << std::flush;
    int turns = 0;
    WaitUntil([&turns] { return ++turns > 5; });
    EXPECT_THAT(node_.Living(), IsEmpty());
  }
  out.close();
  ASSERT_TRUE(CaughtUp(1));
  EXPECT_EQ(node_.records(), 1U);
}

TEST_F(SourceTest, ReferencesPlaceWhatNoPatternDoes) {
  node_.Put("paket/5", "reference/lain/x", "{}");
  Write("lain/x", "1");
  Start();
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("paket/5 document/lain/x"); }));
}

TEST_F(SourceTest, RowsSayWhichDocumentsTheyReferTo) {
  mapping_ = "[[document_column]]\ntable = \"public.dokumen\"\ncolumn = \"path\"\n";
  options_.references_every_s = 1;
  const std::string table =
      "{\"schema\":\"public\",\"table\":\"dokumen\",\"columns\":[],"
      "\"key\":[\"id\"]}";
  const auto row = [](const std::string& id, const std::string& path) {
    return "{\"id\":\"" + id + "\",\"path\":\"" + path + "\"}";
  };
  node_.Put("-", "table/public.dokumen", table);
  node_.Put("paket/5", "row/public.dokumen/1", row("1", "a"));
  node_.Put("paket/5", "row/public.dokumen/2", row("2", "a"));
  node_.Put("paket/5", "row/public.dokumen/3", row("3", "missing"));
  node_.Put("paket/9", "reference/ba.pdf", R"({"table":"manual","key":"1"})");
  Write("a", "1");
  Start();
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("paket/5 document/a"); }));
  EXPECT_THAT(node_.Living(), Contains(Key("paket/5 reference/a")));
  EXPECT_THAT(node_.Living(), Contains(Key("paket/5 reference/missing")));
  // The row moves to another package, and its document with it; another refers to nothing any more.
  node_.Put("paket/6", "row/public.dokumen/1", row("1", "a"));
  node_.Remove("paket/5", "row/public.dokumen/1");
  node_.Remove("paket/5", "row/public.dokumen/2");
  node_.Put("paket/5", "row/public.dokumen/3", row("3", ""));
  ASSERT_TRUE(WaitUntil([&] { return node_.Living().contains("paket/6 document/a"); }));
  EXPECT_FALSE(node_.Living().contains("paket/5 document/a"));
  // Taken back when they are not wanted in the next round either.
  ASSERT_TRUE(WaitUntil([&] { return !node_.Living().contains("paket/5 reference/a"); }));
  const auto living = node_.Living();
  EXPECT_FALSE(living.contains("paket/5 reference/missing"));
  EXPECT_TRUE(living.contains("paket/9 reference/ba.pdf")) << "of an import";
}

TEST_F(SourceTest, DocumentsOfOthersAreLeftAlone) {
  Document document;
  document.path = "manual/x/ba.pdf";
  document.source = "import/manual";
  node_.Put("paket/1", ItemOf(document), EncodeDocument(document));
  Start();
  ASSERT_TRUE(WaitUntil([&] { return source_->status().caught_up_us > 0; }));
  EXPECT_THAT(node_.Living(), SizeIs(1));
}

class RestoreTest : public SourceTest {
 protected:
  void Capture() {
    Write("paket/7/big", std::string(3 * kChunkBytes / 2, 'b') + std::string(kChunkBytes, 'c'));
    Write("paket/7/empty", "");
    Write("lain/\xff", "x");
    chmod((root_ / "lain/\xff").c_str(), 0444);
    Start();
    ASSERT_TRUE(CaughtUp(3));
    Stop();
  }
  Result<RestoreReport> Restore(Nodes nodes, bool overwrite = false) {
    Fetcher fetcher(std::move(nodes));
    auto list = List();
    if (!list.ok()) return list.status();
    return RestoreDocuments(&fetcher, *list, (base_ / "to").string(), overwrite,
                            [](uint64_t, uint64_t) {});
  }
  std::vector<FileFinding> Compare() {
    auto list = List();
    auto findings =
        CompareDocuments(*list, (base_ / "to").string(), true, [](uint64_t, uint64_t) {});
    EXPECT_TRUE(findings.ok());
    std::erase_if(*findings, [](const auto& f) { return f.state == FileState::kIdentical; });
    return *findings;
  }
};

TEST_F(RestoreTest, EqualAndRepeatable) {
  Capture();
  const Nodes nodes = {channels_.Get(node_.address())};
  const auto first = Restore(nodes);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(first->files, 3U);
  EXPECT_EQ(first->bytes, 5 * kChunkBytes / 2 + 1);
  EXPECT_THAT(Compare(), IsEmpty());
  const auto second = Restore(nodes);
  EXPECT_EQ(second->files, 0U);
  EXPECT_EQ(second->skipped, 3U);
  chmod((base_ / "to/paket/7/empty").c_str(), 0400);
  EXPECT_EQ(Compare().at(0).what, "mode");
  EXPECT_EQ(Restore(nodes, true)->skipped, 3U) << "and the mode is put right";
  EXPECT_THAT(Compare(), IsEmpty());
}

TEST_F(RestoreTest, NeverOverwritesUnlessTold) {
  Capture();
  const Nodes nodes = {channels_.Get(node_.address())};
  fs::create_directories(base_ / "to/paket/7");
  std::ofstream(base_ / "to/paket/7/empty") << "mine";
  std::ofstream(base_ / "to/extra") << "";
  fs::create_symlink(base_, base_ / "to/lain");
  const auto report = Restore(nodes);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->files, 1U);
  ASSERT_THAT(report->refused, SizeIs(2));
  EXPECT_FALSE(fs::exists(base_ / "\xff")) << "through a link";
  fs::remove(base_ / "to/lain");
  EXPECT_THAT(Restore(nodes, true)->refused, IsEmpty());
  const auto left = Compare();
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(left[0].path, "extra");
}

TEST_F(RestoreTest, AChunkIsHadFromWhicheverNodeHasIt) {
  Capture();
  FakeNode other;
  other.CopyChunksFrom(node_);
  const auto list = List();
  const auto big = std::find_if(list->begin(), list->end(), [](const PlacedDocument& placed) {
    return placed.document.path == "paket/7/big";
  });
  ASSERT_NE(big, list->end());
  ASSERT_THAT(big->document.chunks, SizeIs(3));
  node_.LoseChunk(big->document.chunks[0]);
  node_.DamageChunk(big->document.chunks[1]);
  other.LoseChunk(big->document.chunks[2]);
  const auto alone = Restore({channels_.Get(node_.address())});
  ASSERT_TRUE(alone.ok());
  ASSERT_THAT(alone->missing, SizeIs(1));
  EXPECT_EQ(alone->missing[0].package, "paket/7");
  EXPECT_FALSE(fs::exists(base_ / "to/paket/7/big")) << "nothing half-done under its name";
  const auto both = Restore({channels_.Get(node_.address()), channels_.Get(other.address())});
  ASSERT_TRUE(both.ok());
  EXPECT_THAT(both->missing, IsEmpty());
  EXPECT_THAT(Compare(), IsEmpty());
}

}  // namespace
}  // namespace kembar::documents
