// postgres_bench.cc — see postgres_bench.h.
#include "tools/bench/postgres_bench.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "tools/bench/pg_cluster.h"
#include "tools/bench/processes.h"
#include "tools/client/deadline.h"

namespace kembar::bench {
namespace {

constexpr char kCaughtUp[] =
    "select count(*) > 0 and bool_and(confirmed_flush_lsn >= restart_lsn and "
    "pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) < 1000000) "
    "from pg_replication_slots where slot_type = 'logical' and not temporary";
constexpr int kCopySeconds = 300;
constexpr client::Millis kNodesReady{30'000};

// Two sites and the agent between the server and them.
class Sites {
 public:
  Sites(std::string bin, std::string folder) : bin_(std::move(bin)), folder_(std::move(folder)) {}

  Status Start(const std::string& dsn);

 private:
  struct Node {
    std::string name;
    std::string address;
  };
  std::string Log(const std::string& name) const { return folder_ + "/" + name + ".log"; }
  Status StartNode(const Node& node, const Node& peer);
  Status CreateLog(const Node& primary, const Node& mirror);
  Status StartAgent(const Node& primary, const Node& mirror, const std::string& dsn);

  const std::string bin_;
  const std::string folder_;
  std::vector<Process> processes_;
};

Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  out.close();
  return out ? Status::Ok() : Status(Code::kIo, "write " + path);
}

Status Sites::StartNode(const Node& node, const Node& peer) {
  const std::string config = folder_ + "/" + node.name + ".toml";
  RETURN_IF_ERROR(WriteFile(config, "[node]\nname = \"" + node.name + "\"\nlisten = \"" +
                                        node.address + "\"\ndata = \"" + folder_ + "/" + node.name +
                                        "\"\n[[peer]]\nname = \"" + peer.name + "\"\naddress = \"" +
                                        peer.address + "\"\n"));
  ASSIGN_OR_RETURN(Process process,
                   Process::Start({bin_ + "kembard", "--config", config}, Log(node.name)));
  processes_.push_back(std::move(process));
  return Status::Ok();
}

Status Sites::CreateLog(const Node& primary, const Node& mirror) {
  const std::vector<std::string> create = {bin_ + "kembarctl",
                                           "--node",
                                           primary.address,
                                           "--yes",
                                           "log",
                                           "create",
                                           "bench",
                                           "--primary",
                                           primary.name + "=" + primary.address,
                                           "--mirror",
                                           mirror.name + "=" + mirror.address};
  // The nodes are only just starting.
  const client::Deadline deadline = client::Deadline::After(kNodesReady);
  client::Backoff backoff;
  while (true) {
    Status status = RunProgram(create, Log("kembarctl")).status();
    if (status.ok() || !backoff.Wait(deadline)) return status;
  }
}

Status Sites::StartAgent(const Node& primary, const Node& mirror, const std::string& dsn) {
  const std::string config = folder_ + "/agent.toml";
  RETURN_IF_ERROR(WriteFile(config, "[agent]\nname = \"bench\"\nnodes = [\"" + primary.address +
                                        "\", \"" + mirror.address +
                                        "\"]\n[postgres]\nname = \"bench\"\ndsn = \"" + dsn +
                                        "\"\nslot = \"kembar\"\nset_replica_identity = true\n"));
  ASSIGN_OR_RETURN(Process agent,
                   Process::Start({bin_ + "kembar-agent", "--config", config}, Log("agent")));
  // Stops first: what is destroyed last was started first.
  processes_.push_back(std::move(agent));
  return Status::Ok();
}

Status Sites::Start(const std::string& dsn) {
  ASSIGN_OR_RETURN(const int first, FreePort());
  ASSIGN_OR_RETURN(const int second, FreePort());
  const Node tebo{"tebo", "127.0.0.1:" + std::to_string(first)};
  const Node jambi{"jambi", "127.0.0.1:" + std::to_string(second)};
  RETURN_IF_ERROR(StartNode(tebo, jambi));
  RETURN_IF_ERROR(StartNode(jambi, tebo));
  RETURN_IF_ERROR(CreateLog(tebo, jambi));
  return StartAgent(tebo, jambi, dsn);
}

// The number that follows `label` in pgbench's report.
Result<double> NumberAfter(const std::string& report, const std::string& label) {
  const size_t at = report.find(label);
  if (at == std::string::npos) {
    return Status(Code::kInternal, "pgbench's report has no \"" + label + "\"");
  }
  return std::strtod(report.c_str() + at + label.size(), nullptr);
}

class Measurement {
 public:
  Measurement(const PostgresOptions& options, std::string folder, std::string pg_bin)
      : options_(options),
        folder_(std::move(folder)),
        pg_bin_(std::move(pg_bin)),
        kembar_bin_(options.kembar_bin.empty() ? BesideThisProgram("") : options.kembar_bin + "/") {
  }

  Result<std::vector<PostgresFigure>> Run();

 private:
  Status Setup();
  Status Round();
  Status SetSynchronous(const std::string& standby);
  Status Measure(size_t way);
  Status WithCapture();
  Status WithStandby();

  const PostgresOptions& options_;
  const std::string folder_;
  const std::string pg_bin_;
  const std::string kembar_bin_;
  int round_ = 0;
  std::optional<PgCluster> server_;
  std::vector<PostgresFigure> figures_{{.way = "without capture"},
                                       {.way = "asynchronous capture"},
                                       {.way = "synchronous through Kembar"},
                                       {.way = "PostgreSQL's synchronous standby"}};
};

Status Measurement::Setup() {
  ASSIGN_OR_RETURN(const int port, FreePort());
  const std::string folder = folder_ + "/server";
  std::filesystem::create_directory(folder);
  RETURN_IF_ERROR(GiveToPostgres(folder));
  server_.emplace(pg_bin_, folder, port);
  RETURN_IF_ERROR(server_->Init());
  RETURN_IF_ERROR(server_->Start());
  return server_->Pgbench({"-i", "-q", "-s", std::to_string(options_.scale)}).status();
}

// An empty name: commits wait for nobody.
Status Measurement::SetSynchronous(const std::string& standby) {
  RETURN_IF_ERROR(
      server_->Query("alter system set synchronous_standby_names = '" + standby + "'").status());
  RETURN_IF_ERROR(server_->Query("select pg_reload_conf()").status());
  if (standby.empty()) return server_->WaitFor("show synchronous_standby_names", "", 10);
  return server_->WaitFor(
      "select count(*) from pg_stat_replication where sync_state = 'sync' and state = 'streaming'",
      "1", 60);
}

Status Measurement::Measure(size_t way) {
  // Each starts from the same place: no checkpoint of the one before falls into it.
  RETURN_IF_ERROR(server_->Query("checkpoint").status());
  ASSIGN_OR_RETURN(const std::string report,
                   server_->Pgbench({"-n", "-M", "prepared", "-c", std::to_string(options_.clients),
                                     "-j", "2", "-T", std::to_string(options_.seconds)}));
  ASSIGN_OR_RETURN(const double tps, NumberAfter(report, "tps = "));
  ASSIGN_OR_RETURN(const double latency, NumberAfter(report, "latency average = "));
  figures_[way].tps.push_back(tps);
  figures_[way].latency_ms.push_back(latency);
  return Status::Ok();
}

Status Measurement::WithCapture() {
  const std::string folder = folder_ + "/sites-" + std::to_string(round_);
  std::filesystem::create_directory(folder);
  Sites sites(kembar_bin_, folder);
  RETURN_IF_ERROR(sites.Start(server_->dsn()));
  RETURN_IF_ERROR(server_->WaitFor(kCaughtUp, "t", kCopySeconds));
  RETURN_IF_ERROR(Measure(1));
  RETURN_IF_ERROR(server_->WaitFor(kCaughtUp, "t", kCopySeconds));
  RETURN_IF_ERROR(SetSynchronous("bench"));
  RETURN_IF_ERROR(Measure(2));
  return SetSynchronous("");
}

Status Measurement::WithStandby() {
  ASSIGN_OR_RETURN(const int port, FreePort());
  const std::string folder = folder_ + "/standby-" + std::to_string(round_);
  std::filesystem::create_directory(folder);
  RETURN_IF_ERROR(GiveToPostgres(folder));
  PgCluster standby(pg_bin_, folder, port);
  RETURN_IF_ERROR(standby.InitStandby(*server_));
  RETURN_IF_ERROR(standby.Start());
  RETURN_IF_ERROR(SetSynchronous("standby"));
  RETURN_IF_ERROR(Measure(3));
  return SetSynchronous("");
}

Status Measurement::Round() {
  ++round_;
  RETURN_IF_ERROR(Measure(0));
  RETURN_IF_ERROR(WithCapture());
  RETURN_IF_ERROR(server_->WaitFor("select count(*) from pg_stat_replication", "0", 60));
  RETURN_IF_ERROR(
      server_->Query("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
          .status());
  return WithStandby();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Result<std::vector<PostgresFigure>> Measurement::Run() {
  RETURN_IF_ERROR(Setup());
  while (round_ < options_.rounds) RETURN_IF_ERROR(Round());
  for (PostgresFigure& figure : figures_) {
    figure.median_tps = Median(figure.tps);
    figure.median_latency_ms = Median(figure.latency_ms);
    figure.ratio = figure.median_tps / figures_[0].median_tps;
  }
  return figures_;
}

// The newest version that is installed.
Result<std::string> FindPostgres() {
  int newest = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", error)) {
    if (!std::filesystem::exists(entry.path() / "bin" / "initdb")) continue;
    newest = std::max(newest, std::atoi(entry.path().filename().c_str()));
  }
  if (newest == 0) {
    return Status(Code::kNotFound, "no PostgreSQL server under /usr/lib/postgresql",
                  "install postgresql-15, or give --pg-bin");
  }
  return "/usr/lib/postgresql/" + std::to_string(newest) + "/bin";
}

}  // namespace

Result<std::vector<PostgresFigure>> MeasurePostgres(const PostgresOptions& options) {
  std::string pg_bin = options.pg_bin;
  if (pg_bin.empty()) {
    ASSIGN_OR_RETURN(pg_bin, FindPostgres());
  }
  std::string folder = options.dir + "/kembar-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    return Status(Code::kIo, "make a directory in " + options.dir);
  }
  std::filesystem::permissions(folder, std::filesystem::perms(0755));
  Result<std::vector<PostgresFigure>> figures = Measurement(options, folder, pg_bin).Run();
  if (!figures.ok()) {
    const Status& why = figures.status();
    return Status(why.code(), why.message(), "logs are in " + folder);
  }
  std::error_code ignored;  // a directory that stays is no wrong figure
  if (!options.keep) std::filesystem::remove_all(folder, ignored);
  return figures;
}

}  // namespace kembar::bench
