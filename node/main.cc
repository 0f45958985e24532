// main.cc — kembard: reads its options and configuration, runs one node until it is told to stop.
//
// Exit status: 0 stopped as told; 1 could not start, or had to stop (the store closed); 2 misused.
#include <malloc.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

#include "node/config.h"
#include "node/node.h"
#include "node/rebuild.h"

namespace kembar {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitMisused = 2;
// A stop that takes longer than this beyond the wait for calls is stuck; what is durable stays so.
constexpr unsigned kStuckSeconds = 20;

constexpr char kHelp[] =
    R"(kembard: one node of Kembar, a replication system for tender data.

Usage: kembard --config FILE [--check | --rebuild]

  --config FILE  the node's configuration (TOML; see docs/configuration.md)
  --check        check the configuration, print it with all defaults, and exit
  --rebuild      repair of a damaged data directory: it is moved aside (never deleted), and the
                 node starts as an empty mirror and fetches everything from its peers
  --version      print the version and exit
  --help         print this and exit

Runs in the foreground and logs to standard error. SIGTERM or SIGINT stops it cleanly.
Exit status: 0 stopped as told, 1 could not start or had to stop, 2 misused.
)";

struct Options {
  std::string config;
  bool check = false;
  bool rebuild = false;
  bool help = false;
  bool version = false;
  std::string error;
};

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    constexpr std::string_view kConfigEquals = "--config=";
    if (word == "--help" || word == "-h") {
      options.help = true;
    } else if (word == "--version") {
      options.version = true;
    } else if (word == "--check") {
      options.check = true;
    } else if (word == "--rebuild") {
      options.rebuild = true;
    } else if (word == "--config" && i + 1 < argc) {
      options.config = argv[++i];
    } else if (word.substr(0, kConfigEquals.size()) == kConfigEquals) {
      options.config = word.substr(kConfigEquals.size());
    } else if (word == "--config") {
      options.error = "--config needs a file";
    } else {
      options.error = (word.substr(0, 1) == "-" ? "unknown option " : "unexpected argument ") +
                      std::string(word);
    }
    if (!options.error.empty()) break;
  }
  if (options.config.empty() && options.error.empty() && !options.help && !options.version) {
    options.error = "--config FILE is missing";
  }
  if (options.check && options.rebuild) options.error = "--check and --rebuild exclude each other";
  return options;
}

int Fail(const std::string& what, int exit_code) {
  std::fprintf(stderr, "error: %s\n", what.c_str());
  return exit_code;
}

// Memory that was freed is kept: giving the buffers of large messages back to the kernel and
// faulting them in again costs most of their throughput. 32 MiB is the most that glibc takes for
// the second.
void TuneMalloc() {
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

// Tells the service manager, when there is one, as sd_notify(3) describes.
void Notify(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  // Nobody to tell it to if this fails.
  (void)::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), size);
  ::close(fd);
}

// SIGUSR1 is how the node asks to be ended.
sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, signal);
  return signals;
}

Status Rebuild(const NodeConfig& config) {
  const Result<std::string> went = SetDataAside(config, std::time(nullptr));
  if (!went.ok()) return went.status();
  std::fprintf(stderr,
               "kembard rebuild: %s was moved to %s; node %s comes back as an empty mirror and "
               "fetches everything from its peers\n",
               config.data.c_str(), went->c_str(), config.name.c_str());
  return {};
}

int RunNode(const NodeConfig& config) {
  // Before the first thread, so that all inherit it and only sigwait sees the signals.
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  TuneMalloc();
  StartLogging(config.log_level);
  LogEffectiveConfig(config);

  auto node = Node::Start(config, [] { ::kill(::getpid(), SIGUSR1); });
  if (!node.ok()) return Fail(node.status().ToString(), kExitFailed);
  std::fprintf(stderr, "kembard ready node=%s grpc=%s http=%s\n", config.name.c_str(),
               (*node)->grpc_address().c_str(),
               (*node)->http_address().empty() ? "-" : (*node)->http_address().c_str());
  Notify("READY=1");

  int received = 0;
  sigwait(&signals, &received);
  Notify("STOPPING=1");
  ::alarm(static_cast<unsigned>(config.stop_ms / 1000) + kStuckSeconds);
  (*node)->Stop();
  const std::string failure = (*node)->failure();
  if (!failure.empty()) return Fail(failure, kExitFailed);
  std::fprintf(stderr, "kembard stopped node=%s\n", config.name.c_str());
  return 0;
}

int Main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  if (!options.error.empty()) {
    return Fail(options.error + " (hint: kembard --help)", kExitMisused);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (options.version) {
    std::puts("kembard " KEMBAR_VERSION);
    return 0;
  }
  const Result<NodeConfig> config = LoadConfig(options.config);
  if (!config.ok()) return Fail(config.status().ToString(), kExitFailed);
  if (options.check) {
    std::fputs(EffectiveConfig(*config).c_str(), stdout);
    return 0;
  }
  if (options.rebuild) {
    if (const Status status = Rebuild(*config); !status.ok()) {
      return Fail(status.ToString(), kExitFailed);
    }
  }
  return RunNode(*config);
}

}  // namespace
}  // namespace kembar

int main(int argc, char** argv) { return kembar::Main(argc, argv); }
