// metrics.cc — see metrics.h. docs/configuration.md lists those to alert on.
#include "node/http/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include "replicator/log/epoch_history.h"

namespace kembar {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;
using prometheus::MetricType;

// Gathers samples into families; a family is named once and keeps the order of first use.
class Page {
 public:
  void Gauge(const char* name, const char* help, double value, const Labels& labels = {}) {
    Sample(name, help, MetricType::Gauge, labels).gauge.value = value;
  }
  void Counter(const char* name, const char* help, double value, const Labels& labels = {}) {
    Sample(name, help, MetricType::Counter, labels).counter.value = value;
  }
  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  prometheus::ClientMetric& Sample(const char* name, const char* help, MetricType type,
                                   const Labels& labels) {
    auto at = std::find_if(families_.begin(), families_.end(),
                           [name](const auto& family) { return family.name == name; });
    if (at == families_.end()) at = families_.insert(at, {name, help, type, {}});
    prometheus::ClientMetric& sample = at->metric.emplace_back();
    for (const auto& [key, value] : labels) sample.label.push_back({key, value});
    return sample;
  }

  std::vector<prometheus::MetricFamily> families_;
};

double Number(uint64_t value) { return static_cast<double>(value); }
double Flag(bool value) { return value ? 1 : 0; }
// -1 stands for "never" and "not known".
double Seconds(int64_t ms) {
  return ms < 0 ? std::numeric_limits<double>::infinity() : static_cast<double>(ms) / 1000;
}

void AddNode(const NodeSnapshot& s, Page* page) {
  page->Gauge("kembar_build_info", "Program version and identity of the node; always 1.", 1,
              {{"version", s.version}, {"node", s.node}, {"node_uuid", s.node_uuid}});
  page->Gauge("kembar_uptime_seconds", "Time since the node became ready.", Seconds(s.uptime_ms));
  page->Gauge("kembar_healthy", "Whether /healthz answers 200.", Flag(Unhealthy(s).empty()));
  page->Gauge("kembar_store_closed", "Whether a failed write closed the store (fail-stop).",
              Flag(!s.stats.store_error.empty()));
  page->Gauge("kembar_store_bytes", "Size of all files of the store.", Number(s.store_bytes));
  page->Gauge("kembar_disk_free_bytes", "Free space where the store is.",
              Number(s.disk_free_bytes));
  page->Gauge("kembar_disk_reserve_bytes", "Free space below which appends are refused.",
              Number(s.disk_reserve_bytes));
  page->Gauge("kembar_disk_full", "Whether appends are refused for want of space.",
              Flag(s.disk_full));
  std::set<std::string> peers(s.peers.begin(), s.peers.end());
  peers.insert(s.linked.begin(), s.linked.end());
  for (const std::string& peer : peers) {
    const bool linked = std::find(s.linked.begin(), s.linked.end(), peer) != s.linked.end();
    page->Gauge("kembar_peer_refused",
                "Whether the link to the peer is refused because of an identity: an old or copied "
                "data directory.",
                Flag(s.refused_links.contains(peer)), {{"peer", peer}});
    page->Gauge("kembar_peer_linked", "Whether there is a live link to the peer.", Flag(linked),
                {{"peer", peer}});
  }
}

void AddStats(const Engine::Stats& stats, Page* page) {
  page->Counter("kembar_appended_records_total",
                "Records appended here as primary and acknowledged.",
                Number(stats.appended_records));
  page->Counter("kembar_appended_bytes_total", "Bytes of what they carry.",
                Number(stats.appended_bytes));
  page->Counter("kembar_acknowledged_batches_total", "Appends acknowledged to clients.",
                Number(stats.acknowledged_batches));
  page->Counter("kembar_refused_appends_total", "Appends refused.", Number(stats.refused_appends));
  page->Counter("kembar_write_groups_total", "Synced writes of the store (group commits).",
                Number(stats.write_groups));
  page->Counter("kembar_write_group_logs_total", "Logs' parts in those writes.",
                Number(stats.write_group_logs));
  page->Counter("kembar_write_seconds_total", "Time spent in those writes.",
                Number(stats.write_micros) / 1e6);
  page->Counter("kembar_catch_up_bytes_total", "Bytes sent to peers that catch up.",
                Number(stats.catch_up_bytes));
}

void AddBlobs(const BlobSnapshot& s, Page* page) {
  page->Gauge("kembar_blob_chunks", "Chunks of documents held.", Number(s.store.chunks));
  page->Gauge("kembar_blob_bytes", "Bytes of their contents.", Number(s.store.bytes));
  page->Gauge("kembar_blob_disk_bytes", "Size of all files of the store of chunks.",
              Number(s.disk_bytes));
  page->Gauge("kembar_blob_aside", "Chunks set aside because they failed their check.",
              Number(s.store.aside));
  page->Gauge("kembar_blob_wanted", "Chunks that are on their way here.", Number(s.wanted));
  page->Counter("kembar_blob_stored_chunks_total", "New chunks stored.",
                Number(s.store.put_chunks));
  page->Counter("kembar_blob_stored_bytes_total", "Bytes of these.", Number(s.store.put_bytes));
  page->Counter("kembar_blob_duplicate_chunks_total", "Chunks given that were held already.",
                Number(s.store.duplicates));
  page->Counter("kembar_blob_failed_checks_total",
                "Chunks read whose bytes were not what their name says.",
                Number(s.store.failed_checks));
  page->Counter("kembar_blob_exchange_sent_bytes_total", "Bytes of chunks sent to other nodes.",
                Number(s.exchange.sent_bytes));
  page->Counter("kembar_blob_exchange_sent_chunks_total", "Chunks sent to other nodes.",
                Number(s.exchange.sent_chunks));
  page->Counter("kembar_blob_exchange_received_bytes_total",
                "Bytes of chunks that came from other nodes.", Number(s.exchange.received_bytes));
  page->Counter("kembar_blob_exchange_received_chunks_total",
                "Chunks that came whole from other nodes.", Number(s.exchange.received_chunks));
  page->Counter("kembar_blob_exchange_bad_chunks_total",
                "Chunks from other nodes whose bytes were not what their name says.",
                Number(s.exchange.bad_chunks));
  for (const auto& [log, stats] : s.logs) {
    page->Gauge("kembar_log_documents_missing",
                "Versions of documents that are not whole here; see also the checked index.",
                Number(stats.documents_missing), {{"log", log}});
    page->Gauge("kembar_log_documents_checked_index",
                "Records up to here have been looked at for documents.", Number(stats.checked_to),
                {{"log", log}});
  }
}

void AddPackages(const std::map<std::string, PackageCounts>& packages, Page* page) {
  for (const auto& [log, counts] : packages) {
    const std::array states = {std::pair("complete", counts.complete),
                               std::pair("incomplete", counts.incomplete),
                               std::pair("at-risk", counts.at_risk)};
    for (const auto& [state, count] : states) {
      page->Gauge("kembar_log_packages", "Packages by what this node knows of them.", Number(count),
                  {{"log", log}, {"state", state}});
    }
    page->Gauge("kembar_log_packages_counted_index",
                "Records up to here were looked at when packages were counted last.",
                Number(counts.as_of), {{"log", log}});
  }
}

void AddOneHot(const std::string& log, const ReplicaStatus& s, Page* page) {
  for (const Role role : {Role::kPrimary, Role::kMirror}) {
    page->Gauge("kembar_log_role", "1 for the role that this node has in the log.",
                Flag(s.role == role),
                {{"log", log}, {"role", role == Role::kPrimary ? "primary" : "mirror"}});
  }
  constexpr std::array kStates = {LogState::kProtected, LogState::kCatchingUp, LogState::kStalled,
                                  LogState::kSolo, LogState::kNoPrimary};
  for (const LogState state : kStates) {
    page->Gauge("kembar_log_state", "1 for the state of the log as this node sees it.",
                Flag(s.state == state),
                {{"log", log}, {"state", std::string(LogStateName(state))}});
  }
  for (const Mode mode : {Mode::kMaxProtection, Mode::kMaxAvailability, Mode::kMaxPerformance}) {
    page->Gauge("kembar_log_mode", "1 for the protection mode of the log.",
                Flag(s.control.config.mode == mode),
                {{"log", log}, {"mode", std::string(ModeName(mode))}});
  }
}

void AddPositions(const std::string& log, const ReplicaStatus& s, Page* page) {
  const auto gauge = [&](const char* name, const char* help, uint64_t value) {
    page->Gauge(name, help, Number(value), {{"log", log}});
  };
  gauge("kembar_log_epoch", "Reign that this node follows or leads.", EpochNumber(s.epoch));
  gauge("kembar_log_promised_epoch", "This node follows no epoch below it.",
        EpochNumber(s.hard.promised_epoch));
  gauge("kembar_log_seen_epoch", "Highest epoch in which a primary is known to have reigned.",
        EpochNumber(s.hard.seen_epoch));
  gauge("kembar_log_last_index", "Last record taken in here.", s.last_index);
  gauge("kembar_log_durable_index", "Last record synced to disk here.", s.durable_index);
  gauge("kembar_log_commit_index", "Last record known to be committed.", s.commit_index);
  gauge("kembar_log_must_reach_index",
        "What this node once acknowledged, as a peer remembers it; above the durable index it "
        "has lost records.",
        s.hard.must_reach);
  gauge("kembar_log_sync_mirrors", "Mirrors that an acknowledgement is meant to need.",
        s.control.config.sync_mirrors);
  page->Gauge("kembar_log_solo", "Whether the primary acknowledges without a mirror.",
              Flag(s.control.config.solo), {{"log", log}});
  page->Gauge("kembar_log_paused", "Whether appends are paused (switchover).", Flag(s.paused),
              {{"log", log}});
}

void AddMirror(const std::string& log, const ReplicaStatus& s, Page* page) {
  page->Gauge("kembar_log_lag_records", "Mirror: records that the primary has and this node not.",
              Number(MirrorLagRecords(s)), {{"log", log}});
  page->Gauge("kembar_log_lag_seconds",
              "Mirror: time since this node held all that the primary had; +Inf: never did.",
              Seconds(MirrorLagMs(s)), {{"log", log}});
  page->Gauge("kembar_log_primary_contact_age_seconds",
              "Mirror: time since the primary was heard; +Inf: never.",
              Seconds(s.primary_contact_ms_ago), {{"log", log}});
}

void AddPeers(const std::string& log, const ReplicaStatus& s, Page* page) {
  for (const PeerStatus& peer : s.peers) {
    const Labels labels = {{"log", log}, {"peer", peer.name}};
    const uint64_t lag = s.last_index > peer.durable_index ? s.last_index - peer.durable_index : 0;
    page->Gauge("kembar_log_peer_member", "Primary: whether the peer counts as a mirror.",
                Flag(peer.member), labels);
    page->Gauge("kembar_log_peer_connected", "Primary: whether the peer is connected.",
                Flag(peer.connected), labels);
    page->Gauge("kembar_log_peer_durable_index",
                "Primary: last index that the peer acknowledged, its root verified.",
                Number(peer.durable_index), labels);
    page->Gauge("kembar_log_peer_lag_records", "Primary: records that the peer does not hold.",
                Number(lag), labels);
    page->Gauge("kembar_log_peer_lag_bytes",
                "Primary: bytes of those records; estimated for what is not in memory any more.",
                Number(peer.lag_bytes), labels);
    page->Gauge("kembar_log_peer_lag_seconds",
                "Primary: time since the peer held everything; +Inf: not in this reign.",
                Seconds(LagMs(peer.durable_index, s.last_index, peer.level_ms_ago)), labels);
    page->Gauge("kembar_log_peer_contact_age_seconds",
                "Primary: time since the peer was heard; +Inf: never.",
                Seconds(peer.contact_ms_ago), labels);
    page->Gauge("kembar_log_peer_trouble", "Primary: whether the peer diverged or refuses.",
                Flag(!peer.trouble.empty()), labels);
  }
}

void AddSources(const NodeSnapshot& snapshot, const std::string& log, Page* page) {
  const auto sources = snapshot.sources.find(log);
  if (sources == snapshot.sources.end()) return;
  for (const SourceSeen& source : sources->second) {
    if (source.retired) continue;
    page->Gauge("kembar_log_source_age_seconds",
                "Time since a capture was last heard in the committed log.",
                Seconds(SilentMs(snapshot, source)), {{"log", log}, {"source", source.source}});
  }
}

void AddAlarms(const NodeSnapshot& snapshot, const std::string& log, Page* page) {
  const std::vector<Alarm> alarms = LogAlarms(snapshot, log);
  const auto critical = static_cast<uint64_t>(
      std::count_if(alarms.begin(), alarms.end(), [](const Alarm& a) { return a.critical; }));
  constexpr char kHelp[] = "Alarms of the log, as the status page lists them.";
  page->Gauge("kembar_log_alarms", kHelp, Number(critical),
              {{"log", log}, {"severity", "critical"}});
  page->Gauge("kembar_log_alarms", kHelp, Number(alarms.size() - critical),
              {{"log", log}, {"severity", "warning"}});
  page->Gauge("kembar_log_quarantines", "Sets of divergent records kept apart.",
              Number(Quarantines(snapshot, log)), {{"log", log}});
}

}  // namespace

std::string RenderMetrics(const NodeSnapshot& snapshot) {
  Page page;
  AddNode(snapshot, &page);
  AddStats(snapshot.stats, &page);
  AddBlobs(snapshot.blobs, &page);
  AddPackages(snapshot.packages, &page);
  page.Gauge("kembar_logs", "Logs that this node holds.", Number(snapshot.logs.size()));
  for (const auto& [log, status] : snapshot.logs) {
    AddOneHot(log, status, &page);
    AddPositions(log, status, &page);
    if (status.role == Role::kMirror) AddMirror(log, status, &page);
    AddPeers(log, status, &page);
    AddSources(snapshot, log, &page);
    AddAlarms(snapshot, log, &page);
  }
  return page.Text();
}

}  // namespace kembar
