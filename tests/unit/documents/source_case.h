// source_case.h — what tests of the source `documents` share: a real directory, a node in memory,
// and the source between them on a thread of its own.
//
// Thread-safety: none; used by the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
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
    thread_ = std::jthread([this](const std::stop_token& stop) {
      const Status status = source_->Run(stop);
      EXPECT_TRUE(status.ok()) << status.ToString();
    });
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
  std::unique_ptr<DocumentsSource> source_;
  std::jthread thread_;
};

}  // namespace kembar::documents
