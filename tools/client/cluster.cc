// cluster.cc — see cluster.h.
#include "tools/client/cluster.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <set>
#include <thread>

#include "tools/client/rpc_status.h"

namespace kembar::client {
namespace {

constexpr int kDiscoveryRoundsMax = 4;

struct Mention {
  std::string name;
  std::string address;
};

// Name or address may be empty: not said.
void AddMentions(const v1::LogStatus& log, std::vector<Mention>* mentions) {
  for (const auto& member : log.control().config().members()) {
    mentions->push_back({member.name(), member.address()});
  }
  for (const auto& member : log.control().config().left_out()) {
    mentions->push_back({member.name(), member.address()});
  }
  for (const auto& peer : log.peers()) mentions->push_back({peer.name(), peer.address()});
  mentions->push_back({log.primary(), log.primary_address()});
}

// Of all logs, only what can be asked.
std::vector<Mention> MentionsOf(const v1::StatusResponse& status) {
  std::vector<Mention> mentions;
  for (const v1::LogStatus& log : status.logs()) AddMentions(log, &mentions);
  std::erase_if(mentions, [](const Mention& m) { return m.name.empty() || m.address.empty(); });
  return mentions;
}

bool IsMentioned(const NodeView& view, const std::vector<Mention>& mentions) {
  return std::any_of(mentions.begin(), mentions.end(), [&view](const Mention& mention) {
    const bool named = !view.name.empty() && mention.name == view.name;
    return named || (!view.address.empty() && mention.address == view.address);
  });
}

std::string Join(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

const v1::LogStatus* NodeView::Log(const std::string& log) const {
  if (!reachable) return nullptr;
  for (const v1::LogStatus& status_of_log : status.logs()) {
    if (status_of_log.log() == log) return &status_of_log;
  }
  return nullptr;
}

std::vector<NodeView> Unasked(const std::vector<NodeView>& views) {
  std::set<std::string> addresses;
  std::set<std::string> answered;
  for (const NodeView& view : views) {
    addresses.insert(view.address);
    if (view.reachable) answered.insert(view.name);
  }
  std::vector<NodeView> fresh;
  for (const NodeView& view : views) {
    for (const Mention& mention : MentionsOf(view.status)) {
      if (answered.contains(mention.name) || !addresses.insert(mention.address).second) continue;
      fresh.push_back({.name = mention.name, .address = mention.address});
    }
  }
  return fresh;
}

std::vector<NodeView> Merge(std::vector<NodeView> views) {
  std::vector<Mention> mentions;
  for (const NodeView& view : views) {
    for (Mention& mention : MentionsOf(view.status)) mentions.push_back(std::move(mention));
  }
  for (NodeView& view : views) {
    for (const Mention& mention : mentions) {
      if (view.name.empty() && mention.address == view.address) view.name = mention.name;
    }
  }
  std::stable_partition(views.begin(), views.end(), [](const NodeView& v) { return v.reachable; });
  std::vector<NodeView> merged;
  std::set<std::string> seen;
  for (NodeView& view : views) {
    const std::string& key = view.name.empty() ? view.address : view.name;
    if (seen.insert(key).second) merged.push_back(std::move(view));
  }
  std::stable_sort(merged.begin(), merged.end(),
                   [](const NodeView& a, const NodeView& b) { return a.name < b.name; });
  return merged;
}

std::vector<NodeView> OfLog(const std::vector<NodeView>& views, const std::string& log) {
  std::vector<Mention> of_log;
  std::vector<Mention> of_all;
  for (const NodeView& view : views) {
    for (const v1::LogStatus& status : view.status.logs()) {
      AddMentions(status, &of_all);
      if (status.log() == log) AddMentions(status, &of_log);
    }
  }
  std::vector<NodeView> nodes;
  for (const NodeView& view : views) {
    const bool unknown = !view.reachable && !IsMentioned(view, of_all);
    if (view.Log(log) != nullptr || IsMentioned(view, of_log) || unknown) nodes.push_back(view);
  }
  return nodes;
}

Cluster::Cluster(std::vector<std::string> seeds, std::shared_ptr<ChannelPool> channels,
                 Millis status_timeout)
    : seeds_(std::move(seeds)), channels_(std::move(channels)), status_timeout_(status_timeout) {}

void Cluster::AskAll(std::vector<NodeView>* views) const {
  const auto ask = [this](NodeView* view) {
    grpc::ClientContext context;
    Deadline::After(status_timeout_).ApplyTo(&context);
    const auto stubs = channels_->Get(view->address);
    const grpc::Status status = stubs->admin->Status(&context, {}, &view->status);
    view->error = FromGrpc(status, context);
    view->reachable = status.ok();
    if (view->reachable) view->name = view->status.node();
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < views->size(); ++i) threads.emplace_back(ask, &(*views)[i]);
  if (!views->empty()) ask(&views->front());
  for (std::thread& thread : threads) thread.join();
}

Status Cluster::Refresh() {
  std::vector<NodeView> all;
  std::vector<NodeView> round;
  // What was known before is asked along with the seeds: it may be all that is left.
  std::set<std::string> addresses;
  for (const std::string& seed : seeds_) {
    if (addresses.insert(seed).second) round.push_back({.address = seed});
  }
  for (const NodeView& view : nodes_) {
    if (addresses.insert(view.address).second) {
      round.push_back({.name = view.name, .address = view.address});
    }
  }
  for (int i = 0; i < kDiscoveryRoundsMax && !round.empty(); ++i) {
    AskAll(&round);
    std::move(round.begin(), round.end(), std::back_inserter(all));
    round = Unasked(all);
  }
  nodes_ = Merge(std::move(all));
  std::string tried;
  for (const NodeView& view : nodes_) {
    if (view.reachable) return Status::Ok();
    tried += (tried.empty() ? "" : "; ") + view.address + ": " + view.error.message();
  }
  return Status(Code::kUnavailable, "no node answers: " + tried,
                "check --node (or KEMBAR_NODE) and whether kembard runs there");
}

std::vector<NodeView> Cluster::NodesOf(const std::string& log) const { return OfLog(nodes_, log); }

Result<std::string> Cluster::ResolveLog(const std::string& wanted) const {
  std::set<std::string> logs;
  for (const NodeView& view : nodes_) {
    for (const v1::LogStatus& log : view.status.logs()) logs.insert(log.log());
  }
  if (!wanted.empty()) {
    if (logs.contains(wanted)) return wanted;
    return Status(Code::kNotFound, "no reachable node holds log " + wanted,
                  logs.empty() ? "there is no log yet; see kembarctl log create"
                               : "there are: " + Join(logs));
  }
  if (logs.size() == 1) return *logs.begin();
  if (logs.empty()) {
    return Status(Code::kNotFound, "the reachable nodes hold no log",
                  "make one with kembarctl log create");
  }
  return Status(Code::kInvalid, "there are several logs: " + Join(logs), "name one with --log");
}

const NodeView* Cluster::Find(const std::string& name) const {
  for (const NodeView& view : nodes_) {
    if (view.name == name) return &view;
  }
  return nullptr;
}

const NodeView* Cluster::Primary(const std::string& log) const {
  const NodeView* best = nullptr;
  for (const NodeView& view : nodes_) {
    const v1::LogStatus* status = view.Log(log);
    if (status == nullptr || status->role() != "primary") continue;
    if (best == nullptr || status->epoch() > best->Log(log)->epoch()) best = &view;
  }
  return best;
}

const NodeView* Cluster::BestReader(const std::string& log) const {
  if (const NodeView* primary = Primary(log)) return primary;
  const NodeView* best = nullptr;
  for (const NodeView& view : nodes_) {
    const v1::LogStatus* holds = view.Log(log);
    if (holds == nullptr) continue;
    if (best == nullptr || holds->commit_index() > best->Log(log)->commit_index()) best = &view;
  }
  return best;
}

Result<const NodeView*> Cluster::WaitForPrimary(const std::string& log, const Deadline& deadline) {
  Backoff backoff;
  while (true) {
    Status status = Refresh();
    if (status.ok()) {
      if (const NodeView* primary = Primary(log)) return primary;
      status = Status(Code::kUnavailable, "log " + log + " has no reachable primary",
                      "see kembarctl status; if its site is lost: kembarctl failover");
    }
    if (!backoff.Wait(deadline)) return status;
  }
}

}  // namespace kembar::client
