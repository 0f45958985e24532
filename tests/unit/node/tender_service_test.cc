// tender_service_test.cc — ListItems and GetItem of the Tender service, as a client sees them.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "kembar/v1/tender.grpc.pb.h"
#include "node/rpc/status_map.h"
#include "node/rpc/tender_service.h"
#include "replicator/base/digest.h"
#include "tests/unit/node/engine_fixture.h"

namespace kembar {
namespace {

using grpc::ClientContext;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeControl;
using testing::Nodes;
using ::testing::SizeIs;
using testing::TestNode;

// A node of its own with one log, whose records begin at index 2.
class TenderServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CreateLog create{.state = MakeControl({"tebo"}, Mode::kMaxPerformance)};
    create.state.config.sync_mirrors = 0;
    const Reply created = node_.Order("tebo", create);
    ASSERT_TRUE(created.status.ok()) << created.status.ToString();
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.service());
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    server_ = builder.BuildAndStart();
    stub_ = v1::Tender::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                    grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    node_.engine->Stop();
    server_->Shutdown();
  }

  void Append(const std::string& package, const std::string& item, const std::string& payload,
              RecordKind kind = RecordKind::kPut) {
    AppendRequest request;
    request.source = "uji";
    request.position = ++position_;
    request.drafts.push_back({.kind = kind, .package = package, .item = item, .payload = payload});
    const Reply reply = node_.Append("tebo", request).get();
    ASSERT_TRUE(reply.status.ok()) << reply.status.ToString();
  }

  // "package item=payload", in the order in which they come.
  std::vector<std::string> List(const v1::ListItemsRequest& request) {
    ClientContext context;
    auto reader = stub_->ListItems(&context, request);
    std::vector<std::string> all;
    v1::ListItemsResponse response;
    while (reader->Read(&response)) {
      EXPECT_LE(response.items_size(), 2);
      for (const v1::ItemVersion& item : response.items()) {
        all.push_back(item.package() + " " + item.item() + "=" + item.payload());
        last_ = item;
      }
    }
    status_ = FromGrpc(reader->Finish(), &context);
    return all;
  }
  Status Get(const v1::GetItemRequest& request, v1::ItemVersion* item) {
    ClientContext context;
    v1::GetItemResponse response;
    const grpc::Status status = stub_->GetItem(&context, request, &response);
    *item = response.item();
    return FromGrpc(status, &context);
  }

  Nodes nodes_;
  TestNode& node_ = nodes_.Add("tebo");
  TenderService service_{node_.engine.get(), {.entries_per_answer = 2}};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Tender::Stub> stub_;
  uint64_t position_ = 0;
  v1::ItemVersion last_;
  Status status_;
};

TEST_F(TenderServiceTest, ListItemsGivesTheNewestVersionsOfEach) {
  Append("tender/1", "a", "a1");
  Append("tender/1", "a", "a2");
  Append("tender/1", "a", "a3");
  Append("tender/1", "b", "b1");
  Append("tender/2", "b", "B1");
  v1::ListItemsRequest request;
  request.set_with_payload(true);
  EXPECT_THAT(List(request), ElementsAre("tender/1 a=a3", "tender/1 b=b1", "tender/2 b=B1"));
  request.set_versions_max(1);
  EXPECT_THAT(List(request), SizeIs(3));
  request.set_versions_max(2);
  EXPECT_THAT(List(request),
              ElementsAre("tender/1 a=a3", "tender/1 a=a2", "tender/1 b=b1", "tender/2 b=B1"));
  request.set_versions_max(9);
  EXPECT_THAT(List(request), SizeIs(5));
  request.mutable_as_of()->set_index(3);
  EXPECT_THAT(List(request), ElementsAre("tender/1 a=a2", "tender/1 a=a1"));
  request.set_with_payload(false);
  EXPECT_THAT(List(request), ElementsAre("tender/1 a=", "tender/1 a="));
  EXPECT_EQ(last_.payload_bytes(), 2u);
  EXPECT_EQ(last_.index(), 2u);
  EXPECT_GT(last_.time_us(), 0);
  EXPECT_EQ(last_.payload_sha256(), AsBytes(Sha256({"a1"})));
}

TEST_F(TenderServiceTest, ListItemsFiltersByPackageAndItem) {
  for (const char* package : {"-", "tender", "tender/1", "tender/10", "tender/2"}) {
    for (const char* item : {"row/a/1", "row/b/1", "table/a"}) Append(package, item, "x");
  }
  v1::ListItemsRequest request;
  request.set_package_prefix("tender/1");
  request.set_item_prefix("row/b");
  EXPECT_THAT(List(request), ElementsAre("tender/1 row/b/1=", "tender/10 row/b/1="));
  request.set_package("tender/10");
  EXPECT_THAT(List(request), ElementsAre("tender/10 row/b/1="));
  request.set_package("tender/2");  // both conditions hold
  EXPECT_THAT(List(request), IsEmpty());
  request.clear_package_prefix();
  request.set_package("-");
  request.set_item_prefix("row/");
  EXPECT_THAT(List(request), ElementsAre("- row/a/1=", "- row/b/1="));
  request.clear_item_prefix();
  EXPECT_THAT(List(request), SizeIs(3));
  request.set_package("none");
  EXPECT_THAT(List(request), IsEmpty());
  EXPECT_TRUE(status_.ok()) << status_.ToString();
}

TEST_F(TenderServiceTest, ListItemsShowsDeletionsAndRefusals) {
  Append("p", "a", "isi");
  Append("p", "a", "", RecordKind::kDelete);
  v1::ListItemsRequest request;
  request.set_with_payload(true);
  EXPECT_THAT(List(request), ElementsAre("p a="));
  EXPECT_EQ(last_.kind(), v1::RECORD_KIND_DELETE);
  request.mutable_as_of()->set_index(99);
  List(request);
  EXPECT_EQ(status_.code(), Code::kGap);
  request.set_log("none");
  List(request);
  EXPECT_EQ(status_.code(), Code::kNotFound);
}

TEST_F(TenderServiceTest, ListItemsSaysThatARecordIsDamaged) {
  Append("p", "a", "isi");
  ASSERT_TRUE(node_.store.CorruptFrame("tebo", 2));
  v1::ListItemsRequest request;
  EXPECT_THAT(List(request), SizeIs(1));
  request.set_with_payload(true);
  List(request);
  EXPECT_EQ(status_.code(), Code::kCorrupt) << status_.ToString();
}

TEST_F(TenderServiceTest, GetItemGivesTheVersionOfAMoment) {
  Append("-", "transaction/postgres/tebo", "one");
  Append("-", "transaction/postgres/tebo", "two");
  Append("-", "transaction/postgres/tebo", "", RecordKind::kDelete);
  Append("-", "transaction/postgres/tebo-2", "other");
  v1::GetItemRequest request;
  request.set_package("-");
  request.set_item("transaction/postgres/tebo");
  v1::ItemVersion item;
  ASSERT_TRUE(Get(request, &item).ok());
  EXPECT_EQ(item.kind(), v1::RECORD_KIND_DELETE);
  EXPECT_EQ(item.index(), 4u);
  request.mutable_as_of()->set_index(3);
  ASSERT_TRUE(Get(request, &item).ok());
  EXPECT_EQ(item.payload(), "two");
  EXPECT_EQ(item.payload_bytes(), 3u);
  EXPECT_EQ(item.package(), "-");
  EXPECT_EQ(item.item(), "transaction/postgres/tebo");
  EXPECT_GT(item.time_us(), 0);
  request.mutable_as_of()->set_index(1);
  const Status never = Get(request, &item);
  EXPECT_EQ(never.code(), Code::kNotFound);
  EXPECT_THAT(never.message(), HasSubstr("transaction/postgres/tebo"));
}

TEST_F(TenderServiceTest, GetItemRefusesWhatIsNotThere) {
  Append("p", "b", "isi");
  v1::GetItemRequest request;
  v1::ItemVersion item;
  request.set_package("p");
  EXPECT_EQ(Get(request, &item).code(), Code::kInvalid);
  for (const char* name : {"a", "bb", "c"}) {
    request.set_item(name);
    EXPECT_EQ(Get(request, &item).code(), Code::kNotFound) << name;
  }
  request.set_item("b");
  request.set_package("q");
  EXPECT_EQ(Get(request, &item).code(), Code::kNotFound);
  request.clear_package();
  EXPECT_EQ(Get(request, &item).code(), Code::kInvalid);
  request.set_package("p");
  request.mutable_as_of()->set_index(99);
  EXPECT_EQ(Get(request, &item).code(), Code::kGap);
  request.clear_as_of();
  EXPECT_TRUE(Get(request, &item).ok());
  ASSERT_TRUE(node_.store.CorruptFrame("tebo", 2));
  EXPECT_EQ(Get(request, &item).code(), Code::kCorrupt);
}

}  // namespace
}  // namespace kembar
