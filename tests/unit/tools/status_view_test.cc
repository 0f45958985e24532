// status_view_test.cc — status and check out of what nodes say: JSON shape, unknowns, severities.
#include "tools/kembarctl/status_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replicator/log/epoch_history.h"
#include "tools/kembarctl/check_rules.h"

namespace kembar::ctl {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kNow = 1'700'000'000'000'000;

void SetControl(v1::LogStatus* log) {
  log->set_control_index(1);
  auto* config = log->mutable_control()->mutable_config();
  config->set_mode(v1::MODE_MAX_PROTECTION);
  config->set_sync_mirrors(1);
  for (const char* name : {"tebo", "jambi"}) {
    auto* member = config->add_members();
    member->set_name(name);
    member->set_address(std::string(name) + ":1");
  }
}

client::NodeView View(const std::string& name, const std::string& role) {
  client::NodeView view{.name = name, .address = name + ":1", .reachable = true};
  view.status.set_node(name);
  view.status.set_wall_us(kNow);
  v1::LogStatus* log = view.status.add_logs();
  log->set_log("lpse");
  log->set_role(role);
  log->set_state("protected");
  log->set_epoch(3 * kFirstEpoch + 1);
  log->set_primary("tebo");
  log->set_last_index(100);
  log->set_durable_index(100);
  log->set_commit_index(100);
  log->set_primary_last_index(100);
  log->set_primary_contact_ms_ago(role == "primary" ? 0 : 50);
  log->set_level_ms_ago(role == "primary" ? 0 : 50);
  SetControl(log);
  if (role == "primary") {
    auto* peer = log->add_peers();
    peer->set_name("jambi");
    peer->set_address("jambi:1");
    peer->set_member(true);
    peer->set_connected(true);
    peer->set_durable_index(100);
    peer->set_commit_index(100);
    peer->set_level_ms_ago(50);
    peer->set_contact_ms_ago(50);
  }
  return view;
}

client::NodeView Silent(const std::string& name) {
  client::NodeView view{.name = name, .address = name + ":1"};
  view.error = Status(Code::kUnavailable, "connection refused");
  return view;
}

std::vector<client::NodeView> Both() { return {View("jambi", "mirror"), View("tebo", "primary")}; }

v1::LogStatus* LogOf(client::NodeView* view) { return view->status.mutable_logs(0); }

Verdict Judge(const std::vector<client::NodeView>& nodes) {
  return JudgeLog(MakeLogView(nodes, "lpse"), {});
}

TEST(LogView, JsonHasWhatInterfacesPromise) {
  const Json json = StatusJson(MakeLogView(Both(), "lpse"));
  for (const char* key : {"log", "epoch", "primary", "mode", "state", "nodes"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["primary"], "tebo");
  EXPECT_EQ(json["epoch"], 3);
  EXPECT_EQ(json["restarts"], 1);
  EXPECT_EQ(json["mode"], "max-protection");
  EXPECT_EQ(json["state"], "protected");
  ASSERT_EQ(json["nodes"].size(), 2u);
  for (const char* key : {"name", "address", "role", "reachable", "durable_index", "commit_index",
                          "lag_records", "lag_seconds", "last_contact"}) {
    EXPECT_TRUE(json["nodes"][0].contains(key)) << key;
  }
  EXPECT_EQ(json["nodes"][0]["lag_records"], 0);
  EXPECT_EQ(json["nodes"][0]["lag_seconds"], 0.0);
}

TEST(LogView, ASilentMirrorIsShownAsThePrimaryKnowsIt) {
  std::vector<client::NodeView> nodes{Silent("jambi"), View("tebo", "primary")};
  auto* peer = LogOf(&nodes[1])->mutable_peers(0);
  peer->set_connected(false);
  peer->set_durable_index(90);
  peer->set_contact_ms_ago(120'000);
  peer->set_level_ms_ago(125'000);
  const LogView view = MakeLogView(nodes, "lpse");
  EXPECT_EQ(view.nodes[0].durable_index, 90u);
  EXPECT_EQ(view.nodes[0].lag_records, 10u);
  EXPECT_EQ(view.nodes[0].lag_seconds, 125.0);
  EXPECT_EQ(view.nodes[0].last_contact_us, kNow - 120'000'000);
  EXPECT_EQ(view.nodes[0].role, "mirror");
  EXPECT_FALSE(view.nodes[0].linked);
}

TEST(LogView, WhatIsNotKnownIsNull) {
  std::vector<client::NodeView> nodes{Silent("jambi"), View("tebo", "primary")};
  auto* peer = LogOf(&nodes[1])->mutable_peers(0);
  peer->set_connected(false);
  peer->set_durable_index(0);
  peer->set_contact_ms_ago(-1);
  peer->set_level_ms_ago(-1);
  const Json json = StatusJson(MakeLogView(nodes, "lpse"));
  EXPECT_TRUE(json["nodes"][0]["durable_index"].is_null());
  EXPECT_TRUE(json["nodes"][0]["lag_seconds"].is_null());
  EXPECT_TRUE(json["nodes"][0]["last_contact"].is_null());
}

TEST(LogView, WithoutThePrimaryTheMirrorSpeaks) {
  std::vector<client::NodeView> nodes{View("jambi", "mirror"), Silent("tebo")};
  LogOf(&nodes[0])->set_state("no-primary");
  LogOf(&nodes[0])->set_level_ms_ago(30'000);
  LogOf(&nodes[0])->set_primary_contact_ms_ago(30'000);
  const LogView view = MakeLogView(nodes, "lpse");
  EXPECT_EQ(view.state, "no-primary");
  EXPECT_FALSE(view.primary_reachable);
  EXPECT_EQ(view.nodes[0].lag_seconds, 30.0);
}

TEST(LogView, TheHighestEpochReigns) {
  std::vector<client::NodeView> nodes = Both();
  *LogOf(&nodes[0]) = *LogOf(&nodes[1]);
  LogOf(&nodes[0])->set_epoch(4 * kFirstEpoch);
  const LogView view = MakeLogView(nodes, "lpse");
  EXPECT_EQ(view.primary, "jambi");
  EXPECT_EQ(view.alarms.size(), 1u);
}

TEST(LogView, NodesOfOtherLogsAreNotShown) {
  client::NodeView bungo = View("bungo", "primary");
  bungo.status.set_disk_full(true);
  LogOf(&bungo)->set_log("bungo");
  LogOf(&bungo)->set_primary("bungo");
  std::vector<client::NodeView> nodes = Both();
  nodes.push_back(bungo);
  EXPECT_EQ(MakeLogView(nodes, "lpse").nodes.size(), 2u);
  EXPECT_EQ(Judge(nodes).severity, Severity::kOk) << "a full disk elsewhere";
}

TEST(Check, ContentOnlyWhenEverythingIsKnown) {
  const Verdict verdict = Judge(Both());
  EXPECT_EQ(verdict.severity, Severity::kOk) << PluginLine(verdict);
  EXPECT_THAT(PluginLine(verdict), HasSubstr("KEMBAR OK - "));
  EXPECT_THAT(PluginLine(verdict), HasSubstr(" | 'commit_index'=100c"));
}

TEST(Check, SeverityFollowsTheState) {
  const std::pair<const char*, Severity> cases[] = {
      {"protected", Severity::kOk},        {"catching-up", Severity::kWarning},
      {"stalled", Severity::kCritical},    {"solo", Severity::kCritical},
      {"no-primary", Severity::kCritical}, {"something-new", Severity::kUnknown}};
  for (const auto& [state, severity] : cases) {
    std::vector<client::NodeView> nodes = Both();
    LogOf(&nodes[1])->set_state(state);
    EXPECT_EQ(Judge(nodes).severity, severity) << state;
  }
}

TEST(Check, AnUnsetStateIsNotContent) {
  std::vector<client::NodeView> nodes = Both();
  LogOf(&nodes[1])->clear_state();
  EXPECT_NE(Judge(nodes).severity, Severity::kOk);
}

TEST(Check, AnUnknownModeIsNotContent) {
  std::vector<client::NodeView> nodes = Both();
  for (client::NodeView& node : nodes) {
    LogOf(&node)->mutable_control()->mutable_config()->clear_mode();
  }
  EXPECT_EQ(Judge(nodes).severity, Severity::kUnknown);
}

TEST(Check, AnUnreachableMirrorIsCriticalInMaxProtection) {
  std::vector<client::NodeView> nodes{Silent("jambi"), View("tebo", "primary")};
  LogOf(&nodes[1])->mutable_peers(0)->set_connected(false);
  const Verdict verdict = Judge(nodes);
  EXPECT_EQ(verdict.severity, Severity::kCritical);
  EXPECT_THAT(PluginLine(verdict), HasSubstr("jambi does not answer"));
}

TEST(Check, AMirrorBehindNatIsKnownThroughThePrimary) {
  const Verdict verdict = Judge({Silent("jambi"), View("tebo", "primary")});
  EXPECT_EQ(verdict.severity, Severity::kOk) << PluginLine(verdict);
}

TEST(Check, InMaxPerformanceALostMirrorIsAWarning) {
  std::vector<client::NodeView> nodes{Silent("jambi"), View("tebo", "primary")};
  LogOf(&nodes[1])->mutable_peers(0)->set_connected(false);
  LogOf(&nodes[1])->mutable_control()->mutable_config()->set_mode(v1::MODE_MAX_PERFORMANCE);
  EXPECT_EQ(Judge(nodes).severity, Severity::kWarning);
}

TEST(Check, LagHasThresholds) {
  for (const auto& [level_ms, severity] :
       {std::pair(59'000, Severity::kOk), std::pair(61'000, Severity::kWarning),
        std::pair(601'000, Severity::kCritical)}) {
    std::vector<client::NodeView> nodes = Both();
    LogOf(&nodes[0])->set_durable_index(50);
    LogOf(&nodes[0])->set_level_ms_ago(level_ms);
    LogOf(&nodes[1])->mutable_peers(0)->set_level_ms_ago(level_ms);
    EXPECT_EQ(Judge(nodes).severity, severity) << level_ms;
  }
}

TEST(Check, UnknownLagIsAWarning) {
  std::vector<client::NodeView> nodes = Both();
  LogOf(&nodes[0])->set_level_ms_ago(-1);
  LogOf(&nodes[1])->mutable_peers(0)->set_level_ms_ago(-1);
  const Verdict verdict = Judge(nodes);
  EXPECT_EQ(verdict.severity, Severity::kWarning);
  EXPECT_THAT(verdict.perfdata, HasSubstr("'lag_seconds_jambi'=U"));
}

TEST(Check, AlarmsAndFullDisksAreCritical) {
  std::vector<client::NodeView> nodes = Both();
  LogOf(&nodes[0])->mutable_hard()->set_alarm("differs | from\nrecord 7 on");
  const Verdict verdict = Judge(nodes);
  EXPECT_EQ(verdict.severity, Severity::kCritical);
  const std::string line = PluginLine(verdict);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(std::count(line.begin(), line.end(), '|'), 1);

  nodes = Both();
  nodes[1].status.set_disk_full(true);
  EXPECT_EQ(Judge(nodes).severity, Severity::kCritical);
}

TEST(Check, OneCopyOnlyIsCritical) {
  std::vector<client::NodeView> nodes{View("tebo", "primary")};
  LogOf(&nodes[0])->mutable_control()->mutable_config()->mutable_members()->RemoveLast();
  EXPECT_EQ(Judge(nodes).severity, Severity::kCritical);
}

TEST(Check, NothingFoundOutIsUnknown) {
  EXPECT_EQ(Verdict{}.severity, Severity::kUnknown);
  EXPECT_THAT(PluginLine(Verdict{}), HasSubstr("KEMBAR UNKNOWN - "));
}

v1::SourceStatus* AddSource(client::NodeView* view, const std::string& name, uint64_t index,
                            int64_t age_s) {
  v1::SourceStatus* source = LogOf(view)->add_sources();
  source->set_source(name);
  source->set_last_index(index);
  source->set_last_time_us(kNow - age_s * 1'000'000);
  return source;
}

TEST(Check, ASilentCaptureIsCritical) {
  std::vector<client::NodeView> nodes = Both();
  AddSource(&nodes[1], "postgres/epns", 90, 11 * 86'400);
  const Verdict verdict = Judge(nodes);
  EXPECT_EQ(verdict.severity, Severity::kCritical);
  EXPECT_THAT(PluginLine(verdict), HasSubstr("postgres/epns not heard for 950400.0 s"));
  EXPECT_THAT(verdict.perfdata, HasSubstr("'age_postgres/epns'=950400.0s;600.0;1800.0;0"));
}

TEST(Check, OfACaptureTheNewestSignCounts) {
  std::vector<client::NodeView> nodes = Both();
  AddSource(&nodes[0], "postgres/epns", 90, 5'000);
  AddSource(&nodes[1], "postgres/epns", 98, 700);
  EXPECT_EQ(Judge(nodes).severity, Severity::kWarning);
  AddSource(&nodes[0], "postgres/epns", 99, 20);
  EXPECT_EQ(Judge(nodes).severity, Severity::kOk);
  const Json json = StatusJson(MakeLogView(nodes, "lpse"));
  ASSERT_EQ(json["sources"].size(), 1u);
  EXPECT_EQ(json["sources"][0]["source"], "postgres/epns");
  EXPECT_EQ(json["sources"][0]["age_seconds"], 20.0);
}

TEST(Check, ARetiredCaptureDoesNotCount) {
  std::vector<client::NodeView> nodes = Both();
  AddSource(&nodes[0], "postgres/lama", 9, 1'000'000)->set_retired(true);
  // A node that has not heard of it yet says the same of the same record.
  AddSource(&nodes[1], "postgres/lama", 9, 1'000'000);
  EXPECT_EQ(Judge(nodes).severity, Severity::kOk);
}

TEST(Check, IncompletePackagesAreTold) {
  std::vector<client::NodeView> nodes = Both();
  LogOf(&nodes[1])->mutable_packages()->set_complete(500);
  EXPECT_EQ(Judge(nodes).severity, Severity::kOk);
  LogOf(&nodes[0])->mutable_packages()->set_incomplete(2);
  const Verdict verdict = Judge(nodes);
  EXPECT_EQ(verdict.severity, Severity::kWarning);
  EXPECT_THAT(PluginLine(verdict), HasSubstr("jambi: 2 packages are incomplete"));
  const Json json = StatusJson(MakeLogView(nodes, "lpse"));
  EXPECT_EQ(json["nodes"][0]["packages"]["incomplete"], 2);
}

}  // namespace
}  // namespace kembar::ctl
