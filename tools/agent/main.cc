// main.cc — kembar-agent: reads its options and configuration, captures, and fills a standby, until
// it is told to stop.
//
// Exit status: 0 stopped as told; 1 could not start, or can't go on; 2 misused.
#include <grpc/support/log.h>
#include <pthread.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "tools/agent/config.h"
#include "tools/agent/documents_thread.h"
#include "tools/agent/http.h"
#include "tools/agent/postgres/source.h"
#include "tools/agent/sink_thread.h"
#include "tools/agent/stats.h"
#include "tools/agent/wakeup.h"

namespace kembar::agent {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitMisused = 2;

constexpr char kHelp[] =
    R"(kembar-agent: captures what a PostgreSQL database commits, and a directory of
documents, into a Kembar log; keeps a warm standby database filled from one.

Usage: kembar-agent --config FILE [--check] [--accept-new-database]

  --config FILE          the agent's configuration (TOML; see docs/agent.md)
  --check                check the configuration, print it with all defaults, and exit
  --accept-new-database  go on although the log holds another database under this name
  --version              print the version and exit
  --help                 print this and exit

Runs in the foreground and logs to standard error. SIGTERM or SIGINT stops it cleanly; SIGUSR1 asks
for an audit now. Exit status: 0 stopped as told, 1 could not start or can't go on, 2 misused.
)";

struct Options {
  std::string config;
  bool check = false;
  bool accept_new_database = false;
  bool help = false;
  bool version = false;
  std::string error;
};

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc && options.error.empty(); ++i) {
    const std::string_view word = argv[i];
    constexpr std::string_view kConfigEquals = "--config=";
    if (word == "--help" || word == "-h") {
      options.help = true;
    } else if (word == "--version") {
      options.version = true;
    } else if (word == "--check") {
      options.check = true;
    } else if (word == "--accept-new-database") {
      options.accept_new_database = true;
    } else if (word == "--config" && i + 1 < argc) {
      options.config = argv[++i];
    } else if (word.starts_with(kConfigEquals)) {
      options.config = word.substr(kConfigEquals.size());
    } else if (word == "--config") {
      options.error = "--config needs a file";
    } else {
      options.error =
          (word.starts_with("-") ? "unknown option " : "unexpected argument ") + std::string(word);
    }
  }
  if (options.config.empty() && options.error.empty() && !options.help && !options.version) {
    options.error = "--config FILE is missing";
  }
  return options;
}

int Fail(const std::string& what, int exit_code) {
  std::fprintf(stderr, "error: %s\n", what.c_str());
  return exit_code;
}

void GrpcLog(gpr_log_func_args* args) {
  if (args->severity == GPR_LOG_SEVERITY_ERROR) spdlog::debug("grpc: {}", args->message);
}

void StartLogging(const std::string& level) {
  auto logger = spdlog::stderr_logger_mt("kembar-agent");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  gpr_set_log_function(GrpcLog);
}

sigset_t AllSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&signals, signal);
  return signals;
}

// Takes the signals until one of them ends the program. SIGUSR2 ends only this. `documents` may be
// null.
void SignalsMain(Wakeup* wakeup, DocumentsThread* documents) {
  const sigset_t signals = AllSignals();
  while (true) {
    int received = 0;
    if (sigwait(&signals, &received) != 0 || received == SIGUSR2) return;
    if (received == SIGUSR1) {
      wakeup->AskAudit();
      if (documents != nullptr) documents->AskAudit();
    } else {
      wakeup->Stop();
      return;
    }
  }
}

std::string SourcesText(const AgentConfig& config) {
  std::string text = config.postgres ? config.postgres->Source() : "";
  if (config.documents) text += (text.empty() ? "" : ",") + config.documents->options.Source();
  return text.empty() ? "-" : text;
}

// Until the program is told to stop, or the sink, with nothing beside it, can't go on.
Status WaitForStop(const SinkThread* sink, Wakeup* wakeup) {
  constexpr int kTurnMs = 60'000;
  while (!wakeup->stopping()) wakeup->Wait(kTurnMs);
  if (sink == nullptr) return Status::Ok();
  const restore::SinkStatus status = sink->status();
  if (status.state != restore::SinkState::kStopped) return Status::Ok();
  return Status(Code::kInternal, "sink: " + status.error);
}

std::unique_ptr<SinkThread> StartSink(const AgentConfig& config, Wakeup* wakeup) {
  if (!config.sink) return nullptr;
  // Beside a source its end is an alarm, and the source goes on.
  const bool alone = !config.postgres && !config.documents;
  return SinkThread::Start(config, [alone, wakeup] {
    if (alone) wakeup->Stop();
  });
}

// Everything that runs, in an order in which it can end.
struct Running {
  StatsBoard board;
  Wakeup wakeup;
  std::unique_ptr<DocumentsThread> documents;
  std::unique_ptr<SinkThread> sink;
  std::unique_ptr<HttpServer> http;
};

Status Start(const AgentConfig& config, Running* running) {
  if (config.documents) {
    ASSIGN_OR_RETURN(running->documents, DocumentsThread::Start(config));
  }
  running->sink = StartSink(config, &running->wakeup);
  if (!config.http.empty()) {
    ASSIGN_OR_RETURN(running->http,
                     HttpServer::Start(config.http, config.name,
                                       {.board = config.postgres ? &running->board : nullptr,
                                        .documents = running->documents.get(),
                                        .sink = running->sink.get()}));
  }
  return Status::Ok();
}

int RunAgent(const AgentConfig& config, bool accept_new_database) {
  // Before the first thread, so that all inherit it and only sigwait sees the signals.
  const sigset_t signals = AllSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  StartLogging(config.log_level);
  Running running;
  if (Status started = Start(config, &running); !started.ok()) {
    return Fail(started.ToString(), kExitFailed);
  }
  Wakeup* const wakeup = &running.wakeup;
  spdlog::info("starting version={} agent={} source={} sink={} http={}", KEMBAR_VERSION,
               config.name, SourcesText(config), config.sink ? "postgres" : "-",
               running.http ? running.http->address() : "-");
  std::thread signals_thread(SignalsMain, wakeup, running.documents.get());
  const Status status = config.postgres
                            ? RunPostgresSource(config, accept_new_database, &running.board, wakeup)
                            : WaitForStop(running.sink.get(), wakeup);
  pthread_kill(signals_thread.native_handle(), SIGUSR2);
  signals_thread.join();
  if (!status.ok()) return Fail(status.ToString(), kExitFailed);
  std::fprintf(stderr, "kembar-agent stopped agent=%s\n", config.name.c_str());
  return 0;
}

int Main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  if (!options.error.empty()) {
    return Fail(options.error + " (hint: kembar-agent --help)", kExitMisused);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (options.version) {
    std::puts("kembar-agent " KEMBAR_VERSION);
    return 0;
  }
  const Result<AgentConfig> config = LoadConfig(options.config);
  if (!config.ok()) return Fail(config.status().ToString(), kExitFailed);
  if (options.check) {
    std::fputs(EffectiveConfig(*config).c_str(), stdout);
    return 0;
  }
  return RunAgent(*config, options.accept_new_database);
}

}  // namespace
}  // namespace kembar::agent

int main(int argc, char** argv) { return kembar::agent::Main(argc, argv); }
