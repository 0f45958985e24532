// node_blob_test.cc — documents on two whole nodes, linked over loopback: what Ensure promises,
// what a mirror fetches by itself, what verify finds and repairs, and what the inventory says of
// it.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <random>

#include "kembar/v1/admin.grpc.pb.h"
#include "kembar/v1/blob.grpc.pb.h"
#include "kembar/v1/log.grpc.pb.h"
#include "kembar/v1/tender.grpc.pb.h"
#include "node/blob/blob_store.h"
#include "node/node.h"
#include "replicator/base/bytes.h"
#include "tests/unit/blob/noise.h"
#include "tests/unit/node/engine_fixture.h"
#include "tests/unit/node/tcp_proxy.h"
#include "tests/unit/store/rocks_test_util.h"

namespace kembar {
namespace {

using testing::FreePort;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::WaitUntil;

std::string At(int port) { return "127.0.0.1:" + std::to_string(port); }

class Site {
 public:
  Site(const std::string& name, int port, const std::string& peer, int peer_port) {
    config_.name = name;
    config_.listen = config_.address = At(port);
    config_.data = dir_.path() + "/data";
    config_.disk_reserve_bytes = 1;
    config_.heartbeat_ms = 50;
    config_.silence_ms = 1'000;
    config_.stop_ms = 500;
    config_.peers = {{peer, At(peer_port)}};
  }
  void Start() {
    auto node = Node::Start(config_, [] {});
    ASSERT_TRUE(node.ok()) << node.status().ToString();
    node_ = *std::move(node);
    auto channel = grpc::CreateChannel(config_.address, grpc::InsecureChannelCredentials());
    admin = v1::Admin::NewStub(channel);
    blob = v1::Blob::NewStub(channel);
    log = v1::Log::NewStub(channel);
    tender = v1::Tender::NewStub(channel);
  }
  void Stop() { node_.reset(); }
  // So that what is free is less than a node wants for documents, but enough for records.
  void FillDisk() {
    config_.disk_reserve_bytes = std::filesystem::space(config_.data).available / 3 * 2;
  }
  std::string blobs() const { return config_.data + "/blobs"; }

  std::unique_ptr<v1::Admin::Stub> admin;
  std::unique_ptr<v1::Blob::Stub> blob;
  std::unique_ptr<v1::Log::Stub> log;
  std::unique_ptr<v1::Tender::Stub> tender;

 private:
  TempDir dir_;
  NodeConfig config_;
  std::unique_ptr<Node> node_;
};

struct Context : grpc::ClientContext {
  explicit Context(int ms = 20'000) {
    set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(ms));
    set_wait_for_ready(true);
  }
};

class NodeBlobTest : public ::testing::Test {
 protected:
  NodeBlobTest()
      : tebo_("tebo", ports_[0], "jambi", ports_[1]),
        jambi_("jambi", ports_[1], "tebo", ports_[0]) {}

  void SetUp() override {
    tebo_.Start();
    jambi_.Start();
    Context context;
    v1::CreateLogRequest request;
    request.set_log("tebo");
    for (int i = 0; i < 2; ++i) {
      v1::Member* member = request.mutable_config()->add_members();
      member->set_name(i == 0 ? "tebo" : "jambi");
      member->set_address(At(ports_[i]));
    }
    request.mutable_config()->set_sync_mirrors(1);
    request.mutable_config()->set_mode(v1::MODE_MAX_PROTECTION);
    v1::CreateLogResponse response;
    const grpc::Status status = tebo_.admin->CreateLog(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_TRUE(WaitUntil([this] { return Holds(jambi_); }));
  }
  static bool Holds(Site& site) {
    Context context;
    v1::StatusRequest request;
    request.set_log("tebo");
    v1::StatusResponse response;
    return site.admin->Status(&context, request, &response).ok();
  }

  static std::vector<Digest> Put(Site& site, const std::vector<std::string>& chunks) {
    std::vector<Digest> digests;
    for (const std::string& chunk : chunks) {
      Context context;
      v1::PutRequest request;
      request.add_chunks(chunk);
      v1::PutResponse response;
      const grpc::Status status = site.blob->Put(&context, request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      digests.push_back(Sha256({chunk}));
    }
    return digests;
  }
  static size_t Missing(Site& site, const std::vector<Digest>& digests) {
    Context context;
    v1::MissingRequest request;
    for (const Digest& digest : digests) request.add_digests(std::string(AsBytes(digest)));
    v1::MissingResponse response;
    EXPECT_TRUE(site.blob->Missing(&context, request, &response).ok());
    return static_cast<size_t>(response.digests_size());
  }
  static grpc::Status Ensure(Site& site, const std::vector<Digest>& digests, uint32_t* sites,
                             int ms = 20'000) {
    Context context(ms);
    v1::EnsureRequest request;
    request.set_log("tebo");
    for (const Digest& digest : digests) request.add_digests(std::string(AsBytes(digest)));
    v1::EnsureResponse response;
    const grpc::Status status = site.blob->Ensure(&context, request, &response);
    if (sites != nullptr) *sites = response.sites();
    return status;
  }
  void Append(const std::string& item, const std::string& payload) {
    Context context;
    v1::AppendRequest request;
    request.set_log("tebo");
    request.set_source("uji");
    request.set_position(++position_);
    v1::Draft* draft = request.add_drafts();
    draft->set_kind(v1::RECORD_KIND_PUT);
    draft->set_package("paket/1");
    draft->set_item(item);
    draft->set_payload(payload);
    v1::AppendResponse response;
    const grpc::Status status = tebo_.log->Append(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  // Puts a file of `count` chunks, of which the last is short, and records it.
  std::vector<Digest> Record(const std::string& path, uint64_t seed, size_t count) {
    std::vector<std::string> chunks;
    std::string all, list;
    for (size_t i = 0; i < count; ++i) {
      chunks.push_back(Noise(seed + i, i + 1 < count ? kChunkBytesMax : 100'000));
      all += chunks.back();
      list += (i == 0 ? "\"" : ",\"") + ToHex(Sha256({chunks.back()})) + "\"";
    }
    const auto digests = Put(tebo_, chunks);
    const grpc::Status status = Ensure(tebo_, digests, nullptr);
    EXPECT_TRUE(status.ok()) << status.error_message();
    Append("document/" + path, R"({"path":")" + path + R"(","size":)" + std::to_string(all.size()) +
                                   R"(,"mode":"0640","mtime_ns":"5","sha256":")" +
                                   ToHex(Sha256({all})) + R"(","chunks":[)" + list + "]}");
    return digests;
  }
  static v1::Package Show(Site& site) {
    Context context;
    v1::ShowPackageRequest request;
    request.set_log("tebo");
    request.set_package("paket/1");
    auto reader = site.tender->ShowPackage(&context, request);
    v1::ShowPackageResponse response;
    v1::Package package;
    while (reader->Read(&response)) {
      if (response.has_package()) package = response.package();
    }
    return package;
  }
  static bool Becomes(Site& site, v1::PackageState state) {
    return WaitUntil([&] { return Show(site).state() == state; });
  }
  static std::vector<std::string> Verify(Site& site, uint64_t* blobs) {
    Context context;
    v1::VerifyRequest request;
    auto reader = site.admin->Verify(&context, request);
    v1::VerifyResponse response;
    std::vector<std::string> errors;
    bool done = false;
    while (reader->Read(&response)) {
      EXPECT_FALSE(done);
      for (const std::string& error : response.errors()) errors.push_back(error);
      *blobs = response.blobs();
      done = response.done();
    }
    EXPECT_TRUE(reader->Finish().ok());
    EXPECT_TRUE(done);
    return errors;
  }
  // Ends with everything in blob files.
  static void Restart(Site& site, const std::function<void()>& meanwhile) {
    site.Stop();
    BlobStoreOptions options;
    options.dir = site.blobs();
    ASSERT_TRUE(BlobStore::Open(options).ok());
    meanwhile();
    site.Start();
  }

  const int ports_[2] = {FreePort(), FreePort()};
  Site tebo_, jambi_;
  uint64_t position_ = 0;
};

TEST_F(NodeBlobTest, EnsureBringsChunksToTheMirror) {
  std::vector<std::string> chunks;
  for (uint64_t i = 0; i < 30; ++i) chunks.push_back(Noise(i, i % 3 == 0 ? kChunkBytesMax : 5'000));
  const auto digests = Put(tebo_, chunks);
  EXPECT_EQ(Missing(jambi_, digests), 30u);
  uint32_t sites = 0;
  const grpc::Status status = Ensure(tebo_, digests, &sites);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(sites, 2u);
  EXPECT_EQ(Missing(jambi_, digests), 0u);
}

TEST_F(NodeBlobTest, GetAnswersInOrderAndSaysWhatIsNotThere) {
  const auto digests = Put(tebo_, {"a", "b"});
  Context context;
  v1::GetRequest request;
  request.add_digests(std::string(AsBytes(digests[1])));
  request.add_digests(std::string(AsBytes(digests[0])));
  request.add_digests(std::string(AsBytes(Sha256({"c"}))));
  auto reader = tebo_.blob->Get(&context, request);
  v1::GetResponse response;
  std::string got;
  while (reader->Read(&response)) got += response.chunk();
  EXPECT_EQ(got, "ba");
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(NodeBlobTest, WhatCannotBeEnsuredIsToldWithItsReason) {
  const auto digests = Put(tebo_, {"a"});
  Put(jambi_, {"a"});
  grpc::Status status = Ensure(jambi_, digests, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << status.error_message();
  EXPECT_THAT(status.error_message(), HasSubstr("not the primary"));
  status = Ensure(tebo_, {Sha256({"never put"})}, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << status.error_message();
  jambi_.Stop();
  status = Ensure(tebo_, Put(tebo_, {"b", "c"}), nullptr, 1'000);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("node jambi lacks 2 of 2 chunks"));
}

TEST_F(NodeBlobTest, FormsAreChecked) {
  Context context;
  v1::PutRequest empty;
  empty.add_chunks("");
  v1::PutResponse response;
  EXPECT_EQ(tebo_.blob->Put(&context, empty, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  Context second;
  v1::MissingRequest request;
  request.add_digests("short");
  v1::MissingResponse missing;
  EXPECT_EQ(tebo_.blob->Missing(&second, request, &missing).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(NodeBlobTest, APackageIsIncompleteUntilWhatItRefersToIsThere) {
  Append("public.dokumen/17", "{}");
  ASSERT_TRUE(Becomes(tebo_, v1::PACKAGE_STATE_COMPLETE));
  Append("reference/file_prod/a.pdf", "{}");
  ASSERT_TRUE(Becomes(tebo_, v1::PACKAGE_STATE_INCOMPLETE));
  EXPECT_EQ(Show(tebo_).missing_documents(), 1u);
  Record("file_prod/a.pdf", 1, 2);
  for (Site* site : {&tebo_, &jambi_}) {
    ASSERT_TRUE(Becomes(*site, v1::PACKAGE_STATE_COMPLETE));
    const v1::Package package = Show(*site);
    EXPECT_EQ(package.items(), 1u);
    EXPECT_EQ(package.documents(), 1u);
    EXPECT_EQ(package.missing_documents(), 0u);
  }
}

TEST_F(NodeBlobTest, AMirrorThatLostItsChunksFetchesThemAgain) {
  const auto digests = Record("file_prod/a.pdf", 1, 4);
  Restart(jambi_, [&] { std::filesystem::remove_all(jambi_.blobs()); });
  ASSERT_TRUE(WaitUntil([&] { return Missing(jambi_, digests) == 0; }));
  EXPECT_TRUE(Becomes(jambi_, v1::PACKAGE_STATE_COMPLETE));
}

TEST_F(NodeBlobTest, DocumentsLeaveTheDiskToRecords) {
  tebo_.Stop();
  tebo_.FillDisk();
  tebo_.Start();
  Context context;
  v1::PutRequest request;
  request.add_chunks("a");
  v1::PutResponse response;
  EXPECT_EQ(tebo_.blob->Put(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  ASSERT_TRUE(WaitUntil([this] { return Ensure(tebo_, {}, nullptr).ok(); }));  // primary again
  Append("public.dokumen/17", "{}");
}

TEST_F(NodeBlobTest, WhatWasFoundLostAtTheStartIsMendedUnaskedAndNamedAllTheSame) {
  const auto digests = Record("file_prod/a.pdf", 1, 2);
  Restart(jambi_, [&] {
    for (const auto& entry : std::filesystem::directory_iterator(jambi_.blobs())) {
      if (entry.path().extension() == ".blob") std::filesystem::remove(entry.path());
    }
  });
  const auto mended = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(jambi_.blobs())) {
      if (entry.path().extension() == ".log" && entry.file_size() > kChunkBytesMax) return true;
    }
    return false;
  };
  ASSERT_TRUE(WaitUntil([&] { return mended() && Missing(jambi_, digests) == 0; }));
  uint64_t blobs = 0;
  const std::vector<std::string> errors = Verify(jambi_, &blobs);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0], HasSubstr("package paket/1 document file_prod/a.pdf"));
  EXPECT_THAT(errors[0], HasSubstr("missing"));
  EXPECT_THAT(Verify(jambi_, &blobs), IsEmpty());
}

TEST_F(NodeBlobTest, VerifyNamesADamagedDocumentAndItIsRepairedFromTheOtherSite) {
  const auto digests = Record("file_prod/a.pdf", 1, 2);
  Record("file_prod/b.pdf", 50, 1);
  for (Site* site : {&jambi_, &tebo_}) {
    Restart(*site, [&] {
      for (const auto& entry : std::filesystem::directory_iterator(site->blobs())) {
        if (entry.path().extension() != ".blob") continue;
        std::string bytes = ReadFile(entry.path());
        const size_t at = bytes.find(Noise(2, 100'000));
        if (at == std::string::npos) continue;
        bytes[at + 5] = static_cast<char>(bytes[at + 5] ^ 4);
        WriteFile(entry.path(), bytes);
      }
    });
    uint64_t blobs = 0;
    std::vector<std::string> errors = Verify(*site, &blobs);
    EXPECT_EQ(blobs, 3u);
    ASSERT_EQ(errors.size(), 1u);
    EXPECT_THAT(errors[0], HasSubstr("log tebo package paket/1 document file_prod/a.pdf"));
    EXPECT_THAT(errors[0], HasSubstr("altered"));
    ASSERT_TRUE(WaitUntil([&] { return Missing(*site, digests) == 0; }));
    EXPECT_THAT(Verify(*site, &blobs), IsEmpty());
    EXPECT_TRUE(Becomes(*site, v1::PACKAGE_STATE_COMPLETE));
  }
}

}  // namespace
}  // namespace kembar
