// restore_test.cc — files that are restored beside others: what stands there is not replaced, what
// killed runs left is cleared away, and no success is told before everything is on disk.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "tests/unit/documents/fake_node.h"
#include "tools/documents/fetch.h"

namespace kembar::documents {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::FakeNode;
using ::testing::SizeIs;

// What the kernel is to say in place of what it would.
int g_syncfs_error = 0;
std::atomic<int> g_syncfs_calls{0};
bool g_knows_noreplace = true;

}  // namespace

// These take the place of the C library's, for a power cut cannot be had here, nor every file
// system.
extern "C" int syncfs(int fd) noexcept {
  ++g_syncfs_calls;
  if (g_syncfs_error == 0) return static_cast<int>(syscall(SYS_syncfs, fd));
  errno = g_syncfs_error;
  return -1;
}

extern "C" int renameat2(int from_fd, const char* from, int to_fd, const char* to,
                         unsigned flags) noexcept {
  if (g_knows_noreplace) {
    return static_cast<int>(syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
  }
  errno = EINVAL;
  return -1;
}

namespace {

// Does something while a chunk is on its way.
class BusyNode : public FakeNode {
 public:
  grpc::Status Get(grpc::ServerContext* context, const v1::GetRequest* request,
                   grpc::ServerWriter<v1::GetResponse>* writer) override {
    if (meanwhile) meanwhile();
    return FakeNode::Get(context, request, writer);
  }
  std::function<void()> meanwhile;  // set before anything is asked
};

class RestoreFilesTest : public ::testing::Test {
 protected:
  RestoreFilesTest() {
    char name[] = "/tmp/kembar-restore-XXXXXX";
    base_ = mkdtemp(name);
    g_syncfs_calls = 0;
  }
  ~RestoreFilesTest() override {
    g_syncfs_error = 0;
    g_knows_noreplace = true;
    std::error_code error;
    fs::remove_all(base_, error);
  }

  void Add(const std::string& path, const std::string& content, uint32_t mode = 0640) {
    Document document;
    document.path = path;
    document.size = content.size();
    document.mode = mode;
    document.mtime_ns = 1'500'000'000'123'456'789;
    document.sha256 = Sha256({content});
    document.chunks = {node_.AddChunk(content)};
    placed_.push_back({"paket/1", placed_.size() + 1, document});
  }
  Result<RestoreReport> Try(bool overwrite = false) {
    Fetcher fetcher({channels_.Get(node_.address())});
    return RestoreDocuments(&fetcher, placed_, (base_ / "to").string(), overwrite,
                            [](uint64_t, uint64_t) {});
  }
  RestoreReport Restore(bool overwrite = false) {
    const auto report = Try(overwrite);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *report : RestoreReport();
  }
  void Write(const std::string& path, const std::string& content) {
    fs::create_directories((base_ / "to" / path).parent_path());
    std::ofstream(base_ / "to" / path) << content;
  }
  std::string Read(const std::string& path) const {
    std::ifstream file(base_ / "to" / path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  uint32_t ModeOf(const std::string& path) const {
    struct stat facts {};
    EXPECT_EQ(stat((base_ / "to" / path).c_str(), &facts), 0);
    return facts.st_mode & 07777U;
  }
  std::vector<std::string> Names(const std::string& directory) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(base_ / "to" / directory)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  fs::path base_;
  BusyNode node_;
  client::ChannelPool channels_;
  std::vector<PlacedDocument> placed_;
};

TEST_F(RestoreFilesTest, NothingIsToldBeforeItIsOnDisk) {
  Add("paket/1/a", "a");
  Restore();
  EXPECT_EQ(g_syncfs_calls, 1) << "one file system";
  // What stands there may be of a run that was stopped before it could sync.
  EXPECT_EQ(Restore().skipped, 1u);
  EXPECT_EQ(g_syncfs_calls, 2);
  g_syncfs_error = EIO;
  const auto report = Try();
  EXPECT_EQ(report.status().code(), Code::kIo) << "equal, but not on disk";
}

TEST_F(RestoreFilesTest, WhatComesToStandThereMeanwhileIsNotReplaced) {
  Add("paket/1/a", "a");
  node_.meanwhile = [this] { Write("paket/1/a", "mine"); };
  for (const bool knows : {true, false}) {
    g_knows_noreplace = knows;
    const RestoreReport report = Restore();
    ASSERT_THAT(report.refused, SizeIs(1)) << knows;
    EXPECT_EQ(report.files, 0u);
    EXPECT_EQ(Read("paket/1/a"), "mine");
    EXPECT_THAT(Names("paket/1"), ElementsAre("a"));
    fs::remove(base_ / "to/paket/1/a");
  }
  EXPECT_EQ(Restore(true).files, 1u);
  EXPECT_EQ(Read("paket/1/a"), "a");
}

TEST_F(RestoreFilesTest, AFileSystemThatCannotRenameSoWillDo) {
  g_knows_noreplace = false;
  Add("paket/1/a", "a");
  EXPECT_EQ(Restore().files, 1u);
  EXPECT_EQ(Read("paket/1/a"), "a");
  EXPECT_THAT(Names("paket/1"), ElementsAre("a"));
  EXPECT_EQ(fs::hard_link_count(base_ / "to/paket/1/a"), 1u);
}

TEST_F(RestoreFilesTest, ModeAndTimeAreOnlyChangedWhenTold) {
  Add("a", "a");
  Add("b", "b");
  Restore();
  chmod((base_ / "to/a").c_str(), 0600);
  const auto then = fs::last_write_time(base_ / "to/b") + std::chrono::hours(1);
  fs::last_write_time(base_ / "to/b", then);
  const RestoreReport refused = Restore();
  EXPECT_THAT(refused.refused, SizeIs(2));
  EXPECT_EQ(ModeOf("a"), 0600u);
  EXPECT_EQ(fs::last_write_time(base_ / "to/b"), then);
  EXPECT_EQ(Restore(true).skipped, 2u);
  EXPECT_EQ(ModeOf("a"), 0640u);
  EXPECT_EQ(Restore().skipped, 2u);
}

TEST_F(RestoreFilesTest, WhatAKilledRunLeftIsClearedAway) {
  Add("paket/1/a", "a");
  const std::string own = ".kembar-restore-" + std::to_string(getpid()) + "-";
  for (const int number : {1, 2}) Write("paket/1/" + own + std::to_string(number), "half");
  Write("paket/1/.kembar-restore-1-1", "half");
  EXPECT_EQ(Restore().files, 1u);
  EXPECT_THAT(Names("paket/1"), ElementsAre("a"));
}

TEST_F(RestoreFilesTest, WhatAnotherRunStillWritesIsLeftAlone) {
  Add("paket/1/a", "a");
  // Of the same number, as in another container.
  const std::string name = ".kembar-restore-" + std::to_string(getpid()) + "-1";
  Write("paket/1/" + name, "half");
  const Fd other(open((base_ / "to/paket/1" / name).c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(flock(other.get(), LOCK_EX), 0);
  EXPECT_EQ(Restore().files, 1u);
  EXPECT_THAT(Names("paket/1"), ElementsAre(name, "a"));
  EXPECT_EQ(Read("paket/1/" + name), "half");
}

TEST_F(RestoreFilesTest, NoFileBecomesSetUid) {
  Add("a", "a", 06755);
  EXPECT_EQ(Restore().files, 1u);
  EXPECT_EQ(ModeOf("a"), 0755u);
  EXPECT_EQ(Restore().skipped, 1u);
  const auto compare = [this] {
    const auto findings =
        CompareDocuments(placed_, (base_ / "to").string(), true, [](uint64_t, uint64_t) {});
    EXPECT_TRUE(findings.ok());
    return findings->at(0).what;
  };
  EXPECT_EQ(compare(), "");
  chmod((base_ / "to/a").c_str(), 0750);
  EXPECT_EQ(compare(), "mode");
}

}  // namespace
}  // namespace kembar::documents
