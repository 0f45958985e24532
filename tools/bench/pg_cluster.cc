// pg_cluster.cc — see pg_cluster.h.
#include "tools/bench/pg_cluster.h"

#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "tools/bench/processes.h"
#include "tools/client/deadline.h"

namespace kembar::bench {
namespace {

const std::string kServerUser = "postgres";
constexpr char kSettings[] =
    "listen_addresses = '127.0.0.1'\n"
    "wal_level = logical\n"
    "max_wal_senders = 10\n"
    "max_replication_slots = 10\n"
    "max_wal_size = '4GB'\n"
    "shared_buffers = '256MB'\n";

}  // namespace

Status GiveToPostgres(const std::string& folder) {
  if (geteuid() != 0) return Status::Ok();
  const passwd* user = getpwnam(kServerUser.c_str());
  if (user == nullptr) {
    return Status(Code::kNotFound, "no system user " + kServerUser,
                  "install postgresql-15, or do not run as root");
  }
  if (chown(folder.c_str(), user->pw_uid, user->pw_gid) != 0) {
    return Status(Code::kIo, "chown " + folder + ": " + std::strerror(errno));
  }
  return Status::Ok();
}

PgCluster::PgCluster(std::string bin, std::string folder, int port)
    : bin_(std::move(bin)),
      folder_(std::move(folder)),
      data_(folder_ + "/data"),
      log_(folder_ + "/postgres.log"),
      port_(port) {}

PgCluster::~PgCluster() {
  // Nobody is left to tell; pg_ctl writes to the log why it failed.
  if (running_) (void)Stop();
}

std::vector<std::string> PgCluster::Command(const std::string& program,
                                            std::vector<std::string> arguments) const {
  std::vector<std::string> words;
  if (geteuid() == 0) {
    words = {"setpriv", "--reuid=" + kServerUser, "--regid=" + kServerUser, "--clear-groups"};
  }
  words.push_back(bin_ + "/" + program);
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

Status PgCluster::Init() {
  RETURN_IF_ERROR(RunProgram(Command("initdb", {"-A", "trust", "-U", kServerUser, "-E", "UTF8",
                                                "--locale=C.UTF-8", "-D", data_}),
                             log_)
                      .status());
  std::ofstream settings(data_ + "/postgresql.conf", std::ios::app);
  settings << kSettings << "port = " << port_ << "\nunix_socket_directories = '" << folder_
           << "'\n";
  settings.close();
  return settings ? Status::Ok() : Status(Code::kIo, "write " + data_ + "/postgresql.conf");
}

Status PgCluster::InitStandby(const PgCluster& primary) {
  const std::string source = primary.dsn() + " application_name=standby";
  RETURN_IF_ERROR(RunProgram(Command("pg_basebackup", {"-d", source, "-D", data_, "-R", "-X",
                                                       "stream", "--checkpoint=fast"}),
                             log_)
                      .status());
  std::ofstream settings(data_ + "/postgresql.conf", std::ios::app);
  settings << "port = " << port_ << "\nunix_socket_directories = '" << folder_ << "'\n";
  settings.close();
  return settings ? Status::Ok() : Status(Code::kIo, "write " + data_ + "/postgresql.conf");
}

Status PgCluster::Start() {
  RETURN_IF_ERROR(
      // A log of its own: the server's user may not write to ours.
      RunProgram(Command("pg_ctl",
                         {"-D", data_, "-l", folder_ + "/server.log", "-w", "-t", "60", "start"}),
                 log_)
          .status());
  running_ = true;
  return Status::Ok();
}

Status PgCluster::Stop() {
  running_ = false;
  return RunProgram(Command("pg_ctl", {"-D", data_, "-w", "-m", "fast", "stop"}), log_).status();
}

std::string PgCluster::dsn() const {
  return "host=127.0.0.1 port=" + std::to_string(port_) + " user=postgres dbname=postgres";
}

Result<std::string> PgCluster::Query(const std::string& sql) const {
  ASSIGN_OR_RETURN(
      std::string answer,
      RunProgram(Command("psql", {"-d", dsn(), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql}),
                 log_));
  while (!answer.empty() && answer.back() == '\n') answer.pop_back();
  return answer;
}

Status PgCluster::WaitFor(const std::string& sql, const std::string& wanted, int seconds) const {
  const client::Deadline deadline = client::Deadline::After(client::Millis(seconds * 1000));
  client::Backoff backoff(client::Millis(50), client::Millis(500));
  std::string seen;
  do {
    ASSIGN_OR_RETURN(seen, Query(sql));
    if (seen == wanted) return Status::Ok();
  } while (backoff.Wait(deadline));
  return Status(Code::kTimeout, "waited " + std::to_string(seconds) + " s for \"" + sql +
                                    "\" to give " + wanted + "; it gives \"" + seen + "\"");
}

Result<std::string> PgCluster::Pgbench(std::vector<std::string> options) const {
  options.insert(options.end(),
                 {"-h", "127.0.0.1", "-p", std::to_string(port_), "-U", "postgres", "postgres"});
  return RunProgram(Command("pgbench", std::move(options)), log_);
}

}  // namespace kembar::bench
