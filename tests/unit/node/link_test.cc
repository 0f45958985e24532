// link_test.cc — nodes linked over real gRPC on loopback: either side dials, both at once, wrong
// identities, a line that goes silent.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "kembar/v1/replication.grpc.pb.h"
#include "node/rpc/grpc_options.h"
#include "node/rpc/replication_link.h"
#include "tests/unit/node/engine_fixture.h"
#include "tests/unit/node/tcp_proxy.h"

namespace kembar {
namespace {

using std::chrono::system_clock;
using ::testing::ElementsAre;
using testing::FreePort;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MakeAppend;
using testing::MakeControl;
using testing::TcpProxy;
using testing::WaitUntil;

std::string At(int port) { return "127.0.0.1:" + std::to_string(port); }

struct More {
  int64_t born_us = 0;
  std::map<std::string, LinkIdentity> known;
  std::vector<LinkLimit> limits;
  LinkBlobs blobs;
};

// A node with engine, links and a server.
class LinkedNode {
 public:
  LinkedNode(const std::string& name, int port, std::vector<LinkPeer> peers,
             const std::string& uuid = {}, More more = {})
      : store_("uuid-" + (uuid.empty() ? name : uuid)) {
    EngineOptions engine;
    engine.node = name;
    engine.address = At(port);
    engine.heartbeat_ms = 50;
    engine.accept_log = [](const std::string&, const std::string&) { return true; };
    engine_ = std::make_unique<Engine>(
        engine, &store_, [this](const std::string& to, const std::string& log, Message message) {
          links_->Send(to, log, std::move(message));
        });
    LinkOptions options;
    options.node = name;
    options.node_uuid = store_.node_uuid();
    options.address = At(port);
    options.peers = std::move(peers);
    options.version = "test";
    options.ping_ms = 100;
    options.silence_ms = 600;
    options.born_us = more.born_us;
    options.known = std::move(more.known);
    options.limits = std::move(more.limits);
    options.blobs = std::move(more.blobs);
    options.remember = [this](const std::string& peer, const LinkIdentity& identity) {
      std::lock_guard lock(mutex_);
      remembered_[peer] = identity;
      return Status();
    };
    links_ = std::make_unique<LinkManager>(options, engine_.get());
    EXPECT_TRUE(engine_->Start().ok());
    grpc::ServerBuilder builder;
    TuneServer(&builder);
    builder.AddListeningPort(At(port), grpc::InsecureServerCredentials());
    builder.RegisterService(links_->service());
    server_ = builder.BuildAndStart();
    EXPECT_NE(server_, nullptr);
    links_->Start();
  }
  ~LinkedNode() {
    engine_->Stop();
    links_->Stop();
    server_->Shutdown(system_clock::now() + std::chrono::seconds(2));
  }

  Engine& engine() { return *engine_; }
  LinkManager& links() { return *links_; }
  MemoryStore& store() { return store_; }
  LinkIdentity Remembered(const std::string& peer) {
    std::lock_guard lock(mutex_);
    return remembered_[peer];
  }
  Reply Do(const std::string& log, Event order) {
    std::promise<Reply> promise;
    engine_->Order(log, std::move(order), [&](const Reply& r) { promise.set_value(r); });
    return promise.get_future().get();
  }
  std::future<Reply> Append(const std::string& log, AppendRequest request) {
    auto promise = std::make_shared<std::promise<Reply>>();
    engine_->Append(log, std::move(request), [promise](const Reply& r) { promise->set_value(r); });
    return promise->get_future();
  }

 private:
  std::mutex mutex_;
  std::map<std::string, LinkIdentity> remembered_;
  MemoryStore store_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<LinkManager> links_;
  std::unique_ptr<grpc::Server> server_;
};

bool Linked(LinkedNode& a, LinkedNode& b) {
  return WaitUntil(
      [&] { return a.links().Linked().size() == 1 && b.links().Linked().size() == 1; });
}

void Replicates(LinkedNode& primary, const std::string& a, const std::string& b) {
  ASSERT_TRUE(primary.Do("log", CreateLog{.state = MakeControl({a, b})}).status.ok());
  for (uint64_t i = 1; i <= 20; ++i) {
    const std::string payload(i % 2 == 0 ? 200'000 : 10, 'x');  // compressed and plain
    const Reply reply = primary.Append("log", MakeAppend(i, payload)).get();
    ASSERT_TRUE(reply.status.ok()) << reply.status.ToString();
    ASSERT_EQ(reply.sites, 2u);
  }
}

TEST(Link, ThePrimaryDials) {
  const int a = FreePort(), b = FreePort();
  LinkedNode jambi("jambi", b, {{"tebo", ""}});
  LinkedNode tebo("tebo", a, {{"jambi", At(b)}});
  ASSERT_TRUE(Linked(tebo, jambi));
  EXPECT_THAT(tebo.links().Linked(), ElementsAre("jambi"));
  Replicates(tebo, "tebo", "jambi");
  EXPECT_EQ(*tebo.store().RootAt("log", 21), *jambi.store().RootAt("log", 21));
}

TEST(Link, TheMirrorDials) {
  const int a = FreePort(), b = FreePort();
  LinkedNode tebo("tebo", a, {{"jambi", ""}});
  LinkedNode jambi("jambi", b, {{"tebo", At(a)}});
  ASSERT_TRUE(Linked(tebo, jambi));
  Replicates(tebo, "tebo", "jambi");
}

TEST(Link, BothDialAndOneLinkStays) {
  const int a = FreePort(), b = FreePort();
  LinkedNode tebo("tebo", a, {{"jambi", At(b)}});
  LinkedNode jambi("jambi", b, {{"tebo", At(a)}});
  ASSERT_TRUE(Linked(tebo, jambi));
  Replicates(tebo, "tebo", "jambi");
  EXPECT_THAT(tebo.links().Linked(), ElementsAre("jambi"));
}

TEST(Link, ComesBackAfterARestart) {
  const int a = FreePort(), b = FreePort();
  LinkedNode tebo("tebo", a, {{"jambi", At(b)}});
  auto jambi = std::make_unique<LinkedNode>("jambi", b, std::vector<LinkPeer>{{"tebo", At(a)}});
  ASSERT_TRUE(Linked(tebo, *jambi));
  jambi.reset();
  ASSERT_TRUE(WaitUntil([&] { return tebo.links().Linked().empty(); }));
  jambi = std::make_unique<LinkedNode>("jambi", b, std::vector<LinkPeer>{{"tebo", At(a)}},
                                       "another-disk");
  ASSERT_TRUE(Linked(tebo, *jambi));
  Replicates(tebo, "tebo", "jambi");
}

TEST(Link, ASilentLineIsNoticedByBothAndHeals) {
  const int a = FreePort(), b = FreePort();
  TcpProxy line(b);
  LinkedNode jambi("jambi", b, {{"tebo", ""}});
  LinkedNode tebo("tebo", a, {{"jambi", line.address()}});
  ASSERT_TRUE(Linked(tebo, jambi));
  ASSERT_TRUE(tebo.Do("log", CreateLog{.state = MakeControl({"tebo", "jambi"})}).status.ok());
  ASSERT_TRUE(tebo.Append("log", MakeAppend(1)).get().status.ok());
  line.silent(true);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(
      WaitUntil([&] { return tebo.links().Linked().empty() && jambi.links().Linked().empty(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
  auto held = tebo.Append("log", MakeAppend(2));
  line.silent(false);
  ASSERT_TRUE(Linked(tebo, jambi));
  EXPECT_TRUE(held.get().status.ok());
}

TEST(Link, ACopiedDataDirectoryIsRefused) {
  const int a = FreePort(), b = FreePort(), c = FreePort();
  LinkedNode tebo("tebo", a, {{"jambi", ""}, {"muaro", ""}});
  {
    LinkedNode copy("jambi", b, {{"tebo", At(a)}}, "tebo");  // tebo's own identity
    EXPECT_FALSE(WaitUntil([&, rounds = 0]() mutable {
                   return !copy.links().Linked().empty() || ++rounds > 100;
                 }) &&
                 !copy.links().Linked().empty());
    EXPECT_THAT(tebo.links().Linked(), IsEmpty());
  }
  LinkedNode jambi("jambi", b, {{"tebo", At(a)}}, "shared");
  ASSERT_TRUE(WaitUntil([&] { return tebo.links().Linked().size() == 1; }));
  LinkedNode muaro("muaro", c, {{"tebo", At(a)}}, "shared");  // jambi's
  int rounds = 0;
  EXPECT_TRUE(WaitUntil([&] { return ++rounds > 100; }));
  EXPECT_THAT(tebo.links().Linked(), ElementsAre("jambi"));
}

// What a stranger hears.
grpc::Status Greet(int port, const v1::LinkMessage& first) {
  auto channel = grpc::CreateChannel(At(port), grpc::InsecureChannelCredentials());
  auto stub = v1::Replication::NewStub(channel);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(system_clock::now() + std::chrono::seconds(5));
  auto stream = stub->Link(&context);
  stream->Write(first);
  v1::LinkMessage answer;
  while (stream->Read(&answer)) {
  }
  return stream->Finish();
}

v1::LinkMessage Hello(const std::string& node, const std::string& uuid, uint32_t protocol = 1) {
  v1::LinkMessage message;
  message.mutable_hello()->set_node(node);
  message.mutable_hello()->set_node_uuid(uuid);
  message.mutable_hello()->set_protocol(protocol);
  return message;
}

TEST(Link, AYoungerDirectoryTakesThePlaceOfAnOlderOne) {
  const int a = FreePort(), b = FreePort();
  LinkedNode jambi("jambi", b, {{"tebo", ""}}, "jambi-2", {.born_us = 2'000'000});
  LinkedNode tebo("tebo", a, {{"jambi", At(b)}}, "",
                  {.known = {{"jambi", {"uuid-jambi", 1'000'000}}}});
  ASSERT_TRUE(Linked(tebo, jambi));
  EXPECT_EQ(tebo.Remembered("jambi").uuid, "uuid-jambi-2");
  EXPECT_EQ(tebo.Remembered("jambi").born_us, 2'000'000);
  EXPECT_THAT(tebo.links().Refused(), IsEmpty());
}

TEST(Link, AnOlderDirectoryThatComesBackIsRefusedAndBothSaySo) {
  const int a = FreePort(), b = FreePort();
  LinkedNode jambi("jambi", b, {{"tebo", ""}}, "", {.born_us = 1'000'000});
  LinkedNode tebo("tebo", a, {{"jambi", At(b)}}, "",
                  {.known = {{"jambi", {"uuid-jambi-2", 2'000'000}}}});
  ASSERT_TRUE(WaitUntil([&] { return !tebo.links().Refused().empty(); }));
  EXPECT_THAT(tebo.links().Refused()["jambi"],
              HasSubstr("an older directory of jambi has come back"));
  EXPECT_THAT(tebo.links().Linked(), IsEmpty());
}

TEST(Link, ThePeerThatDialsHearsThatItsDirectoryIsTheOlderOne) {
  const int a = FreePort(), b = FreePort();
  LinkedNode tebo("tebo", a, {{"jambi", ""}}, "",
                  {.known = {{"jambi", {"uuid-jambi-2", 2'000'000}}}});
  LinkedNode jambi("jambi", b, {{"tebo", At(a)}}, "", {.born_us = 0});
  ASSERT_TRUE(WaitUntil([&] { return !jambi.links().Refused().empty(); }));
  EXPECT_THAT(jambi.links().Refused()["tebo"], HasSubstr("an older directory of jambi"));
  EXPECT_THAT(tebo.links().Refused()["jambi"], HasSubstr("an older directory of jambi"));
}

// Log A has 24 MiB to catch up, over a line that limits catching up to 64 KiB a second: that would
// take six minutes. Appends to log B are acknowledged meanwhile as if there were no log A.
TEST(Link, CatchingUpInOneLogDoesNotHoldBackAppendsInAnother) {
  const int a = FreePort(), b = FreePort();
  TcpProxy line(b);
  More limited;
  limited.limits = {{.from_minute = 0, .to_minute = 0, .bytes_per_s = 64 << 10}};
  LinkedNode tebo("tebo", a, {{"jambi", line.address()}}, "", limited);
  auto jambi = std::make_unique<LinkedNode>("jambi", b, std::vector<LinkPeer>{{"tebo", ""}});
  ASSERT_TRUE(Linked(tebo, *jambi));
  ASSERT_TRUE(tebo.Do("A", CreateLog{.state = MakeControl({"tebo", "jambi"})}).status.ok());
  ASSERT_TRUE(tebo.Append("A", MakeAppend(1)).get().status.ok());
  jambi.reset();
  std::vector<std::future<Reply>> backlog;
  for (uint64_t i = 2; i < 26; ++i) {
    backlog.push_back(tebo.Append("A", MakeAppend(i, std::string(1 << 20, 'x'))));
  }
  ASSERT_TRUE(WaitUntil([&] { return *tebo.store().FindPosition("A", "uji", 25) != 0; }));
  jambi = std::make_unique<LinkedNode>("jambi", b, std::vector<LinkPeer>{{"tebo", ""}});
  ASSERT_TRUE(Linked(tebo, *jambi));
  // The backlog is on its way, and as good as none of it has arrived.
  ASSERT_TRUE(WaitUntil([&] { return tebo.engine().stats().catch_up_bytes > 0; }));
  ASSERT_TRUE(tebo.Do("B", CreateLog{.state = MakeControl({"tebo", "jambi"})}).status.ok());
  for (uint64_t i = 1; i <= 50; ++i) {
    ASSERT_TRUE(tebo.Append("B", MakeAppend(i)).get().status.ok());
  }
  EXPECT_FALSE(tebo.store().RootAt("A", 27).ok() && jambi->store().RootAt("A", 27).ok());
}

TEST(Link, RefusalsSayWhy) {
  const int port = FreePort();
  LinkedNode tebo("tebo", port, {{"jambi", ""}});
  grpc::Status status = Greet(port, Hello("stranger", "u"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("stranger"));
  status = Greet(port, Hello("jambi", "uuid-tebo"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("copied data directory"));
  status = Greet(port, Hello("jambi", "u", 2));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("protocol 2"));
  v1::LinkMessage ping;
  ping.set_ping(true);
  EXPECT_EQ(Greet(port, ping).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(Link, AMalformedMessageEndsTheLink) {
  const int port = FreePort();
  LinkedNode tebo("tebo", port, {{"jambi", ""}});
  auto stub =
      v1::Replication::NewStub(grpc::CreateChannel(At(port), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(system_clock::now() + std::chrono::seconds(5));
  auto stream = stub->Link(&context);
  stream->Write(Hello("jambi", "u"));
  v1::LinkMessage message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.hello().node(), "tebo");
  v1::LinkMessage bad;
  bad.set_log("log");
  bad.mutable_entries()->set_frames_zstd("rubbish");
  bad.mutable_entries()->set_frames_bytes(uint64_t{1} << 40);
  bad.mutable_entries()->set_first_index(1);
  bad.mutable_entries()->set_root(std::string(32, 'r'));
  bad.mutable_entries()->set_prev_root(std::string(32, 'p'));
  stream->Write(bad);
  while (stream->Read(&message)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_THAT(status.error_message(), HasSubstr("frames_bytes"));
  EXPECT_TRUE(WaitUntil([&] { return tebo.links().Linked().empty(); }));
}

TEST(Link, ANewStreamOfTheSameNodeReplacesItsOldOne) {
  const int port = FreePort();
  LinkedNode tebo("tebo", port, {{"jambi", ""}});
  auto channel = grpc::CreateChannel(At(port), grpc::InsecureChannelCredentials());
  auto stub = v1::Replication::NewStub(channel);
  grpc::ClientContext first_context, second_context;
  first_context.set_wait_for_ready(true);
  auto first = stub->Link(&first_context);
  first->Write(Hello("jambi", "u"));
  v1::LinkMessage message;
  ASSERT_TRUE(first->Read(&message));
  auto second = stub->Link(&second_context);
  second->Write(Hello("jambi", "u"));
  ASSERT_TRUE(second->Read(&message));
  while (first->Read(&message)) {
  }
  EXPECT_EQ(first->Finish().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(tebo.links().Linked(), ElementsAre("jambi"));
  second_context.TryCancel();
  while (second->Read(&message)) {
  }
  (void)second->Finish();
}

v1::LinkMessage Holds(uint64_t known_to) {
  v1::LinkMessage message;
  message.set_log("log");
  message.mutable_blob_holding()->set_known_to(known_to);
  return message;
}

// By then the peer may have come back without its disk.
TEST(Link, WhatAReplacedStreamStillSaysOfDocumentsDoesNotCount) {
  const int port = FreePort();
  std::mutex mutex;
  std::vector<uint64_t> told;
  const auto heard = [&] {
    std::lock_guard lock(mutex);
    return told.size();
  };
  int ups = 0;
  std::function<void()> when_replaced;
  More more;
  more.blobs.told = [&](const std::string&, const std::string&, const Holding& holding) {
    std::lock_guard lock(mutex);
    told.push_back(holding.known_to);
  };
  more.blobs.up = [&](const std::string&) {
    std::function<void()> act;
    {
      std::lock_guard lock(mutex);
      if (++ups == 2) act = when_replaced;
    }
    if (act) act();
  };
  LinkedNode tebo("tebo", port, {{"jambi", ""}}, "", std::move(more));
  auto stub =
      v1::Replication::NewStub(grpc::CreateChannel(At(port), grpc::InsecureChannelCredentials()));
  grpc::ClientContext first_context, second_context;
  first_context.set_wait_for_ready(true);
  auto first = stub->Link(&first_context);
  first->Write(Hello("jambi", "u"));
  v1::LinkMessage message;
  ASSERT_TRUE(first->Read(&message));
  // The old stream's end comes after this, so what it brings is still taken.
  {
    std::lock_guard lock(mutex);
    when_replaced = [&] {
      first->Write(Holds(1));
      int rounds = 0;
      WaitUntil([&] { return heard() > 0 || ++rounds > 100; });
    };
  }
  auto second = stub->Link(&second_context);
  second->Write(Hello("jambi", "u"));
  ASSERT_TRUE(second->Read(&message));
  while (first->Read(&message)) {
  }
  (void)first->Finish();
  second->Write(Holds(2));
  ASSERT_TRUE(WaitUntil([&] { return heard() > 0; }));
  {
    std::lock_guard lock(mutex);
    EXPECT_THAT(told, ElementsAre(2));
  }
  second_context.TryCancel();
  while (second->Read(&message)) {
  }
  (void)second->Finish();
}

}  // namespace
}  // namespace kembar
