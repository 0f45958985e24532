// tree_test.cc — reading a tree, its contents and its events, on a real directory; nothing outside
// of it is ever seen.
#include "tools/documents/tree.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/documents/source_case.h"
#include "tools/capture/path.h"
#include "tools/documents/content.h"
#include "tools/documents/fetch.h"
#include "tools/documents/watcher.h"

namespace kembar::documents {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class TreeTest : public ::testing::Test {
 protected:
  TreeTest() {
    char name[] = "/tmp/kembar-tree-XXXXXX";
    base_ = mkdtemp(name);
    root_ = base_ / "root";
    fs::create_directory(root_);
  }
  ~TreeTest() override {
    std::error_code error;
    fs::remove_all(base_, error);
  }

  void Write(const std::string& path, const std::string& content) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << content;
  }
  Tree OpenTree() const {
    Result<Tree> tree = Tree::Open(root_.string());
    EXPECT_TRUE(tree.ok()) << tree.status().ToString();
    return *std::move(tree);
  }
  static std::vector<std::string> PathsOf(const TreeScan& scan) {
    std::vector<std::string> paths;
    for (const auto& [path, facts] : scan.files) paths.push_back(path);
    return paths;
  }

  fs::path base_;
  fs::path root_;
};

TEST_F(TreeTest, FindsFilesAndLeavesOutTheRest) {
  Write("a", "1");
  Write("d/e/b", "22");
  Write("d/\xff\xfe", "");
  fs::create_hard_link(root_ / "a", root_ / "d/a2");
  fs::create_symlink("/etc", root_ / "out");
  fs::create_symlink("a", root_ / "link");
  ASSERT_EQ(mkfifo((root_ / "pipe").c_str(), 0600), 0);
  TreeScan scan;
  OpenTree().Scan("", {}, &scan);
  EXPECT_THAT(PathsOf(scan), UnorderedElementsAre("a", "d/e/b", "d/\xff\xfe", "d/a2"));
  EXPECT_EQ(scan.symlinks, 2U);
  EXPECT_EQ(scan.special, 1U);
  EXPECT_THAT(scan.unreadable, IsEmpty());
  EXPECT_EQ(scan.files["a"].inode, scan.files["d/a2"].inode);
  EXPECT_EQ(scan.files["d/e/b"].size, 2U);
}

TEST_F(TreeTest, NeverFollowsALinkInAnyPartOfAPath) {
  fs::create_directory(base_ / "outside");
  std::ofstream(base_ / "outside/secret") << "x";
  fs::create_symlink(base_ / "outside", root_ / "d");
  fs::create_symlink(base_ / "outside/secret", root_ / "f");
  const Tree tree = OpenTree();
  EXPECT_FALSE(tree.Stat("d/secret").ok());
  EXPECT_FALSE(tree.OpenFile("d/secret").ok());
  EXPECT_FALSE(tree.OpenDirectory("d").ok());
  EXPECT_EQ(tree.Stat("f").status().code(), Code::kInvalid);
  EXPECT_FALSE(tree.OpenFile("f").ok());
  TreeScan scan;
  tree.Scan("d", {}, &scan);
  EXPECT_THAT(scan.files, IsEmpty());
  EXPECT_THAT(scan.unreadable, IsEmpty());
}

TEST_F(TreeTest, TellsGoneFromUnreadable) {
  const Tree tree = OpenTree();
  EXPECT_EQ(tree.Stat("x").status().code(), Code::kNotFound);
  EXPECT_EQ(tree.Stat("x/y").status().code(), Code::kNotFound);
  Write("file", "");
  EXPECT_EQ(tree.Stat("file/y").status().code(), Code::kNotFound);
  EXPECT_FALSE(Tree::Open((root_ / "nowhere").string()).ok());
  EXPECT_FALSE(Tree::Open((root_ / "file").string()).ok());
}

TEST_F(TreeTest, SkipsWhatItIsTold) {
  Write("tmp/a", "");
  Write("b", "");
  TreeScan scan;
  std::vector<std::string> entered;
  OpenTree().Scan("",
                  {.skip = [](const std::string& path) { return path == "tmp"; },
                   .entered = [&](const std::string& path, int) { entered.push_back(path); }},
                  &scan);
  EXPECT_THAT(PathsOf(scan), ElementsAre("b"));
  EXPECT_THAT(entered, ElementsAre(""));
}

TEST_F(TreeTest, WhatNoRecordCanNameIsUnreadable) {
  const std::string longest = MakeTooLongPaths(root_);
  Write("a", "1");
  const Tree tree = OpenTree();
  TreeScan scan;
  tree.Scan("", {}, &scan);
  EXPECT_THAT(PathsOf(scan), ElementsAre("a"));
  ASSERT_THAT(scan.unreadable, SizeIs(2)) << "a file and a directory";
  for (const std::string& path : scan.unreadable) EXPECT_TRUE(capture::IsPlainPath(path)) << path;
  TreeScan below;
  tree.Scan(longest + "/" + std::string(200, 'l') + "d", {}, &below);
  ASSERT_THAT(below.unreadable, SizeIs(1));
  EXPECT_TRUE(capture::IsPlainPath(below.unreadable[0]));
}

TEST_F(TreeTest, ToldWhereAnotherFileSystemBegins) {
  const Result<Tree> tree = Tree::Open("/");
  ASSERT_TRUE(tree.ok());
  TreeScan scan;
  tree->Scan("", {.skip = [](const std::string& path) { return path != "proc"; }, .entered = {}},
             &scan);
  EXPECT_THAT(scan.mounts, ElementsAre("proc"));
}

Status ReadInto(const Tree& tree, const std::string& path, Document* document,
                std::vector<size_t>* sizes) {
  ASSIGN_OR_RETURN(const Fd fd, tree.OpenFile(path));
  return ReadContent(
      fd.get(),
      [sizes](const Digest& digest, const std::string& bytes) {
        EXPECT_EQ(digest, Sha256({bytes}));
        sizes->push_back(bytes.size());
        return Status::Ok();
      },
      document);
}

TEST_F(TreeTest, ContentInChunks) {
  const std::string big(2 * kChunkBytes + 5, 'x');
  Write("big", big);
  Write("whole", std::string(kChunkBytes, 'y'));
  Write("one", "1");
  Write("empty", "");
  const Tree tree = OpenTree();
  Document document;
  std::vector<size_t> sizes;
  ASSERT_TRUE(ReadInto(tree, "big", &document, &sizes).ok());
  EXPECT_THAT(sizes, ElementsAre(kChunkBytes, kChunkBytes, 5));
  EXPECT_EQ(document.sha256, Sha256({big}));
  EXPECT_EQ(document.size, big.size());
  EXPECT_EQ(document.chunks.size(), ChunkCount(document.size));
  sizes.clear();
  ASSERT_TRUE(ReadInto(tree, "whole", &document, &sizes).ok());
  EXPECT_THAT(sizes, ElementsAre(kChunkBytes));
  sizes.clear();
  ASSERT_TRUE(ReadInto(tree, "one", &document, &sizes).ok());
  EXPECT_THAT(sizes, ElementsAre(1));
  sizes.clear();
  ASSERT_TRUE(ReadInto(tree, "empty", &document, &sizes).ok());
  EXPECT_THAT(sizes, IsEmpty());
  EXPECT_EQ(document.sha256, Sha256({}));
}

TEST_F(TreeTest, AFileThatChangesWhileItIsReadIsNoticed) {
  Write("f", std::string(kChunkBytes + 1, 'x'));
  const Tree tree = OpenTree();
  const Result<Fd> fd = tree.OpenFile("f");
  ASSERT_TRUE(fd.ok());
  Document document;
  const Status status = ReadContent(
      fd->get(),
      [this](const Digest&, const std::string&) {
        std::ofstream(root_ / "f", std::ios::binary | std::ios::app) << "more";
        return Status::Ok();
      },
      &document);
  EXPECT_EQ(status.code(), Code::kUnavailable) << status.ToString();
}

TEST_F(TreeTest, KnowsWhoWrites) {
  Write("f", "x");
  const Tree tree = OpenTree();
  const Result<Fd> fd = tree.OpenFile("f");
  ASSERT_TRUE(fd.ok());
  EXPECT_FALSE(IsOpenForWriting(fd->get()));
  const Fd writer(open((root_ / "f").c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_TRUE(IsOpenForWriting(fd->get()));
}

// Watches the tree, does something, and gives the hints.
template <class Act>
Hints HintsOf(const Tree& tree, const Act& act) {
  Result<std::unique_ptr<Watcher>> watcher = Watcher::Make();
  EXPECT_TRUE(watcher.ok());
  TreeScan scan;
  tree.Scan("",
            {.skip = {},
             .entered = [&](const std::string& path, int fd) { (*watcher)->Watch(path, fd); }},
            &scan);
  act();
  Hints hints;
  (*watcher)->Wait(std::chrono::seconds(5), &hints);
  return hints;
}

TEST_F(TreeTest, WatcherTellsOfFiles) {
  Write("d/a", "1");
  Write("d/b", "1");
  const Tree tree = OpenTree();
  const Hints hints = HintsOf(tree, [this] {
    Write("d/a", "2");
    Write("new", "");
    fs::remove(root_ / "d/b");
  });
  EXPECT_THAT(hints.files, UnorderedElementsAre("d/a", "d/b", "new"));
  EXPECT_THAT(hints.directories, IsEmpty());
  EXPECT_FALSE(hints.lost);
}

TEST_F(TreeTest, WatcherTellsOfDirectories) {
  Write("d/e/a", "1");
  const Tree tree = OpenTree();
  const Hints hints = HintsOf(tree, [this] {
    fs::rename(root_ / "d/e", root_ / "f");
    Write("g/h/x", "");
    // Below a directory that was moved: told under no name of old.
    Write("f/late", "");
  });
  EXPECT_THAT(hints.directories, UnorderedElementsAre("d/e", "f", "g"));
  EXPECT_THAT(hints.files, Not(Contains("d/e/late")));
}

TEST_F(TreeTest, WatcherTellsThatTheRootIsGone) {
  const Tree tree = OpenTree();
  const Hints hints = HintsOf(tree, [this] { fs::rename(root_, base_ / "elsewhere"); });
  EXPECT_TRUE(hints.root_gone);
}

TEST(OwnFiles, AreKnownByName) {
  EXPECT_TRUE(IsOwnFile(".kembar-canary"));
  EXPECT_TRUE(IsOwnFile("a/b/.kembar-restore-1-2"));
  EXPECT_FALSE(IsOwnFile("a/.kembar-x/b"));
  EXPECT_FALSE(IsOwnFile("kembar-x"));
}

}  // namespace
}  // namespace kembar::documents
