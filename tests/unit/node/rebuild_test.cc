// rebuild_test.cc — what --rebuild refuses, and that it deletes nothing.
#include "node/rebuild.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "node/store/rocks_store.h"

namespace kembar {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class RebuildTest : public ::testing::Test {
 protected:
  RebuildTest() {
    dir_ = ::testing::TempDir() + "kembar_rebuild_XXXXXX";
    if (::mkdtemp(dir_.data()) == nullptr) std::abort();
    config_.file = "tebo.toml";
    config_.name = "tebo";
    config_.data = dir_ + "/data";
    config_.peers = {{"jambi", "127.0.0.1:7402"}};
  }
  ~RebuildTest() override { fs::remove_all(dir_); }
  Result<std::unique_ptr<RocksStore>> Open() const {
    return RocksStore::Open(
        {.dir = config_.data, .create_if_missing = true, .node_name = "tebo", .now_us = 1});
  }

  std::string dir_;
  NodeConfig config_;
};

TEST_F(RebuildTest, KeepsTheOldDirectoryBesideTheNew) {
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  const std::string uuid = (*store)->node_uuid();
  EXPECT_EQ(SetDataAside(config_, 0).status().code(), Code::kUnavailable);  // in use
  store->reset();
  std::ofstream(config_.data + "/damaged.sst") << "bits";
  config_.data += "/";
  const Result<std::string> went = SetDataAside(config_, 1'574'000'000);
  ASSERT_TRUE(went.ok()) << went.status().ToString();
  EXPECT_THAT(*went, HasSubstr("/data.damaged-2019111"));
  EXPECT_TRUE(fs::exists(*went + "/damaged.sst"));
  EXPECT_FALSE(fs::exists(config_.data));
  store = Open();
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_NE((*store)->node_uuid(), uuid);  // another identity
  EXPECT_TRUE((*store)->Logs()->empty());
}

TEST_F(RebuildTest, RefusesWhereNothingCouldBeFetchedOrThereIsNothing) {
  EXPECT_EQ(SetDataAside(config_, 0).status().code(), Code::kNotFound);
  ASSERT_TRUE(Open().ok());
  config_.peers.clear();
  const Status alone = SetDataAside(config_, 0).status();
  EXPECT_EQ(alone.code(), Code::kInvalid);
  EXPECT_THAT(alone.message(), HasSubstr("no [[peer]]"));
  EXPECT_TRUE(fs::exists(config_.data));
}

}  // namespace
}  // namespace kembar
