// engine_fixture.h — nodes for tests: an Engine over a MemoryStore each, joined in memory by a
// switchable line, or left apart.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "node/engine.h"
#include "replicator/log/memory_store.h"

namespace kembar::testing {

// Asks until `done` says yes, at most ten seconds.
inline bool WaitUntil(const std::function<bool()>& done) {
  std::mutex mutex;
  std::condition_variable never;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::unique_lock lock(mutex);
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    never.wait_for(lock, std::chrono::milliseconds(2));
  }
  return true;
}

inline Draft MakeDraft(const std::string& item, std::string payload = "isi") {
  return {.package = "tender/1", .item = item, .payload = std::move(payload)};
}

inline AppendRequest MakeAppend(uint64_t position, std::string payload = "isi") {
  AppendRequest request;
  request.source = "uji";
  request.position = position;
  request.drafts.push_back(MakeDraft("item-" + std::to_string(position), std::move(payload)));
  return request;
}

inline ControlState MakeControl(const std::vector<std::string>& members,
                                Mode mode = Mode::kMaxProtection) {
  ControlState state;
  state.log_uuid = "uuid-of-log";
  state.actor = "test";
  for (const std::string& name : members) state.config.members.push_back({name, name + ":1"});
  state.config.mode = mode;
  return state;
}

class Nodes;

struct TestNode {
  TestNode(const std::string& name_in, Nodes* nodes);
  ~TestNode() { engine->Stop(); }

  std::future<Reply> Append(const std::string& log, AppendRequest request,
                            Ticket* ticket = nullptr) {
    auto promise = std::make_shared<std::promise<Reply>>();
    const Ticket made = engine->Append(
        log, std::move(request), [promise](const Reply& reply) { promise->set_value(reply); });
    if (ticket != nullptr) *ticket = made;
    return promise->get_future();
  }
  Reply Order(const std::string& log, Event order) {
    std::promise<Reply> promise;
    auto future = promise.get_future();
    engine->Order(log, std::move(order), [&](const Reply& reply) { promise.set_value(reply); });
    return future.get();
  }
  ReplicaStatus StatusOf(const std::string& log) {
    auto all = engine->ReadStatus(log);
    return all.ok() ? all->at(log) : ReplicaStatus();
  }

  const std::string name;
  MemoryStore store;
  bool accepts_logs = true;
  std::unique_ptr<Engine> engine;
};

// All nodes of a test. Nodes are made first, then linked.
class Nodes {
 public:
  ~Nodes() {
    for (auto& [name, node] : nodes_) node->engine->Stop();
  }
  TestNode& Add(const std::string& name) {
    auto node = std::make_unique<TestNode>(name, this);
    TestNode& made = *node;
    {
      std::lock_guard lock(mutex_);
      nodes_.emplace(name, std::move(node));
    }
    EXPECT_TRUE(made.engine->Start().ok());
    return made;
  }
  void Link(const std::string& a, const std::string& b, bool up) {
    {
      std::lock_guard lock(mutex_);
      up_[{a, b}] = up_[{b, a}] = up;
    }
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      Engine& engine = *nodes_.at(from)->engine;
      up ? engine.PeerConnected(to) : engine.PeerDisconnected(to);
    }
  }
  void Send(const std::string& from, const std::string& to, const std::string& log,
            Message message) {
    Engine* engine = nullptr;
    {
      std::lock_guard lock(mutex_);
      auto link = up_.find({from, to});
      if (link != up_.end() && link->second) engine = nodes_.at(to)->engine.get();
    }
    if (engine != nullptr) engine->PeerMessage(from, log, std::move(message));
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<TestNode>> nodes_;
  std::map<std::pair<std::string, std::string>, bool> up_;
};

inline TestNode::TestNode(const std::string& name_in, Nodes* nodes)
    : name(name_in), store("uuid-" + name_in) {
  EngineOptions options;
  options.node = name;
  options.address = name + ":1";
  options.heartbeat_ms = 20;
  options.silence_ms = 1'000;
  options.accept_log = [this](const std::string&, const std::string&) { return accepts_logs; };
  engine = std::make_unique<Engine>(
      options, &store,
      [nodes, from = name](const std::string& to, const std::string& log, Message message) {
        if (nodes != nullptr) nodes->Send(from, to, log, std::move(message));
      });
}

}  // namespace kembar::testing
