// status_view.cc — see status_view.h.
#include "tools/kembarctl/status_view.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "replicator/log/epoch_history.h"
#include "tools/client/convert.h"

namespace kembar::ctl {
namespace {

constexpr int64_t kSilenceMs = 5'000;  // older contact does not count as a link

using client::NodeView;

// What one node said of the log, with the node that said it.
struct Voice {
  const NodeView* node = nullptr;
  const v1::LogStatus* log = nullptr;
};

std::vector<Voice> Voices(const std::vector<NodeView>& nodes, const std::string& log) {
  std::vector<Voice> voices;
  for (const NodeView& node : nodes) {
    if (const v1::LogStatus* status = node.Log(log)) voices.push_back({&node, status});
  }
  return voices;
}

bool IsPrimary(const Voice& voice) { return voice.log->role() == "primary"; }

// The voice that speaks for the log: the reigning primary, or the best informed mirror.
const Voice* Speaker(const std::vector<Voice>& voices) {
  const Voice* best = nullptr;
  const auto rank = [](const Voice& v) {
    return std::tuple(IsPrimary(v), v.log->epoch(), v.log->state() != "no-primary",
                      v.log->commit_index());
  };
  for (const Voice& voice : voices) {
    if (best == nullptr || rank(voice) > rank(*best)) best = &voice;
  }
  return best;
}

const v1::LogStatus* LatestControl(const std::vector<Voice>& voices) {
  const v1::LogStatus* latest = nullptr;
  for (const Voice& voice : voices) {
    if (voice.log->control_index() == 0) continue;
    if (latest == nullptr || std::tuple(voice.log->epoch(), voice.log->control_index()) >
                                 std::tuple(latest->epoch(), latest->control_index())) {
      latest = voice.log;
    }
  }
  return latest;
}

const v1::PeerStatus* PeerOf(const Voice& voice, const std::string& name) {
  for (const v1::PeerStatus& peer : voice.log->peers()) {
    if (peer.name() == name) return &peer;
  }
  return nullptr;
}

// The latest contact between `name` and any other node, as either side tells it.
void SetContact(const std::vector<Voice>& voices, NodeRow* row) {
  const auto note = [&](const Voice& voice, int64_t ms_ago, bool connected) {
    if (ms_ago < 0) return;
    const int64_t time = voice.node->status.wall_us() - ms_ago * 1000;
    if (!row->last_contact_us || time > *row->last_contact_us) row->last_contact_us = time;
    if (connected && ms_ago <= kSilenceMs) row->linked = true;
  };
  for (const Voice& voice : voices) {
    const bool own = voice.node->name == row->name;
    for (const v1::PeerStatus& peer : voice.log->peers()) {
      if (own || peer.name() == row->name) note(voice, peer.contact_ms_ago(), peer.connected());
    }
    if (!IsPrimary(voice) && (own || voice.log->primary() == row->name)) {
      note(voice, voice.log->primary_contact_ms_ago(), voice.log->state() != "no-primary");
    }
  }
}

void AddTrouble(const std::string& text, NodeRow* row) {
  if (text.empty() || row->trouble.find(text) != std::string::npos) return;
  row->trouble += (row->trouble.empty() ? "" : "; ") + text;
}

void SetOwnWords(const Voice& voice, NodeRow* row) {
  row->role = voice.log->role();
  row->durable_index = voice.log->durable_index();
  row->commit_index = voice.log->commit_index();
  row->quarantines = voice.log->quarantines();
  if (voice.log->has_packages()) {
    const v1::PackageTotals& totals = voice.log->packages();
    row->packages = {.complete = totals.complete(),
                     .incomplete = totals.incomplete(),
                     .at_risk = totals.at_risk()};
  }
  AddTrouble(voice.log->trouble(), row);
  AddTrouble(voice.log->hard().alarm(), row);
}

// What the primary knows of a mirror, for what the mirror could not be asked.
void SetPeerWords(const v1::PeerStatus& peer, NodeRow* row) {
  AddTrouble(peer.trouble(), row);
  row->lag_bytes = peer.lag_bytes();
  if (peer.contact_ms_ago() < 0 && peer.durable_index() == 0) return;
  if (!row->durable_index) row->durable_index = peer.durable_index();
  if (!row->commit_index) row->commit_index = peer.commit_index();
}

void SetLag(const LogView& view, const Voice* own, const v1::PeerStatus* peer, NodeRow* row) {
  if (!row->durable_index) return;
  // Only what the primary has found equal to its own counts: a log that went another way lags too.
  uint64_t equal = *row->durable_index;
  if (peer != nullptr && row->name != view.primary) equal = std::min(equal, peer->durable_index());
  row->lag_records = view.last_index - std::min(view.last_index, equal);
  if (own != nullptr && IsPrimary(*own) && row->name == view.primary) {
    row->lag_seconds = 0;
    return;
  }
  int64_t level_ms = own != nullptr ? own->log->level_ms_ago() : -1;
  if (peer != nullptr && peer->level_ms_ago() >= 0 && row->linked) {
    level_ms = level_ms < 0 ? peer->level_ms_ago() : std::min(level_ms, peer->level_ms_ago());
  } else if (peer != nullptr && level_ms < 0) {
    level_ms = peer->level_ms_ago();
  }
  if (level_ms < 0) return;
  const bool level = *row->lag_records == 0 && row->linked && level_ms <= kSilenceMs;
  row->lag_seconds = level ? 0.0 : static_cast<double>(level_ms) / 1000;
}

NodeRow MakeRow(const NodeView& node, const std::vector<Voice>& voices, const LogView& view,
                const v1::LogStatus* control) {
  NodeRow row{.name = node.name.empty() ? node.address : node.name, .address = node.address};
  row.reachable = node.reachable;
  row.version = node.status.version();
  row.disk_full = node.status.disk_full();
  if (control != nullptr) {
    const auto& config = control->control().config();
    for (const auto& member : config.members()) row.counts |= member.name() == row.name;
    for (const auto& member : config.left_out()) {
      if (member.name() == row.name && row.role.empty()) row.role = "left-out";
    }
  }
  const Voice* own = nullptr;
  const v1::PeerStatus* peer = nullptr;
  for (const Voice& voice : voices) {
    if (voice.node->name == row.name) own = &voice;
    if (IsPrimary(voice) && voice.node->name == view.primary) peer = PeerOf(voice, row.name);
  }
  const bool left_out = row.role == "left-out";
  if (own != nullptr) SetOwnWords(*own, &row);
  if (left_out && row.role == "mirror") row.role = "left-out";
  if (own == nullptr && row.role.empty() && row.counts) {
    row.role = row.name == view.primary ? "primary" : "mirror";
  }
  if (row.role == "mirror" && !row.counts && control != nullptr) row.role = "removed";
  if (peer != nullptr) SetPeerWords(*peer, &row);
  if (!row.reachable) AddTrouble("does not answer", &row);
  SetContact(voices, &row);
  SetLag(view, own, peer, &row);
  return row;
}

void SetAlarms(const std::vector<Voice>& voices, LogView* view) {
  for (const Voice& voice : voices) {
    const std::string& alarm = voice.log->hard().alarm();
    if (!alarm.empty()) view->alarms.push_back(voice.node->name + ": " + alarm);
    for (const v1::PeerStatus& peer : voice.log->peers()) {
      if (IsPrimary(voice) && !peer.trouble().empty() && peer.member()) {
        view->alarms.push_back(peer.name() + ": " + peer.trouble());
      }
    }
    if (IsPrimary(voice) && voice.node->name != view->primary) {
      view->alarms.push_back(voice.node->name + " still calls itself primary, of epoch " +
                             EpochText(voice.log->epoch()));
    }
    if (voice.log->hard().promised_epoch() > view->epoch) {
      view->alarms.push_back(voice.node->name + " has promised epoch " +
                             EpochText(voice.log->hard().promised_epoch()) + " to " +
                             voice.log->hard().promised_to() + ": a failover is not finished");
    }
  }
}

// Two nodes that won't talk because one of them is not who it should be.
void SetRefusedLinks(const std::vector<NodeView>& nodes, LogView* view) {
  for (const NodeView& node : nodes) {
    for (const v1::LinkTrouble& refused : node.status.refused_links()) {
      const std::string text =
          node.name + ": no link with " + refused.node() + ": " + refused.text();
      view->alarms.push_back(text);
    }
  }
}

// Of what the nodes say of each capture, the newest; a replaced primary's own history does not
// count.
void SetSources(const std::vector<Voice>& voices, LogView* view) {
  std::map<std::string, SourceRow> rows;
  uint64_t newest = 0;
  for (const Voice& voice : voices) newest = std::max(newest, voice.log->epoch());
  for (const Voice& voice : voices) {
    if (voice.log->epoch() != newest) continue;
    for (const v1::SourceStatus& source : voice.log->sources()) {
      SourceRow& row = rows[source.source()];
      if (row.last_index > source.last_index()) continue;
      const int64_t age_us = voice.node->status.wall_us() - source.last_time_us();
      row = {.name = source.source(),
             .last_index = source.last_index(),
             .last_time_us = source.last_time_us(),
             .age_seconds = static_cast<double>(std::max<int64_t>(age_us, 0)) / 1e6,
             .retired = source.retired() || (row.retired && row.last_index == source.last_index())};
    }
  }
  for (auto& [name, row] : rows) view->sources.push_back(std::move(row));
}

Json PackagesJson(const std::optional<PackageTally>& packages) {
  if (!packages) return nullptr;
  return {{"complete", packages->complete},
          {"incomplete", packages->incomplete},
          {"at_risk", packages->at_risk}};
}

}  // namespace

LogView MakeLogView(const std::vector<NodeView>& asked, const std::string& log) {
  LogView view{.log = log, .mode = "unknown", .state = "no-primary"};
  const std::vector<NodeView> nodes = client::OfLog(asked, log);
  const std::vector<Voice> voices = Voices(nodes, log);
  if (const Voice* speaker = Speaker(voices)) {
    view.primary_reachable = IsPrimary(*speaker);
    view.primary = view.primary_reachable ? speaker->node->name : speaker->log->primary();
    if (!speaker->log->state().empty()) view.state = speaker->log->state();
    view.epoch = speaker->log->epoch();
    view.commit_index = speaker->log->commit_index();
    view.last_index = speaker->log->last_index();
  }
  for (const Voice& voice : voices) {
    view.last_index =
        view.primary_reachable
            ? view.last_index
            : std::max({view.last_index, voice.log->last_index(), voice.log->primary_last_index()});
  }
  const v1::LogStatus* control = LatestControl(voices);
  if (control != nullptr) {
    const auto& config = control->control().config();
    view.mode = client::ModeText(config.mode());
    view.sync_mirrors = config.sync_mirrors();
    view.mirrors = config.members_size() > 0 ? static_cast<size_t>(config.members_size()) - 1 : 0;
    for (const auto& member : config.left_out()) view.left_out.push_back(member.name());
  }
  SetAlarms(voices, &view);
  SetRefusedLinks(nodes, &view);
  SetSources(voices, &view);
  for (const NodeView& node : nodes) view.nodes.push_back(MakeRow(node, voices, view, control));
  return view;
}

Json SourcesJson(const LogView& view) {
  Json sources = Json::array();
  for (const SourceRow& row : view.sources) {
    sources.push_back({{"source", row.name},
                       {"last_index", row.last_index},
                       {"last_time", JsonTime(row.last_time_us)},
                       {"age_seconds", row.age_seconds},
                       {"retired", row.retired}});
  }
  return sources;
}

Json StatusJson(const LogView& view) {
  Json nodes = Json::array();
  for (const NodeRow& row : view.nodes) {
    nodes.push_back({{"name", row.name},
                     {"address", row.address},
                     {"role", row.role},
                     {"reachable", row.reachable},
                     {"durable_index", OrNull(row.durable_index)},
                     {"commit_index", OrNull(row.commit_index)},
                     {"lag_records", OrNull(row.lag_records)},
                     {"lag_bytes", OrNull(row.lag_bytes)},
                     {"lag_seconds", OrNull(row.lag_seconds)},
                     {"last_contact",
                      row.last_contact_us ? Json(JsonTime(*row.last_contact_us)) : Json(nullptr)},
                     {"packages", PackagesJson(row.packages)},
                     {"trouble", row.trouble},
                     {"quarantines", row.quarantines},
                     {"version", row.version}});
  }
  return Json{{"log", view.log},
              {"epoch", EpochNumber(view.epoch)},
              {"restarts", EpochRestarts(view.epoch)},
              {"primary", view.primary.empty() ? Json(nullptr) : Json(view.primary)},
              {"mode", view.mode},
              {"state", view.state},
              {"last_index", view.last_index},
              {"commit_index", view.commit_index},
              {"sync_mirrors", view.sync_mirrors},
              {"left_out", view.left_out},
              {"alarms", view.alarms},
              {"sources", SourcesJson(view)},
              {"nodes", std::move(nodes)}};
}

}  // namespace kembar::ctl
