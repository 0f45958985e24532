// metrics_test.cc — node/http/metrics and snapshot: what is exported, what alarms, and that nothing
// unknown looks well.
#include "node/http/metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

namespace kembar {
namespace {

bool Has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

NodeSnapshot Node() {
  NodeSnapshot snapshot;
  snapshot.node = "tebo";
  snapshot.node_uuid = "u-1";
  snapshot.version = "0.1.0";
  snapshot.peers = {"jambi"};
  snapshot.linked = {"jambi"};
  snapshot.disk_free_bytes = 1000;
  snapshot.disk_reserve_bytes = 10;
  snapshot.stats.appended_records = 12;
  snapshot.stats.write_micros = 2'500'000;
  return snapshot;
}

ReplicaStatus PrimaryStatus() {
  ReplicaStatus status;
  status.role = Role::kPrimary;
  status.state = LogState::kProtected;
  status.epoch = 3 * kFirstEpoch;
  status.primary = "tebo";
  status.last_index = status.durable_index = 100;
  status.commit_index = 98;
  status.hard.promised_epoch = 3 * kFirstEpoch;
  status.peers.push_back({.name = "jambi",
                          .address = "10.0.0.2:7401",
                          .member = true,
                          .connected = true,
                          .durable_index = 98,
                          .commit_index = 97,
                          .level_ms_ago = 1500,
                          .contact_ms_ago = 20,
                          .trouble = {}});
  return status;
}

ReplicaStatus Mirror() {
  ReplicaStatus status;
  status.role = Role::kMirror;
  status.state = LogState::kProtected;
  status.primary = "tebo";
  status.durable_index = status.last_index = 90;
  status.primary_last_index = 100;
  status.primary_contact_ms_ago = 250;
  status.level_ms_ago = 4000;
  return status;
}

TEST(Metrics, DescribeANodeWithoutLogs) {
  const std::string text = RenderMetrics(Node());
  EXPECT_TRUE(Has(text, "kembar_build_info{version=\"0.1.0\",node=\"tebo\",node_uuid=\"u-1\"} 1"))
      << text;
  EXPECT_TRUE(Has(text, "kembar_appended_records_total 12"));
  EXPECT_TRUE(Has(text, "kembar_write_seconds_total 2.5"));
  EXPECT_TRUE(Has(text, "kembar_peer_linked{peer=\"jambi\"} 1"));
  EXPECT_TRUE(Has(text, "kembar_logs 0"));
  EXPECT_TRUE(Has(text, "kembar_healthy 1"));
}

TEST(Metrics, CountPackagesByState) {
  NodeSnapshot snapshot = Node();
  snapshot.packages["tebo"] = {.as_of = 90, .complete = 7, .incomplete = 2, .at_risk = 1};
  const std::string text = RenderMetrics(snapshot);
  EXPECT_TRUE(Has(text, "kembar_log_packages{log=\"tebo\",state=\"complete\"} 7")) << text;
  EXPECT_TRUE(Has(text, "kembar_log_packages{log=\"tebo\",state=\"incomplete\"} 2"));
  EXPECT_TRUE(Has(text, "kembar_log_packages{log=\"tebo\",state=\"at-risk\"} 1"));
  EXPECT_TRUE(Has(text, "kembar_log_packages_counted_index{log=\"tebo\"} 90"));
}

TEST(Metrics, DescribeAPrimary) {
  NodeSnapshot snapshot = Node();
  snapshot.logs["tebo"] = PrimaryStatus();
  const std::string text = RenderMetrics(snapshot);
  EXPECT_TRUE(Has(text, "kembar_log_role{log=\"tebo\",role=\"primary\"} 1")) << text;
  EXPECT_TRUE(Has(text, "kembar_log_role{log=\"tebo\",role=\"mirror\"} 0"));
  EXPECT_TRUE(Has(text, "kembar_log_state{log=\"tebo\",state=\"protected\"} 1"));
  EXPECT_TRUE(Has(text, "kembar_log_state{log=\"tebo\",state=\"solo\"} 0"));
  EXPECT_TRUE(Has(text, "kembar_log_epoch{log=\"tebo\"} 3"));
  EXPECT_TRUE(Has(text, "kembar_log_commit_index{log=\"tebo\"} 98"));
  EXPECT_TRUE(Has(text, "kembar_log_peer_lag_records{log=\"tebo\",peer=\"jambi\"} 2"));
  EXPECT_TRUE(Has(text, "kembar_log_peer_lag_seconds{log=\"tebo\",peer=\"jambi\"} 1.5"));
  EXPECT_TRUE(Has(text, "kembar_log_alarms{log=\"tebo\",severity=\"critical\"} 0"));
  EXPECT_EQ(text.find("kembar_log_lag_seconds"), std::string::npos);
}

TEST(Metrics, DescribeAMirror) {
  NodeSnapshot snapshot = Node();
  snapshot.logs["tebo"] = Mirror();
  const std::string text = RenderMetrics(snapshot);
  EXPECT_TRUE(Has(text, "kembar_log_lag_records{log=\"tebo\"} 10")) << text;
  EXPECT_TRUE(Has(text, "kembar_log_lag_seconds{log=\"tebo\"} 4"));
  EXPECT_TRUE(Has(text, "kembar_log_primary_contact_age_seconds{log=\"tebo\"} 0.25"));
}

TEST(Metrics, NeverShowTheUnknownAsWell) {
  NodeSnapshot snapshot = Node();
  ReplicaStatus mirror;  // has never heard of a primary
  snapshot.logs["new"] = mirror;
  ReplicaStatus primary = PrimaryStatus();
  primary.peers[0].level_ms_ago = -1;
  primary.peers[0].contact_ms_ago = -1;
  primary.peers[0].durable_index = 0;
  snapshot.logs["old"] = primary;
  const std::string text = RenderMetrics(snapshot);
  EXPECT_TRUE(Has(text, "kembar_log_lag_seconds{log=\"new\"} +Inf")) << text;
  EXPECT_TRUE(Has(text, "kembar_log_primary_contact_age_seconds{log=\"new\"} +Inf"));
  EXPECT_TRUE(Has(text, "kembar_log_peer_lag_seconds{log=\"old\",peer=\"jambi\"} +Inf"));
  EXPECT_TRUE(Has(text, "kembar_log_alarms{log=\"new\",severity=\"critical\"} 1"));
}

TEST(Metrics, EscapeLabels) {
  NodeSnapshot snapshot = Node();
  snapshot.logs["a\"b\nc"] = PrimaryStatus();
  EXPECT_TRUE(Has(RenderMetrics(snapshot), "kembar_log_epoch{log=\"a\\\"b\\nc\"} 3"));
}

// Each family once, with HELP and TYPE, whatever the number of logs; each series once.
TEST(Metrics, AreWellFormed) {
  NodeSnapshot snapshot = Node();
  snapshot.logs["a"] = PrimaryStatus();
  snapshot.logs["b"] = Mirror();
  snapshot.quarantines["b"] = 2;
  std::istringstream lines(RenderMetrics(snapshot));
  std::map<std::string, int> helps, types;
  std::set<std::string> series;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, what, name;
    words >> hash >> what >> name;
    if (hash == "#" && what == "HELP") ++helps[name];
    if (hash == "#" && what == "TYPE") ++types[name];
    if (hash == "#") continue;
    EXPECT_EQ(line.find("kembar_"), 0u) << line;
    EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
    EXPECT_EQ(helps[line.substr(0, line.find_first_of("{ "))], 1) << line;
  }
  EXPECT_EQ(helps, types);
  for (const auto& [name, count] : helps) EXPECT_EQ(count, 1) << name;
}

std::vector<Alarm> AlarmsOf(const ReplicaStatus& status, uint64_t quarantines = 0) {
  NodeSnapshot snapshot = Node();
  snapshot.logs["tebo"] = status;
  snapshot.quarantines["tebo"] = quarantines;
  return LogAlarms(snapshot, "tebo");
}

TEST(Alarms, PutTheWorstFirst) {
  ReplicaStatus status = PrimaryStatus();
  EXPECT_TRUE(AlarmsOf(status).empty());
  status.state = LogState::kCatchingUp;
  status.control.lossy = true;
  status.peers[0].trouble = "diverged at index 7";
  const std::vector<Alarm> alarms = AlarmsOf(status, 1);
  ASSERT_EQ(alarms.size(), 4u);
  EXPECT_EQ(alarms[0].kind, AlarmKind::kPeerTrouble);
  EXPECT_EQ(AlarmText(alarms[0]), "trouble with a peer: jambi: diverged at index 7");
  EXPECT_FALSE(alarms[1].critical);
}

TEST(Alarms, ShowEveryBadState) {
  for (const LogState state : {LogState::kStalled, LogState::kSolo, LogState::kNoPrimary}) {
    ReplicaStatus status = Mirror();
    status.state = state;
    ASSERT_EQ(AlarmsOf(status).size(), 1u);
    EXPECT_TRUE(AlarmsOf(status)[0].critical);
  }
  ReplicaStatus status = Mirror();
  status.hard.must_reach = 95;
  ASSERT_EQ(AlarmsOf(status).size(), 1u);
  EXPECT_EQ(AlarmsOf(status)[0].detail, "index 90 of 95");
}

// Tebo, 2019: the backup recorded nothing for eleven days, and all lights were green.
TEST(Alarms, ASilentCaptureIsHeard) {
  constexpr int64_t kDayUs = int64_t{86'400} * 1'000'000;
  NodeSnapshot snapshot = Node();
  snapshot.logs["tebo"] = PrimaryStatus();
  snapshot.wall_us = 20 * kDayUs;
  snapshot.source_silence_ms = 1'800'000;
  snapshot.sources["tebo"] = {
      {.source = "documents/file_prod", .index = 90, .time_us = 20 * kDayUs - 60'000'000},
      {.source = "postgres/epns", .index = 80, .time_us = 9 * kDayUs}};
  const std::vector<Alarm> alarms = LogAlarms(snapshot, "tebo");
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_TRUE(alarms[0].critical);
  EXPECT_EQ(AlarmText(alarms[0]), "a capture is silent: postgres/epns, for 15840 min");
  const std::string text = RenderMetrics(snapshot);
  EXPECT_TRUE(
      Has(text, "kembar_log_source_age_seconds{log=\"tebo\",source=\"documents/file_prod\"} 60"));
  EXPECT_TRUE(Has(text, "kembar_log_alarms{log=\"tebo\",severity=\"critical\"} 1"));
  snapshot.sources["tebo"][1].retired = true;
  EXPECT_TRUE(LogAlarms(snapshot, "tebo").empty());
  snapshot.sources["tebo"][1].retired = false;
  snapshot.source_silence_ms = 0;
  EXPECT_TRUE(LogAlarms(snapshot, "tebo").empty());
}

TEST(Health, IsAboutTheProcessOnly) {
  NodeSnapshot snapshot = Node();
  ReplicaStatus status = Mirror();
  status.state = LogState::kNoPrimary;
  snapshot.logs["tebo"] = status;
  EXPECT_TRUE(Unhealthy(snapshot).empty());
  snapshot.stats.store_error = "fsync failed";
  snapshot.disk_full = true;
  EXPECT_EQ(Unhealthy(snapshot).size(), 2u);
  EXPECT_EQ(Unhealthy(snapshot)[0], "store closed: fsync failed");
}

}  // namespace
}  // namespace kembar
