// damage.h — damage done to the blob files of a store of chunks, also while it is open.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "node/blob/blob_store.h"
#include "tests/unit/store/rocks_test_util.h"

namespace kembar {

// Opens and closes a store: that moves what its write-ahead log holds into blob files.
inline void WriteOutBlobs(const std::string& dir) {
  BlobStoreOptions options;
  options.dir = dir;
  EXPECT_TRUE(BlobStore::Open(options).ok());
}

inline std::vector<std::filesystem::path> BlobFiles(const std::string& dir) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() == ".blob") files.push_back(entry.path());
  }
  return files;
}

inline void RemoveBlobFiles(const std::string& dir) {
  for (const auto& file : BlobFiles(dir)) std::filesystem::remove(file);
}

// Flips a bit of `chunk` where a blob file holds it, so many bytes behind its beginning. Done in
// place, so that an open store reads it.
inline void FlipInBlobFile(const std::string& dir, const std::string& chunk, size_t behind) {
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() != ".blob") continue;
    const size_t at = ReadFile(entry.path()).find(chunk);
    if (at == std::string::npos) continue;
    std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at + behind));
    file.put(static_cast<char>(chunk[behind] ^ 1));
    return;
  }
  FAIL() << "no blob file holds it";
}

}  // namespace kembar
