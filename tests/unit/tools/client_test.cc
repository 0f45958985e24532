// client_test.cc — the pure parts of tools/client: discovery, conversions, waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/client/cluster.h"
#include "tools/client/convert.h"
#include "tools/client/rpc_status.h"

namespace kembar::client {
namespace {

using ::testing::ElementsAre;

NodeView Answering(const std::string& name, const std::string& address,
                   const std::vector<std::pair<std::string, std::string>>& members) {
  NodeView view{.name = name, .address = address, .reachable = true};
  view.status.set_node(name);
  v1::LogStatus* log = view.status.add_logs();
  log->set_log("lpse");
  for (const auto& [member, at] : members) {
    v1::Member* added = log->mutable_control()->mutable_config()->add_members();
    added->set_name(member);
    added->set_address(at);
  }
  return view;
}

TEST(Discovery, AsksEveryAddressOnce) {
  const std::vector<NodeView> views{
      Answering("tebo", "a:1", {{"tebo", "10.0.0.1:1"}, {"jambi", "b:1"}, {"padang", "c:1"}}),
      Answering("padang", "c:1", {{"jambi", "b:1"}})};
  const std::vector<NodeView> fresh = Unasked(views);
  ASSERT_EQ(fresh.size(), 1u);  // tebo answered already, under another address
  EXPECT_EQ(fresh[0].name, "jambi");
  EXPECT_EQ(fresh[0].address, "b:1");
}

TEST(Discovery, OneViewForEachNode) {
  std::vector<NodeView> views{NodeView{.address = "b:1"},
                              Answering("tebo", "a:1", {{"jambi", "b:1"}}),
                              Answering("tebo", "a2:1", {})};
  const std::vector<NodeView> merged = Merge(std::move(views));
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_EQ(merged[0].name, "jambi");
  EXPECT_FALSE(merged[0].reachable);
  EXPECT_EQ(merged[1].address, "a:1");
}

TEST(Discovery, AnAnswerBeatsASilentAddressOfTheSameNode) {
  std::vector<NodeView> views{NodeView{.name = "tebo", .address = "old:1"},
                              Answering("tebo", "a:1", {})};
  const std::vector<NodeView> merged = Merge(std::move(views));
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_TRUE(merged[0].reachable);
}

void SetLog(const std::string& log, NodeView* view) { view->status.mutable_logs(0)->set_log(log); }

std::vector<std::string> NamesOfLog(const std::vector<NodeView>& views, const std::string& log) {
  std::vector<std::string> names;
  for (const NodeView& view : OfLog(views, log)) {
    names.push_back(view.name.empty() ? view.address : view.name);
  }
  return names;
}

TEST(NodesOfLog, NodesOfOtherLogsAreNone) {
  NodeView tebo = Answering("tebo", "a:1", {{"tebo", "a:1"}, {"hub", "h:1"}});
  NodeView bungo = Answering("bungo", "b:1", {{"bungo", "b:1"}, {"kerinci", "k:1"}});
  SetLog("bungo", &bungo);
  NodeView hub = Answering("hub", "h:1", {{"tebo", "a:1"}, {"hub", "h:1"}});
  *hub.status.add_logs() = bungo.status.logs(0);
  const NodeView silent{.name = "kerinci", .address = "k:1"};  // only the other log knows it
  const std::vector<NodeView> views{bungo, hub, silent, tebo};
  EXPECT_THAT(NamesOfLog(views, "lpse"), ElementsAre("hub", "tebo"));
  EXPECT_THAT(NamesOfLog(views, "bungo"), ElementsAre("bungo", "hub", "kerinci"));
}

TEST(NodesOfLog, WhoShouldHoldItIsOneOfIt) {
  NodeView tebo = Answering("tebo", "a:1", {{"jambi", "j:1"}});
  v1::Config* config = tebo.status.mutable_logs(0)->mutable_control()->mutable_config();
  config->add_left_out()->set_name("padang");  // nobody knows where
  tebo.status.mutable_logs(0)->add_peers()->set_name("kerinci");
  tebo.status.mutable_logs(0)->set_primary("bungo");
  std::vector<NodeView> views{tebo};
  for (const char* name : {"bungo", "jambi", "kerinci", "padang", "merangin"}) {
    NodeView empty{.name = name, .address = std::string(name) + ":1", .reachable = true};
    views.push_back(std::move(empty));  // answers, and holds nothing
  }
  EXPECT_THAT(NamesOfLog(views, "lpse"),
              ElementsAre("tebo", "bungo", "jambi", "kerinci", "padang"));
}

TEST(NodesOfLog, ASilentAddressThatNobodyKnowsStays) {
  const std::vector<NodeView> views{NodeView{.address = "x:1"},
                                    Answering("tebo", "a:1", {{"tebo", "a:1"}})};
  EXPECT_THAT(NamesOfLog(views, "lpse"), ElementsAre("x:1", "tebo"));
}

TEST(Convert, ConfigurationsRoundTrip) {
  ControlState state{.log_uuid = "u", .primary = "tebo"};
  state.config.members = {{"tebo", "a:1"}, {"jambi", "b:1"}};
  state.config.left_out = {{"padang", ""}};
  state.config.mode = Mode::kMaxAvailability;
  state.config.sync_mirrors = 2;
  state.config.solo_after_ms = 5;
  state.config.solo = true;
  state.lossy = true;
  state.reason = "r";
  state.actor = "a";
  state.known = "k";
  const Result<ControlState> back = FromProto(ToProto(state));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->config, state.config);
  EXPECT_EQ(EncodeControl(*back), EncodeControl(state));
}

TEST(Convert, AnUnsetModeIsRefused) { EXPECT_FALSE(FromProto(v1::Config()).ok()); }

TEST(RpcStatus, MetadataIsUnescaped) {
  EXPECT_EQ(UnescapeMetadata("plain 100% %C3%A9 %zz %2"), "plain 100% \xc3\xa9 %zz %2");
}

TEST(RpcStatus, OnlyPassingTroubleIsRetried) {
  EXPECT_TRUE(IsRetryable(Code::kUnavailable));
  EXPECT_TRUE(IsRetryable(Code::kTimeout));
  EXPECT_TRUE(IsRetryable(Code::kNotPrimary));
  EXPECT_FALSE(IsRetryable(Code::kGap));
  EXPECT_FALSE(IsRetryable(Code::kFull));
  EXPECT_FALSE(IsRetryable(Code::kInvalid));
}

TEST(Deadlines, WaitsEndAtTheDeadline) {
  Backoff backoff(Millis(60'000), Millis(60'000));
  const Deadline deadline = Deadline::After(Millis(20));
  EXPECT_TRUE(backoff.Wait(deadline));
  EXPECT_TRUE(deadline.expired());
  EXPECT_FALSE(backoff.Wait(deadline));
  EXPECT_FALSE(Deadline::Never().expired());
  EXPECT_LE(Deadline::Never().Within(Millis(5)).remaining(), Millis(5));
}

}  // namespace
}  // namespace kembar::client
