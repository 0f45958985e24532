// dump_schema.cc — DumpSchema of catalog.h: runs pg_dump as a child process.
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "tools/postgres/catalog.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): not in every unistd.h

namespace kembar::postgres {
namespace {

constexpr size_t kErrorBytesMax = size_t{64} << 10;
constexpr size_t kOutputBytesMax = size_t{256} << 20;
constexpr char kPasswordVariable[] = "PGPASSWORD=";

// A DSN for the command line, where everybody can read it, and apart from it the password.
struct SafeDsn {
  std::string dsn;
  std::string password;
};

void AppendOption(std::string_view keyword, std::string_view value, std::string* dsn) {
  if (!dsn->empty()) dsn->push_back(' ');
  dsn->append(keyword);
  dsn->append("='");
  for (const char c : value) {
    if (c == '\'' || c == '\\') dsn->push_back('\\');
    dsn->push_back(c);
  }
  dsn->push_back('\'');
}

Result<SafeDsn> TakePasswordOut(const std::string& dsn) {
  char* error = nullptr;
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
      PQconninfoParse(dsn.c_str(), &error), PQconninfoFree);
  PQfreemem(error);  // it may quote the password
  if (options == nullptr) return Status(Code::kInvalid, "the DSN is not well-formed");
  SafeDsn safe;
  bool timeout = false;
  for (const PQconninfoOption* o = options.get(); o->keyword != nullptr; ++o) {
    if (o->val == nullptr) continue;
    const std::string_view keyword = o->keyword;
    if (keyword == "sslpassword") {
      return Status(Code::kInvalid, "sslpassword in the DSN would be visible to others of the host",
                    "use a key file without a password that only the agent may read");
    }
    timeout = timeout || keyword == "connect_timeout";
    if (keyword == "password") {
      safe.password = o->val;
    } else if (keyword != "replication") {
      AppendOption(keyword, o->val, &safe.dsn);
    }
  }
  if (!timeout) AppendOption("connect_timeout", "10", &safe.dsn);
  return safe;
}

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { Close(); }
  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Status(Code::kIo, std::string("pipe: ") + std::strerror(errno));
  }
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Starts `arguments` with the password in its environment, an empty stdin, and its outputs in the
// pipes. Signals are as at the start of a program, whatever this thread has blocked.
Result<pid_t> Spawn(std::vector<std::string> arguments, const std::string& password, int out,
                    int err) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const bool replaced =
        (text.starts_with(kPasswordVariable) && !password.empty()) || text.starts_with("LC_ALL=");
    if (!replaced) environment.emplace_back(text);
  }
  if (!password.empty()) environment.push_back(kPasswordVariable + password);
  environment.emplace_back("LC_ALL=C");  // its messages are looked at
  std::vector<char*> argv = Pointers(&arguments);
  std::vector<char*> envp = Pointers(&environment);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, arguments[0].c_str(), &actions, &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return Status(error == ENOENT ? Code::kNotFound : Code::kIo,
                  "cannot start pg_dump: " + std::string(std::strerror(error)),
                  "install PostgreSQL's client programs, at least as new as the server");
  }
  return child;
}

// Appends what is there to `text`, up to `bytes_max`; closes at the end.
bool ReadSome(Fd* from, size_t bytes_max, std::string* text) {
  std::array<char, 64 << 10> buffer;
  const ssize_t got = read(from->get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) {
    from->Close();
    return got == 0;
  }
  const size_t room = bytes_max - text->size();
  text->append(buffer.data(), std::min(room, static_cast<size_t>(got)));
  return static_cast<size_t>(got) <= room;
}

// Both at once, so that the child never waits for us. False: more than is taken, or unreadable.
bool ReadBoth(Fd* out, Fd* err, std::string* output, std::string* errors) {
  bool whole = true;
  while (out->get() >= 0 || err->get() >= 0) {
    std::array<pollfd, 2> waiting = {pollfd{out->get(), POLLIN, 0}, pollfd{err->get(), POLLIN, 0}};
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return false;
    if (waiting[0].revents != 0) whole = ReadSome(out, kOutputBytesMax, output) && whole;
    if (waiting[1].revents != 0) ReadSome(err, kErrorBytesMax, errors);
  }
  return whole;
}

std::string_view TakeLine(std::string_view* text) {
  const size_t end = std::min(text->find('\n'), text->size());
  const std::string_view line = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return line;
}

// What of pg_dump's own differs from run to run, or is for psql, stands before the first statement
// and on the last line but comments; SQL is not touched.
std::string Tidy(std::string_view text) {
  std::string out;
  std::string end;  // the line that belongs to \restrict
  while (!text.empty()) {
    std::string_view rest = text;
    const std::string_view line = TakeLine(&rest);
    if (!line.empty() && !line.starts_with("--") && !line.starts_with("\\restrict ")) break;
    text = rest;
    if (line.starts_with("\\restrict ")) {
      end = "\n\\unrestrict " + std::string(line.substr(line.find(' ') + 1)) + "\n";
      continue;
    }
    if (line.starts_with("-- Dumped from") || line.starts_with("-- Dumped by")) continue;
    if (line.empty() && (out.empty() || out.ends_with("\n\n"))) continue;
    out.append(line);
    out.push_back('\n');
  }
  out.append(text);
  if (const size_t at = end.empty() ? std::string::npos : out.rfind(end); at != std::string::npos) {
    out.erase(at + 1, end.size() - 1);
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

Status Failed(const std::string& section, int wait_status, std::string_view errors) {
  std::string why;
  while (!errors.empty() && why.size() < 500) {
    const std::string_view line = TakeLine(&errors);
    if (!line.empty()) why += (why.empty() ? "" : "; ") + std::string(line);
  }
  if (why.empty()) {
    why = WIFSIGNALED(wait_status) ? "killed by signal " + std::to_string(WTERMSIG(wait_status))
                                   : "exit status " + std::to_string(WEXITSTATUS(wait_status));
  }
  const auto says = [&why](std::string_view words) { return why.find(words) != std::string::npos; };
  std::string hint;
  if (says("server version mismatch")) hint = "install a pg_dump at least as new as the server";
  if (says("permission denied")) hint = "the agent's role must be able to read every table";
  const bool away = says("connection to server") || says("canceling statement due to lock");
  return {away ? Code::kUnavailable : Code::kInvalid, "pg_dump of " + section + ": " + why, hint};
}

}  // namespace

Result<std::string> DumpSchema(const std::string& dsn, const std::string& section,
                               const std::string& snapshot) {
  ASSIGN_OR_RETURN(const SafeDsn safe, TakePasswordOut(dsn));
  std::vector<std::string> arguments = {"pg_dump",
                                        "--schema-only",
                                        "--section=" + section,
                                        "--no-owner",
                                        "--no-privileges",
                                        "--no-publications",
                                        "--no-subscriptions",
                                        "--encoding=UTF8",
                                        "--no-password",
                                        "--lock-wait-timeout=5000",
                                        "--dbname=" + safe.dsn};
  if (!snapshot.empty()) arguments.push_back("--snapshot=" + snapshot);
  ASSIGN_OR_RETURN(Pipe out, MakePipe());
  ASSIGN_OR_RETURN(Pipe err, MakePipe());
  ASSIGN_OR_RETURN(const pid_t child,
                   Spawn(std::move(arguments), safe.password, out.write.get(), err.write.get()));
  out.write.Close();
  err.write.Close();
  std::string output;
  std::string errors;
  const bool whole = ReadBoth(&out.read, &err.read, &output, &errors);
  // If not all was read, the child must not wait for a reader.
  out.read.Close();
  err.read.Close();
  int wait_status = 0;
  while (waitpid(child, &wait_status, 0) < 0) {
    if (errno != EINTR) return Status(Code::kIo, std::string("waitpid: ") + std::strerror(errno));
  }
  if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0) {
    return Failed(section, wait_status, errors);
  }
  if (!whole) return Status(Code::kIo, "pg_dump of " + section + ": output not read whole");
  return Tidy(output);
}

}  // namespace kembar::postgres
