// processes.cc — see processes.h.
#include "tools/bench/processes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

extern char** environ;

namespace kembar::bench {
namespace {

// What the child's standard streams are; -1 keeps this program's.
struct Streams {
  int out = -1;
  int err = -1;
};

Result<pid_t> Spawn(std::vector<std::string>* words, const Streams& streams) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (streams.out >= 0) posix_spawn_file_actions_adddup2(&actions, streams.out, STDOUT_FILENO);
  if (streams.err >= 0) posix_spawn_file_actions_adddup2(&actions, streams.err, STDERR_FILENO);
  std::vector<char*> argv;
  for (std::string& word : *words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, words->front().c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Status(Code::kIo, "run " + words->front() + ": " + std::strerror(error));
  return pid;
}

int WaitFor(pid_t pid) {
  int state = 0;
  while (waitpid(pid, &state, 0) < 0 && errno == EINTR) {
  }
  return state;
}

Result<int> OpenLog(const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) return Status(Code::kIo, "open " + path + ": " + std::strerror(errno));
  return file;
}

std::string ReadAll(int from) {
  std::string all;
  char part[4096];
  for (;;) {
    const ssize_t size = read(from, part, sizeof part);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return all;
    all.append(part, static_cast<size_t>(size));
  }
}

}  // namespace

std::string BesideThisProgram(const std::string& name) {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, size > 0 ? static_cast<size_t>(size) : 0);
  return self.substr(0, self.rfind('/') + 1) + name;
}

Result<std::string> RunProgram(std::vector<std::string> words, const std::string& log) {
  Streams streams;
  if (!log.empty()) {
    ASSIGN_OR_RETURN(streams.err, OpenLog(log));
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status(Code::kIo, "pipe: no more files");
  streams.out = ends[1];
  const Result<pid_t> pid = Spawn(&words, streams);
  close(ends[1]);
  if (streams.err >= 0) close(streams.err);
  std::string output = pid.ok() ? ReadAll(ends[0]) : std::string();
  close(ends[0]);
  if (!pid.ok()) return pid.status();
  const int state = WaitFor(*pid);
  if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
    std::string command;
    for (const std::string& word : words) command += (command.empty() ? "" : " ") + word;
    return Status(Code::kUnavailable, "failed: " + command,
                  log.empty() ? "it said why above" : "see " + log);
  }
  return output;
}

Result<Process> Process::Start(std::vector<std::string> words, const std::string& log) {
  ASSIGN_OR_RETURN(const int file, OpenLog(log));
  const Result<pid_t> pid = Spawn(&words, {.out = file, .err = file});
  close(file);
  if (!pid.ok()) return pid.status();
  return Process(*pid);
}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  return *this;
}

void Process::Stop() {
  if (pid_ == 0) return;
  kill(pid_, SIGTERM);
  WaitFor(pid_);
  pid_ = 0;
}

Result<int> FreePort() {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  const bool found = bind(probe, any, size) == 0 && getsockname(probe, any, &size) == 0;
  close(probe);
  if (!found) return Status(Code::kIo, "no free port on 127.0.0.1");
  return static_cast<int>(ntohs(address.sin_port));
}

}  // namespace kembar::bench
