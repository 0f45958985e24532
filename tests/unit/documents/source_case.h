// source_case.h — what tests of the source `documents` share: a real directory, a node in memory,
// and the source between them on a thread of its own.
//
// Thread-safety: none; used by the test's thread.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/documents/fake_node.h"
#include "tools/documents/fetch.h"
#include "tools/documents/source.h"

namespace kembar::documents {

inline constexpr char kSourceMapping[] = R"(
[[document]]
path = "paket/{key}/**"
package = "paket/{key}"
)";

// Asks until it is so, for at most ten seconds.
template <class Predicate>
bool WaitUntil(const Predicate& predicate) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable nobody;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    nobody.wait_for(lock, std::chrono::milliseconds(10));
  }
  return true;
}

// Below `root`: a directory whose path is as long as can be, and in it a file and a directory of
// which the paths are longer. Gives the path of the first.
inline std::string MakeTooLongPaths(const std::filesystem::path& root) {
  const std::string part(250, 'p');
  const std::string last(200, 'l');
  std::string path;
  Fd at(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 16; ++i) {
    mkdirat(at.get(), part.c_str(), 0755);
    at = Fd(openat(at.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    path += (path.empty() ? "" : "/") + part;
  }
  const Fd file(openat(at.get(), last.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  EXPECT_TRUE(file.ok());
  EXPECT_EQ(mkdirat(at.get(), (last + "d").c_str(), 0755), 0);
  return path;
}

class SourceCase : public ::testing::Test {
 protected:
  SourceCase() {
    char name[] = "/tmp/kembar-source-XXXXXX";
    base_ = mkdtemp(name);
    root_ = base_ / "uploads";
    std::filesystem::create_directory(root_);
    options_.name = "uji";
    options_.dir = root_.string();
    options_.settle_ms = 100;
    options_.canary_every_s = 0;
  }
  ~SourceCase() override {
    Stop();
    std::error_code error;
    std::filesystem::remove_all(base_, error);
  }

  void Write(const std::string& path, const std::string& content) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << content;
  }
  void Start() {
    Result<capture::Mapping> mapping = capture::Mapping::Parse(mapping_, "m");
    ASSERT_TRUE(mapping.ok());
    auto source = DocumentsSource::Make(options_, {node_.address()}, "", *std::move(mapping));
    ASSERT_TRUE(source.ok());
    source_ = *std::move(source);
    if (prepare_) prepare_(source_.get());
    thread_ = std::jthread([this](const std::stop_token& stop) { source_->Run(stop); });
  }
  void Stop() {
    if (thread_.joinable()) {
      thread_.request_stop();
      thread_.join();
    }
  }
  // All that there is now is in the log. `files`: how many that makes.
  bool CaughtUp(uint64_t files) {
    return WaitUntil([&] {
      const SourceStatus status = source_->status();
      return status.files == files && status.pending == 0 && status.caught_up_us > 0 &&
             node_.Living().size() == files;
    });
  }
  Result<std::vector<PlacedDocument>> List() {
    auto stubs = channels_.Get(node_.address());
    return ListDocuments(stubs.get(), "tebo", {}, {});
  }

  std::filesystem::path base_;
  std::filesystem::path root_;
  std::string mapping_ = kSourceMapping;
  SourceOptions options_;
  testing::FakeNode node_;
  client::ChannelPool channels_;
  std::function<void(DocumentsSource*)> prepare_;  // called before it runs
  std::unique_ptr<DocumentsSource> source_;
  std::jthread thread_;
};

}  // namespace kembar::documents
