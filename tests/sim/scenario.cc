// scenario.cc — see scenario.h and scenarios/README.md.
#include "tests/sim/scenario.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

#include "tests/sim/words.h"
#include "tests/sim/world.h"

namespace kembar::sim {
namespace {

constexpr size_t kStampWidth = 11;

using Words = std::vector<std::string>;

class Story {
 public:
  Story() : trace_(0) {
    trace_.set_sink([this](const std::string& line) { told_ += line.substr(kStampWidth) + "\n"; });
  }

  // Carries one command out; false if it is none.
  bool Do(const Words& words);
  // What was told since the last call.
  std::string Told() { return std::exchange(told_, {}); }

 private:
  void Begin(const Words& words);
  bool DoToNode(const Words& words);
  bool DoOffice(const Words& words);
  void Append(const Words& words);
  void Status();
  void Quarantines(const std::string& name);
  void Say(const std::string& text) { told_ += text + "\n"; }

  Trace trace_;
  std::string told_;
  std::unique_ptr<World> world_;
  int orders_ = 0;
};

void Story::Begin(const Words& words) {
  WorldOptions options;
  options.nodes.clear();
  options.chance = options.trace_messages = false;
  options.may_lose = true;
  options.replica.silence_ms = 1'000;
  options.network.keepalive_us = 1'000 * kMs;
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    const size_t equals = word.find('=');
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (value.empty()) {
      options.nodes.push_back(word);
    } else if (word[0] == 'k') {
      options.sync_mirrors = static_cast<uint32_t>(std::stoul(value));
    } else if (word[0] == 's') {
      options.solo_after_ms = static_cast<uint32_t>(std::stoul(value));
    } else {
      options.mode = ModeFromName(value).value_or(Mode::kMaxProtection);
    }
  }
  world_ = std::make_unique<World>(1, options, &trace_);
  world_->Begin();
  world_->RunFor(300 * kMs);
}

bool Story::DoToNode(const Words& words) {
  if (words.size() != 2 || !world_->nodes().contains(words[1])) return false;
  Node& node = world_->node(words[1]);
  const std::string& verb = words[0];
  if (verb == "crash") {
    node.Crash(0);
  } else if (verb == "start") {
    node.Start();
  } else if (verb == "wipe") {
    node.Wipe();
  } else if (verb == "keep") {
    node.SaveDisk();
  } else if (verb == "restore") {
    if (!node.has_saved()) return false;
    node.RestoreDisk();
  } else if (verb == "pause") {
    node.Pause();
  } else if (verb == "wake") {
    node.Resume();
  } else if (verb == "full" || verb == "freed") {
    node.Post(DiskSpace{verb == "full"});
  } else if (verb == "quarantine") {
    Quarantines(words[1]);
  } else {
    return false;
  }
  return true;
}

bool Story::DoOffice(const Words& words) {
  OperatorOrder order;
  order.name = "operator " + std::to_string(++orders_);
  if (words[0] == "switchover") order.kind = OperatorOrder::Kind::kSwitchover;
  if (words[0] == "repair") {
    order.kind = OperatorOrder::Kind::kRepair;
    order.to = words.at(1);
  }
  if (words[0] == "mode") {
    order.kind = OperatorOrder::Kind::kChange;
    const Mode mode = ModeFromName(words.at(1)).value_or(Mode::kMaxProtection);
    order.change = [mode](Config* config) { config->mode = mode; };
  }
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "accept-loss") order.accept_loss = true;
    if (i + 1 >= words.size()) break;
    if (words[i] == "to") order.to = words[i + 1];
    if (words[i] == "without") order.without.push_back(words[i + 1]);
    if (words[i] == "unreachable") order.unreachable.insert(words[i + 1]);
  }
  order.insist = order.accept_loss && !order.to.empty();  // as the tool does what it was told
  world_->AddOperator(std::move(order)).Begin();
  return true;
}

// append SOURCE COUNT [NODE]
void Story::Append(const Words& words) {
  Client* client = nullptr;
  for (auto& known : world_->clients()) {
    if (known->source() == words[1]) client = known.get();
  }
  if (client == nullptr) client = &world_->AddClient(words[1]);
  client->set_window(8);
  if (words.size() > 3) client->set_target(words[3]);
  for (int i = std::stoi(words[2]); i > 0; --i) client->Submit(1);
}

void Story::Status() {
  for (const auto& [name, node] : world_->nodes()) {
    if (!node->up()) {
      Say("  " + name + "  down");
      continue;
    }
    const ReplicaStatus status = node->status();
    const bool primary = status.role == Role::kPrimary;
    Say("  " + name + "  " + (primary ? "primary" : "mirror ") + "  epoch " +
        EpochText(status.epoch) + "  " + std::string(LogStateName(status.state)) + "  durable " +
        std::to_string(status.durable_index) + "  committed " +
        std::to_string(status.commit_index) +
        (status.trouble.empty() ? "" : "  (" + status.trouble + ")"));
  }
}

void Story::Quarantines(const std::string& name) {
  const std::vector<QuarantineInfo> infos = *world_->node(name).store().Quarantines(kLog);
  for (const QuarantineInfo& info : infos) {
    Say("  " + name + "  " + std::to_string(info.id) + ": records " +
        std::to_string(info.first_index) + ".." + std::to_string(info.last_index) + ", " +
        info.origin);
  }
}

bool Story::Do(const Words& words) {
  const std::string& verb = words[0];
  if (verb == "nodes") {
    Begin(words);
    return true;
  }
  if (world_ == nullptr) return false;
  if (verb == "run" && words.size() == 2) {
    world_->RunFor(std::stoll(words[1]) * kMs);
  } else if (verb == "append" && words.size() >= 3) {
    Append(words);
  } else if ((verb == "cut" || verb == "heal" || verb == "cut-to") && words.size() == 3) {
    for (int way = 0; way < (verb == "cut-to" ? 1 : 2); ++way) {
      const std::string& from = words[way == 0 ? 1 : 2];
      const std::string& to = words[way == 0 ? 2 : 1];
      verb == "heal" ? world_->network().Heal(from, to) : world_->network().Cut(from, to);
    }
  } else if (verb == "failover" || verb == "switchover" || verb == "mode" || verb == "repair") {
    return DoOffice(words);
  } else if (verb == "status") {
    Status();
  } else {
    return DoToNode(words);
  }
  return true;
}

Words Split(const std::string& line) {
  std::istringstream in(line);
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// One block: commands (and comments) up to "----", then what is expected up to an empty line.
struct Block {
  std::vector<std::string> lines;
  std::string expected;
};

std::vector<Block> ReadBlocks(std::istream& in) {
  std::vector<Block> blocks;
  bool expecting = false;
  bool fresh = true;
  for (std::string line; std::getline(in, line);) {
    if (expecting && line.empty()) {
      expecting = false;
      fresh = true;
      continue;
    }
    if (fresh && !expecting) blocks.emplace_back();
    fresh = false;
    if (line == "----") {
      expecting = true;
    } else if (expecting) {
      blocks.back().expected += line + "\n";
    } else {
      blocks.back().lines.push_back(line);
    }
  }
  return blocks;
}

std::string Difference(const std::string& expected, const std::string& told) {
  return "expected:\n" + expected + "was:\n" + told;
}

}  // namespace

std::string RunScenario(const std::string& path, bool rewrite) {
  std::ifstream in(path);
  if (!in) return "cannot be read\n";
  const std::vector<Block> blocks = ReadBlocks(in);
  Story story;
  std::string text;
  std::string differences;
  for (const Block& block : blocks) {
    for (const std::string& line : block.lines) {
      text += line + "\n";
      const Words words = Split(line);
      if (words.empty() || words[0][0] == '#') continue;
      try {
        if (!story.Do(words)) return "not a command: " + line + "\n";
      } catch (const Violation& violation) {
        return "at \"" + line + "\": " + violation.what + "\n";
      }
    }
    const std::string told = story.Told();
    text += "----\n" + told + (&block == &blocks.back() ? "" : "\n");
    if (told != block.expected) differences += Difference(block.expected, told);
  }
  if (!rewrite) return differences;
  std::ofstream(path) << text;
  return "";
}

}  // namespace kembar::sim
