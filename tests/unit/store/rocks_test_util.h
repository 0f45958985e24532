// rocks_test_util.h — directories that vanish, and damage done to files, for tests of RocksStore.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace kembar {

// A new directory, removed with all that is in it.
class TempDir {
 public:
  TempDir() : path_(::testing::TempDir() + "kembar_XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Write-ahead log files of a RocksDB directory, oldest first; empty ones only when asked for.
inline std::vector<std::string> WalFiles(const std::string& dir, bool empty_too = false) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() == ".log" && (empty_too || entry.file_size() > 0))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

inline std::string OnlyWal(const std::string& dir) {
  std::vector<std::string> files = WalFiles(dir);
  EXPECT_EQ(files.size(), 1u);
  return files.empty() ? std::string() : files.front();
}

}  // namespace kembar
