// main.cc — kembar-bench: load and measurements from a client's side.
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tools/bench/append_bench.h"
#include "tools/bench/failover_bench.h"
#include "tools/bench/postgres_bench.h"

namespace kembar::bench {
namespace {

using Json = nlohmann::ordered_json;

std::atomic<bool> g_stop = false;

int Fail(const Status& status) {
  std::fprintf(stderr, "error: %s\n", status.ToString().c_str());
  return 1;
}

Json ToJson(const AppendOptions& options, const AppendTotals& totals) {
  const double count = static_cast<double>(totals.latency.count());
  const auto ms = [&](double part) {
    return static_cast<double>(totals.latency.Quantile(part)) / 1000;
  };
  return Json{{"log", totals.log},
              {"clients", options.clients},
              {"calls", options.stream ? "stream" : "unary"},
              {"size", options.size},
              {"records", totals.latency.count()},
              {"seconds", totals.seconds},
              {"records_per_second", totals.seconds > 0 ? count / totals.seconds : 0},
              {"p50_ms", ms(0.5)},
              {"p99_ms", ms(0.99)},
              {"max_ms", static_cast<double>(totals.latency.max()) / 1000},
              {"errors", totals.errors},
              {"duplicates", totals.duplicates}};
}

int RunAppend(const AppendOptions& options, bool json) {
  const Result<AppendTotals> totals = RunAppends(options, &g_stop);
  if (!totals.ok()) return Fail(totals.status());
  const Json result = ToJson(options, *totals);
  if (json) {
    std::printf("%s\n", result.dump().c_str());
  } else {
    std::printf(
        "%zu clients, %s, %zu bytes: %llu records in %.1f s, %.0f records/s, "
        "p50 %.2f ms, p99 %.2f ms, max %.2f ms, errors %llu\n",
        options.clients, options.stream ? "stream" : "unary", options.size,
        static_cast<unsigned long long>(totals->latency.count()), totals->seconds,
        result["records_per_second"].get<double>(), result["p50_ms"].get<double>(),
        result["p99_ms"].get<double>(), result["max_ms"].get<double>(),
        static_cast<unsigned long long>(totals->errors));
  }
  return 0;
}

int RunFailover(const FailoverOptions& options, bool json) {
  const Result<FailoverTimes> times = MeasureFailover(options);
  if (!times.ok()) return Fail(times.status());
  if (json) {
    const Json kembarctl = Json::parse(times->output, nullptr, false);
    std::printf("%s\n", Json{{"primary", options.to},
                             {"epoch", times->epoch},
                             {"command_seconds", times->command_seconds},
                             {"first_ack_seconds", times->first_ack_seconds},
                             {"kembarctl", kembarctl.is_discarded() ? Json() : kembarctl}}
                            .dump()
                            .c_str());
  } else {
    std::printf("failover to %s, epoch %llu: command %.3f s, first acknowledged append %.3f s\n",
                options.to.c_str(), static_cast<unsigned long long>(times->epoch),
                times->command_seconds, times->first_ack_seconds);
  }
  return 0;
}

int RunPostgres(const PostgresOptions& options, bool json) {
  const Result<std::vector<PostgresFigure>> figures = MeasurePostgres(options);
  if (!figures.ok()) return Fail(figures.status());
  Json rows = Json::array();
  for (const PostgresFigure& figure : *figures) {
    rows.push_back({{"way", figure.way},
                    {"tps", figure.median_tps},
                    {"latency_ms", figure.median_latency_ms},
                    {"ratio", figure.ratio},
                    {"tps_of_rounds", figure.tps}});
    if (json) continue;
    std::printf("%-34s %8.0f tps  %7.2f ms  ratio %.2f\n", figure.way.c_str(), figure.median_tps,
                figure.median_latency_ms, figure.ratio);
  }
  if (json) {
    std::printf("%s\n", Json{{"clients", options.clients},
                             {"scale", options.scale},
                             {"seconds", options.seconds},
                             {"figures", std::move(rows)}}
                            .dump()
                            .c_str());
  }
  return 0;
}

CLI::App* AddAppend(CLI::App* app, AppendOptions* options) {
  CLI::App* command = app->add_subcommand("append", "Clients that append as fast as they can");
  command->add_option("--clients", options->clients, "How many at once")->capture_default_str();
  command->add_option("--connections", options->connections, "Connections they share")
      ->capture_default_str();
  command->add_option("--records", options->records, "Records of each client");
  command->add_option("--seconds", options->seconds, "How long");
  command->add_option("--size", options->size, "Bytes of a record's payload")
      ->capture_default_str();
  command->add_flag("--stream,!--unary", options->stream,
                    "One pipelined stream a client, or one call a record (default)");
  command->add_option("--window", options->window, "With --stream: records in flight a client")
      ->capture_default_str();
  command->add_option("--source", options->source, "Sources are NAME/1, NAME/2 ...")
      ->capture_default_str();
  command->add_option("--package", options->package, "The package they append to")
      ->capture_default_str();
  command->add_option("--acked", options->acked,
                      "Write a line SOURCE POSITION INDEX SHA256 for each acknowledgement");
  command->add_flag("--stop-on-error,!--keep-going", options->stop_on_error,
                    "End at the first append that is given up, instead of repeating it");
  return command;
}

CLI::App* AddFailover(CLI::App* app, FailoverOptions* options) {
  CLI::App* command = app->add_subcommand(
      "failover", "Time from the command to the first append that is acknowledged again");
  command->add_option("--to", options->to, "The node that becomes primary")->required();
  command->add_option("--without", options->without, "A lost node; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--kembarctl", options->kembarctl, "The program (default: beside this one)");
  command->add_option("--kill-pid", options->kill_pid,
                      "A process to kill (SIGKILL) when the clock starts: the primary");
  return command;
}

CLI::App* AddPostgres(CLI::App* app, PostgresOptions* options) {
  CLI::App* command = app->add_subcommand(
      "postgres", "What capture costs a PostgreSQL server, beside its own synchronous standby");
  command
      ->add_option("--dir", options->dir,
                   "Where to make a directory for it all: the disk that "
                   "is measured")
      ->capture_default_str();
  command->add_option("--pg-bin", options->pg_bin, "Directory of initdb, pg_ctl ...");
  command->add_option("--kembar-bin", options->kembar_bin,
                      "Directory of kembard ... (default: of this program)");
  command->add_option("--clients", options->clients, "pgbench -c")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  command->add_option("--scale", options->scale, "pgbench -s")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "How long each way, each round")
      ->check(CLI::Range(1, 3'600))
      ->capture_default_str();
  command->add_option("--rounds", options->rounds, "How often each way; medians are shown")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_flag("--keep", options->keep, "Leave the directory");
  return command;
}

int Main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, [](int) { g_stop = true; });
  std::signal(SIGTERM, [](int) { g_stop = true; });
  CLI::App app("kembar-bench: load and measurements from a client's side", "kembar-bench");
  app.set_version_flag("--version", std::string("kembar-bench ") + KEMBAR_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  AppendOptions append;
  FailoverOptions failover;
  PostgresOptions postgres;
  std::string output = "table";
  std::string node;
  std::string log;
  double timeout_s = 30;
  app.add_option("--node", node, "Where nodes are, HOST:PORT[,HOST:PORT...]")
      ->envname("KEMBAR_NODE");
  app.add_option("--log", log, "The log (default: the only one)");
  app.add_option("--timeout", timeout_s, "Seconds after which an append is given up")
      ->capture_default_str();
  app.add_option("--output", output, "table or json")->check(CLI::IsMember({"table", "json"}));
  const CLI::App* append_command = AddAppend(&app, &append);
  AddFailover(&app, &failover);
  const CLI::App* postgres_command = AddPostgres(&app, &postgres);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    const std::vector<std::string> unknown = app.remaining(true);
    const std::string why = unknown.empty() ? e.what() : "\"" + unknown.front() + "\" is not known";
    std::fprintf(stderr, "error: %s (hint: see kembar-bench --help)\n", why.c_str());
    return 2;
  }
  if (postgres_command->parsed()) return RunPostgres(postgres, output == "json");
  if (node.empty()) return Fail(Status(Code::kInvalid, "--node is required"));
  append.node = failover.node = node;
  append.log = failover.log = log;
  append.timeout_s = failover.timeout_s = timeout_s;
  if (!append_command->parsed()) return RunFailover(failover, output == "json");
  if (append.records == 0 && append.seconds <= 0) append.records = 1'000;
  return RunAppend(append, output == "json");
}

}  // namespace
}  // namespace kembar::bench

int main(int argc, char** argv) { return kembar::bench::Main(argc, argv); }
