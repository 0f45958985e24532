// crash_child.h — this test program once more as a child that writes, reports each round on
// descriptor 3 once it was answered, and is killed at one of them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace kembar {

// Runs the disabled tests that `test` selects in a child with KEMBAR_CRASH_DIR=`dir`, lets it reach
// `rounds`, kills it, and gives the last round that it reported.
inline uint64_t RunCrashChild(const char* test, const std::string& dir, uint64_t rounds) {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fds[1], 3);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  const std::string filter = std::string("--gtest_filter=") + test;
  const char* argv[] = {"/proc/self/exe", filter.c_str(), "--gtest_also_run_disabled_tests",
                        nullptr};
  ::setenv("KEMBAR_CRASH_DIR", dir.c_str(), 1);
  pid_t child = 0;
  EXPECT_EQ(::posix_spawn(&child, argv[0], &actions, nullptr, const_cast<char**>(argv), environ),
            0);
  posix_spawn_file_actions_destroy(&actions);
  ::close(fds[1]);
  uint64_t last = 0;
  bool killed = false;
  for (uint64_t round = 0; ::read(fds[0], &round, sizeof(round)) == sizeof(round);) {
    last = round;
    if (round == rounds && !killed) killed = ::kill(child, SIGKILL) == 0;
  }
  ::close(fds[0]);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(killed) << "the child ended by itself";
  return last;
}

}  // namespace kembar
