// context.cc — see context.h.
#include "tools/kembarctl/context.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

namespace kembar::ctl {

Result<client::Cluster*> Context::Connect() {
  if (cluster_) return cluster_.get();
  if (SplitList(globals.node).empty()) {
    wrong_usage = true;
    return Status(Code::kInvalid, "no node is given", "use --node HOST:PORT or set KEMBAR_NODE");
  }
  cluster_ = std::make_unique<client::Cluster>(SplitList(globals.node));
  if (Status status = cluster_->Refresh(); !status.ok()) {
    cluster_.reset();
    return status;
  }
  return cluster_.get();
}

Result<std::string> Context::Log() {
  ASSIGN_OR_RETURN(client::Cluster * cluster, Connect());
  return cluster->ResolveLog(globals.log);
}

Result<std::shared_ptr<client::NodeStubs>> Context::Reader(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string log, Log());
  const client::NodeView* best = nullptr;
  if (!name.empty()) {
    best = cluster_->Find(name);
    if (best == nullptr) {
      return Status(Code::kNotFound, "no node is called " + name, "see kembarctl status");
    }
    if (!best->reachable) return best->error.Prepend("node " + name);
  } else {
    best = cluster_->BestReader(log);
  }
  if (best == nullptr) return Status(Code::kUnavailable, "no node that answers holds log " + log);
  return cluster_->Stubs(best->address);
}

Result<client::PrimaryFollower*> Context::Follower() {
  if (follower_) return follower_.get();
  ASSIGN_OR_RETURN(const std::string log, Log());
  follower_ = std::make_unique<client::PrimaryFollower>(cluster_.get(), log);
  return follower_.get();
}

client::Millis Context::timeout() const {
  return client::Millis(static_cast<int64_t>(globals.timeout_s * 1000));
}

std::string Context::Actor() {
  const passwd* user = getpwuid(geteuid());
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  const std::string name = user != nullptr ? user->pw_name : std::to_string(geteuid());
  return name + "@" + (host[0] != '\0' ? host : "unknown-host");
}

void Print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void PrintLine(std::string_view text) {
  Print(text);
  Print("\n");
}

void Note(std::string_view text) {
  std::fflush(stdout);
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

void PrintError(const Status& status) {
  std::string line = "error: " + status.ToString();
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  Note(line);
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

bool Confirm(const std::string& question, const std::string& word, bool yes) {
  if (yes) return true;
  std::fflush(stdout);
  std::fprintf(stderr, "%s ", question.c_str());
  std::string typed;
  if (!std::getline(std::cin, typed)) return false;
  const std::vector<std::string> parts = SplitList(typed);
  return parts.size() == 1 && parts.front() == word;
}

}  // namespace kembar::ctl
