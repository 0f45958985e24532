// service_test.cc — Log and Admin as a client sees them, over gRPC on loopback. (Not in-process:
// that transport has no buffer, and a client that writes to a stream which has ended waits for
// ever.)
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <thread>

#include "kembar/v1/admin.grpc.pb.h"
#include "kembar/v1/log.grpc.pb.h"
#include "node/rpc/admin_service.h"
#include "node/rpc/grpc_options.h"
#include "node/rpc/log_service.h"
#include "node/rpc/status_map.h"
#include "tests/unit/node/engine_fixture.h"

namespace kembar {
namespace {

using grpc::ClientContext;
using std::chrono::milliseconds;
using std::chrono::system_clock;
using ::testing::HasSubstr;
using testing::MakeControl;
using testing::Nodes;
using testing::TestNode;
using testing::WaitUntil;

v1::AppendRequest Request(uint64_t position, const std::string& log = "tebo") {
  v1::AppendRequest request;
  request.set_log(log);
  request.set_source("uji");
  request.set_position(position);
  v1::Draft* draft = request.add_drafts();
  draft->set_kind(v1::RECORD_KIND_PUT);
  draft->set_package("tender/1");
  draft->set_item("item-" + std::to_string(position));
  draft->set_payload("isi");
  return request;
}

// A node with its services and a server.
struct Served {
  explicit Served(TestNode* node_in, int64_t append_wait_ms = 30'000)
      : node(node_in),
        log_service(node->engine.get(),
                    LogServiceOptions{.append_wait_ms = append_wait_ms, .stream_requests_max = 8}),
        admin_service(
            node->engine.get(),
            {.node = node->name, .address = node->name + ":1", .version = "1", .linked = [] {
               return std::vector<std::string>{"x"};
             }}) {
    grpc::ServerBuilder builder;
    TuneServer(&builder);
    builder.RegisterService(log_service.service());
    builder.RegisterService(admin_service.service());
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    server = builder.BuildAndStart();
    auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                       grpc::InsecureChannelCredentials());
    log = v1::Log::NewStub(channel);
    admin = v1::Admin::NewStub(channel);
  }
  ~Served() {
    node->engine->Stop();
    server->Shutdown(system_clock::now() + std::chrono::seconds(5));
  }

  TestNode* const node;
  LogService log_service;
  AdminService admin_service;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<v1::Log::Stub> log;
  std::unique_ptr<v1::Admin::Stub> admin;
};

class ServiceTest : public ::testing::Test {
 protected:
  void Create(const std::string& log = "tebo", Mode mode = Mode::kMaxProtection) {
    const Reply reply =
        tebo_node_.Order(log, CreateLog{.state = MakeControl({"tebo", "jambi"}, mode)});
    ASSERT_TRUE(reply.status.ok()) << reply.status.ToString();
  }
  void Link() { nodes_.Link("tebo", "jambi", true); }

  Status Append(Served& at, const v1::AppendRequest& request, v1::AppendResponse* response,
                milliseconds deadline = std::chrono::seconds(10)) {
    context_ = std::make_unique<ClientContext>();
    context_->set_deadline(system_clock::now() + deadline);
    const grpc::Status status = at.log->Append(context_.get(), request, response);
    return FromGrpc(status, context_.get());
  }
  std::string Trailing(const char* key) const {
    const auto& metadata = context_->GetServerTrailingMetadata();
    auto it = metadata.find(key);
    return it == metadata.end() ? "" : std::string(it->second.data(), it->second.size());
  }
  std::vector<uint64_t> ReadAll(Served& at, v1::ReadRequest request, grpc::Status* status) {
    ClientContext context;
    auto reader = at.log->Read(&context, request);
    std::vector<uint64_t> indices;
    v1::ReadResponse response;
    while (reader->Read(&response)) {
      for (const auto& record : response.records()) indices.push_back(record.index());
    }
    *status = reader->Finish();
    return indices;
  }

  Nodes nodes_;
  TestNode& tebo_node_ = nodes_.Add("tebo");
  TestNode& jambi_node_ = nodes_.Add("jambi");
  Served tebo_{&tebo_node_};
  Served jambi_{&jambi_node_};
  std::unique_ptr<ClientContext> context_;
};

TEST_F(ServiceTest, AppendAndItsDuplicate) {
  Create();
  Link();
  v1::AppendResponse response;
  ASSERT_TRUE(Append(tebo_, Request(5, ""), &response).ok());  // the only log
  EXPECT_EQ(response.index(), 2u);
  EXPECT_EQ(response.sites(), 2u);
  EXPECT_EQ(response.position(), 5u);
  EXPECT_FALSE(response.duplicate());
  ASSERT_TRUE(Append(tebo_, Request(9), &response).ok());
  ASSERT_TRUE(Append(tebo_, Request(5), &response).ok());  // not the source's latest
  EXPECT_TRUE(response.duplicate());
  EXPECT_EQ(response.index(), 2u);
  // Between two that are there, and never appended: an error, not a false "there already".
  const Status skipped = Append(tebo_, Request(7), &response);
  EXPECT_EQ(skipped.code(), Code::kGap);
  EXPECT_THAT(skipped.message(), HasSubstr("position 7"));
}

TEST_F(ServiceTest, RefusalsNameWhatIsWrong) {
  v1::AppendResponse response;
  EXPECT_EQ(Append(tebo_, Request(1, ""), &response).code(), Code::kNotFound);
  Create();
  Create("second");
  Status status = Append(tebo_, Request(1, ""), &response);
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_THAT(status.message(), HasSubstr("second, tebo"));
  EXPECT_EQ(Append(tebo_, Request(1, "none"), &response).code(), Code::kNotFound);
  v1::AppendRequest request = Request(1);
  request.mutable_drafts(0)->set_kind(v1::RECORD_KIND_UNSPECIFIED);
  status = Append(tebo_, request, &response);
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_THAT(status.message(), HasSubstr("drafts[0]: kind"));
}

TEST_F(ServiceTest, AMirrorNamesThePrimary) {
  Create();
  Link();
  ASSERT_TRUE(WaitUntil([&] { return jambi_node_.StatusOf("tebo").durable_index == 1; }));
  v1::AppendResponse response;
  EXPECT_EQ(Append(jambi_, Request(1), &response).code(), Code::kNotPrimary);
  EXPECT_EQ(Trailing(kPrimaryNameKey), "tebo");
  EXPECT_EQ(Trailing(kPrimaryAddressKey), "tebo:1");
}

TEST_F(ServiceTest, TheClientHearsWhyBeforeItsDeadline) {
  Create();
  v1::AppendResponse response;
  const Status status = Append(tebo_, Request(1), &response, milliseconds(400));
  EXPECT_EQ(status.code(), Code::kTimeout);
  EXPECT_THAT(status.message(), HasSubstr("held here on tebo at index 2"));
  EXPECT_THAT(status.message(), HasSubstr("jambi"));
  EXPECT_THAT(status.hint(), HasSubstr("safe to retry"));
  Link();
  ASSERT_TRUE(Append(tebo_, Request(1), &response).ok());
  EXPECT_TRUE(response.duplicate());
}

TEST_F(ServiceTest, WithoutADeadlineTheNodeHasItsOwn) {
  Served patient(&tebo_node_, /*append_wait_ms=*/100);
  Create();
  ClientContext context;
  v1::AppendResponse response;
  EXPECT_EQ(patient.log->Append(&context, Request(1), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ServiceTest, AStreamAnswersInOrderBeyondItsWindow) {
  Create();
  Link();
  ClientContext context;
  auto stream = tebo_.log->AppendStream(&context);
  constexpr uint64_t kCount = 500;
  std::thread writer([&] {
    for (uint64_t i = 1; i <= kCount; ++i) ASSERT_TRUE(stream->Write(Request(i)));
    stream->WritesDone();
  });
  v1::AppendResponse response;
  uint64_t count = 0;
  while (stream->Read(&response)) {
    ++count;
    EXPECT_EQ(response.position(), count);
    EXPECT_EQ(response.index(), count + 1);
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(count, kCount);
}

TEST_F(ServiceTest, AStreamEndsAtTheFirstFailureAndNothingLaterSlipsIn) {
  Create("tebo", Mode::kMaxPerformance);
  ClientContext context;
  auto stream = tebo_.log->AppendStream(&context);
  v1::AppendRequest wrong = Request(2);
  wrong.set_after_position(0);  // in truth it follows 1
  stream->Write(Request(1));
  stream->Write(wrong);
  stream->Write(Request(3));
  stream->WritesDone();
  v1::AppendResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.position(), 1u);
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE) << status.error_message();
  EXPECT_EQ(tebo_node_.StatusOf("tebo").last_index, 2u);  // 3 was not taken without 2
}

TEST_F(ServiceTest, AStreamThatWaitsTooLongSaysSo) {
  Create();
  Served hurried(&tebo_node_, /*append_wait_ms=*/100);
  ClientContext context;
  auto stream = hurried.log->AppendStream(&context);
  for (uint64_t i = 1; i <= 3; ++i) stream->Write(Request(i));
  v1::AppendResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("jambi"));
}

TEST_F(ServiceTest, ACancelledStreamEnds) {
  Create();
  ClientContext context;
  auto stream = tebo_.log->AppendStream(&context);
  ASSERT_TRUE(stream->Write(Request(1)));
  ASSERT_TRUE(WaitUntil([&] { return tebo_node_.StatusOf("tebo").last_index == 2; }));
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServiceTest, ReadGivesWhatIsCommittedAndNoMore) {
  Create();
  Link();
  v1::AppendResponse response;
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(Append(tebo_, Request(i), &response).ok());
  ASSERT_TRUE(WaitUntil([&] { return jambi_node_.engine->CommitIndex("tebo") == 4; }));
  grpc::Status status;
  v1::ReadRequest request;
  EXPECT_THAT(ReadAll(jambi_, request, &status), ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(status.ok());
  request.set_from(2);
  request.set_to(3);
  EXPECT_THAT(ReadAll(tebo_, request, &status), ::testing::ElementsAre(2, 3));
  request.set_to(0);
  request.set_from(99);
  EXPECT_THAT(ReadAll(tebo_, request, &status), ::testing::IsEmpty());
  EXPECT_TRUE(status.ok());
  request.set_log("none");
  ReadAll(tebo_, request, &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);

  nodes_.Link("tebo", "jambi", false);  // held, not committed: not read
  EXPECT_EQ(Append(tebo_, Request(4), &response, milliseconds(200)).code(), Code::kTimeout);
  EXPECT_THAT(ReadAll(tebo_, {}, &status), ::testing::SizeIs(4));
}

TEST_F(ServiceTest, WatchFollowsAndEndsWithTheNode) {
  Create();
  Link();
  ClientContext context;
  auto reader = tebo_.log->Watch(&context, v1::ReadRequest());
  v1::ReadResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.records(0).index(), 1u);
  v1::AppendResponse appended;
  for (uint64_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(Append(tebo_, Request(i), &appended).ok());
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_EQ(response.records(0).index(), i + 1);
    EXPECT_GE(response.commit_index(), i + 1);
  }
  tebo_node_.engine->Stop();
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServiceTest, ACancelledWatchEndsAtOnce) {
  Create();
  Link();
  ClientContext context;
  auto reader = tebo_.log->Watch(&context, v1::ReadRequest());
  v1::ReadResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context.TryCancel();
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServiceTest, SourcePositionIsTheCommittedOne) {
  Create();
  Link();
  v1::AppendResponse appended;
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(Append(tebo_, Request(i * 10), &appended).ok());
  v1::SourcePositionRequest request;
  request.set_source("uji");
  const auto ask = [&] {
    ClientContext context;
    v1::SourcePositionResponse response;
    const grpc::Status status = tebo_.log->SourcePosition(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return std::pair(response.position(), response.index());
  };
  EXPECT_EQ(ask(), std::pair(uint64_t{30}, uint64_t{4}));
  nodes_.Link("tebo", "jambi", false);
  EXPECT_FALSE(Append(tebo_, Request(40), &appended, milliseconds(200)).ok());
  EXPECT_EQ(ask(), std::pair(uint64_t{30}, uint64_t{4}));
  request.set_source("nobody");
  EXPECT_EQ(ask(), std::pair(uint64_t{0}, uint64_t{0}));
}

TEST_F(ServiceTest, AppendsAreAnsweredWhenTheNodeStops) {
  Create();
  std::thread stopper([&] {
    EXPECT_TRUE(WaitUntil([&] { return tebo_node_.StatusOf("tebo").last_index == 2; }));
    tebo_node_.engine->Stop();
  });
  v1::AppendResponse response;
  EXPECT_EQ(Append(tebo_, Request(1), &response).code(), Code::kUnavailable);
  stopper.join();
}

TEST_F(ServiceTest, ManyClientsAtOnce) {
  Create();
  Link();
  constexpr int kClients = 16;
  constexpr uint64_t kEach = 50;
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      for (uint64_t i = 1; i <= kEach; ++i) {
        v1::AppendRequest request = Request(i);
        request.set_source("client-" + std::to_string(c));
        ClientContext context;
        v1::AppendResponse response;
        good += tebo_.log->Append(&context, request, &response).ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, kClients * static_cast<int>(kEach));
  EXPECT_EQ(tebo_node_.StatusOf("tebo").commit_index, 1 + kClients * kEach);
}

// ---- Admin -------------------------------------------------------------------------------------

TEST_F(ServiceTest, AdminCreatesFailsOverAndShowsQuarantine) {
  v1::CreateLogRequest create;
  create.set_log("tebo");
  create.set_actor("operator@tebo");
  for (const char* name : {"tebo", "jambi"}) create.mutable_config()->add_members()->set_name(name);
  create.mutable_config()->set_sync_mirrors(1);
  create.mutable_config()->set_mode(v1::MODE_MAX_PROTECTION);
  v1::CreateLogResponse created;
  {
    ClientContext context;
    const auto status = tebo_.admin->CreateLog(&context, create, &created);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(created.index(), 1u);
  }
  {
    ClientContext context;
    EXPECT_EQ(tebo_.admin->CreateLog(&context, create, &created).error_code(),
              grpc::StatusCode::ALREADY_EXISTS);
  }
  Link();
  v1::AppendResponse appended;
  ASSERT_TRUE(Append(tebo_, Request(1), &appended).ok());
  nodes_.Link("tebo", "jambi", false);
  EXPECT_FALSE(Append(tebo_, Request(2), &appended, milliseconds(200)).ok());

  v1::FenceRequest fence;
  fence.set_epoch(2 * kFirstEpoch);
  fence.set_candidate("jambi");
  v1::FenceResponse fenced;
  {
    ClientContext context;
    ASSERT_TRUE(jambi_.admin->Fence(&context, fence, &fenced).ok());
    EXPECT_EQ(fenced.durable_index(), 2u);
    EXPECT_EQ(fenced.promised_to(), "jambi");
  }
  fence.set_candidate("muaro");
  {
    ClientContext context;
    EXPECT_EQ(jambi_.admin->Fence(&context, fence, &fenced).error_code(),
              grpc::StatusCode::ABORTED);
  }
  v1::PromoteRequest promote;
  promote.set_epoch(fence.epoch());
  *promote.mutable_control() = fenced.control();
  v1::PromoteResponse promoted;
  {
    ClientContext context;
    const auto status = jambi_.admin->Promote(&context, promote, &promoted);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(promoted.index(), 3u);
  }
  Link();
  ASSERT_TRUE(Append(jambi_, Request(3), &appended).ok());
  v1::ListQuarantineResponse list;
  EXPECT_TRUE(WaitUntil([&] {
    ClientContext context;
    return tebo_.admin->ListQuarantine(&context, {}, &list).ok() && list.entries_size() == 1;
  }));
  v1::ReadQuarantineRequest read;
  read.set_id(1);
  ClientContext context;
  auto reader = tebo_.admin->ReadQuarantine(&context, read);
  v1::ReadQuarantineResponse quarantined;
  ASSERT_TRUE(reader->Read(&quarantined));
  ASSERT_EQ(quarantined.records_size(), 1);
  EXPECT_EQ(quarantined.records(0).item(), "item-2");
  EXPECT_FALSE(reader->Read(&quarantined));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ServiceTest, AdminStatusVerifyPauseConfigNote) {
  Create();
  Link();
  v1::StatusResponse status;
  {
    ClientContext context;
    ASSERT_TRUE(tebo_.admin->Status(&context, {}, &status).ok());
    EXPECT_EQ(status.node(), "tebo");
    EXPECT_EQ(status.node_uuid(), "uuid-tebo");
    ASSERT_EQ(status.logs_size(), 1);
    EXPECT_EQ(status.logs(0).role(), "primary");
    EXPECT_EQ(status.logs(0).peers(0).name(), "jambi");
    EXPECT_EQ(status.linked(0), "x");
  }
  v1::PauseAppendsRequest pause;
  v1::PauseAppendsResponse paused;
  v1::AppendResponse appended;
  pause.set_for_ms(60'000);
  {
    ClientContext context;
    ASSERT_TRUE(tebo_.admin->PauseAppends(&context, pause, &paused).ok());
  }
  EXPECT_EQ(Append(tebo_, Request(1), &appended).code(), Code::kUnavailable);
  pause.set_for_ms(0);
  {
    ClientContext context;
    ASSERT_TRUE(tebo_.admin->PauseAppends(&context, pause, &paused).ok());
  }
  EXPECT_TRUE(Append(tebo_, Request(1), &appended).ok());
  v1::AppendNoteRequest note;
  note.set_text("diganti disk");
  v1::AppendNoteResponse noted;
  {
    ClientContext context;
    ASSERT_TRUE(tebo_.admin->AppendNote(&context, note, &noted).ok());
    EXPECT_EQ(noted.index(), 3u);
  }
  v1::ChangeConfigRequest change;
  *change.mutable_config() = status.logs(0).control().config();
  change.mutable_config()->set_mode(v1::MODE_MAX_PERFORMANCE);
  v1::ChangeConfigResponse changed;
  {
    ClientContext context;
    ASSERT_TRUE(tebo_.admin->ChangeConfig(&context, change, &changed).ok());
    EXPECT_EQ(changed.index(), 4u);
  }
  {
    ClientContext context;
    EXPECT_EQ(jambi_.admin->ChangeConfig(&context, change, &changed).error_code(),
              grpc::StatusCode::FAILED_PRECONDITION);
  }
  ClientContext context;
  auto verify = tebo_.admin->Verify(&context, {});
  v1::VerifyResponse last;
  for (v1::VerifyResponse response; verify->Read(&response);) {
    EXPECT_EQ(response.errors_size(), 0);
    last = response;
  }
  EXPECT_TRUE(verify->Finish().ok());
  EXPECT_TRUE(last.done());
  EXPECT_EQ(last.records(), 4u);
}

}  // namespace
}  // namespace kembar
