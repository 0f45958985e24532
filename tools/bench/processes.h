// processes.h — other programs, as a benchmark needs them: run to the end, or kept running.
//
// Thread-safety: functions may be called from any thread; a Process belongs to one.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::bench {

// The path of a program in the same directory as this one.
std::string BesideThisProgram(const std::string& name);

// Runs a program to its end and gives what it printed on standard output. Standard error is this
// program's own, unless `log` names a file to append it to. kUnavailable when it fails.
Result<std::string> RunProgram(std::vector<std::string> words, const std::string& log = {});

// A program that runs until it is stopped or this object goes: then SIGTERM, and its end is
// awaited.
class Process {
 public:
  // Its output goes to the end of the file `log`.
  static Result<Process> Start(std::vector<std::string> words, const std::string& log);
  Process(Process&& other) noexcept : pid_(other.pid_) { other.pid_ = 0; }
  Process& operator=(Process&& other) noexcept;
  ~Process() { Stop(); }

  void Stop();

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_ = 0;  // 0: none
};

// A TCP port of 127.0.0.1 on which nobody listens at the moment.
Result<int> FreePort();

}  // namespace kembar::bench
