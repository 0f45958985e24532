// context.h — what every command of kembarctl has at hand: the global options, the cluster, and the
// one way to print.
//
// Standard output carries data only; everything else goes to standard error, errors as one line.
//
// Thread-safety: none; kembarctl runs one command on one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/client/cluster.h"
#include "tools/client/follower.h"

namespace kembar::ctl {

// Exit codes of all commands but `check`.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

struct Globals {
  std::string node;    // HOST:PORT[,HOST:PORT…]
  std::string log;     // empty: the only one
  std::string output;  // "table", "json", or empty: the command's default
  bool yes = false;
  double timeout_s = 30;
  std::string tls_ca, tls_cert, tls_key;
};

// What a command gives back: its exit code, or the error to print.
using Outcome = Result<int>;

class Context {
 public:
  Globals globals;
  std::function<Outcome()> run;  // the chosen command, set while the command line is read
  bool wrong_usage = false;      // the error is the command line's: exit code 2

  // The cluster, all nodes asked once. kUnavailable when none answers.
  Result<client::Cluster*> Connect();
  // The log that is meant.
  Result<std::string> Log();
  // A node to read from: `name`, or, when empty, the primary, or else the one with most committed.
  Result<std::shared_ptr<client::NodeStubs>> Reader(const std::string& name);
  // Where appends go. Valid as long as the context.
  Result<client::PrimaryFollower*> Follower();

  client::Millis timeout() const;
  bool json() const { return globals.output == "json"; }
  // Commands whose natural form is JSON print a table only when asked for.
  bool table_wanted() const { return globals.output == "table"; }
  // "user@host": who acts, for the log.
  static std::string Actor();

 private:
  std::unique_ptr<client::Cluster> cluster_;
  std::unique_ptr<client::PrimaryFollower> follower_;
};

// Writes data to standard output; the write is checked when the program ends.
void Print(std::string_view text);
void PrintLine(std::string_view text);
// A line for people, on standard error.
void Note(std::string_view text);
// Prints "error: …" on standard error.
void PrintError(const Status& status);

// "a,b , c" without the blanks; empty parts are dropped.
std::vector<std::string> SplitList(std::string_view text);

// Asks on the terminal; true when the operator types `word`. Reads nothing when `yes` is set.
bool Confirm(const std::string& question, const std::string& word, bool yes);

}  // namespace kembar::ctl
