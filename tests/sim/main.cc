// main.cc — kembar-sim: runs seeds, mutants, scenarios. See README.md.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "replicator/base/check.h"
#include "tests/sim/chaos.h"
#include "tests/sim/mutant.h"
#include "tests/sim/scenario.h"
#include "tests/sim/trace.h"

namespace kembar {

// Takes the place of the library's own, which ends the process: a CHECK that fails under simulation
// is a finding like any other and is reported with its seed.
void CheckFailed(std::string_view condition, std::string_view detail, const char* file, int line,
                 const char* function) {
  throw sim::Violation{"CHECK(" + std::string(condition) + ") " + std::string(detail) + " in " +
                       function + ", " + file + ":" + std::to_string(line)};
}

}  // namespace kembar

namespace kembar::sim {
namespace {

constexpr size_t kLinesShown = 100;
constexpr char kUsage[] =
    "usage: kembar-sim --seeds N [--base S]      seeds S, S+1, … (S is 1 unless given)\n"
    "       kembar-sim --seed S [--all]          one seed again, with its trace (the last 100 "
    "lines\n"
    "                                            if it fails, all with --all)\n"
    "       kembar-sim --mutants N               each mutant must be caught within N seeds\n"
    "       kembar-sim --mutant NAME --seed S    one mutant, one seed, with its trace\n"
    "       kembar-sim --determinism N           seeds 1..N twice: the traces must be the same\n"
    "       kembar-sim --scenarios FILE… [--rewrite]\n";

struct Options {
  uint64_t seeds = 0, base = 1, seed = 0, mutants = 0, determinism = 0;
  bool all = false, rewrite = false, quiet = false;
  const MutantInfo* mutant = nullptr;
  std::vector<std::string> scenarios;
};

void PrintRun(uint64_t seed, const RunResult& run) {
  std::printf(
      "seed %llu: %s; %llu steps, %llu acknowledged, %llu crashes, %llu disks wiped, "
      "%llu orders carried out, %llu records quarantined, %llu given up, trace %016llx\n",
      static_cast<unsigned long long>(seed), run.kind.c_str(),
      static_cast<unsigned long long>(run.steps), static_cast<unsigned long long>(run.acknowledged),
      static_cast<unsigned long long>(run.crashes), static_cast<unsigned long long>(run.wipes),
      static_cast<unsigned long long>(run.failovers),
      static_cast<unsigned long long>(run.quarantined),
      static_cast<unsigned long long>(run.given_up), static_cast<unsigned long long>(run.hash));
}

void ReportFailure(uint64_t seed, const RunResult& run) {
  Trace again(kLinesShown);
  (void)RunSeed(seed, Mutant::kNone, &again);
  for (const std::string& line : again.lines()) std::printf("%s\n", line.c_str());
  PrintRun(seed, run);
  std::printf("FAILED seed %llu: %s\nreplay: tests/sim/run.sh --seed %llu\n",
              static_cast<unsigned long long>(seed), run.failure.c_str(),
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);
}

int RunSeeds(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  RunResult sum;
  uint64_t failed = 0;
  for (uint64_t seed = options.base; seed < options.base + options.seeds; ++seed) {
    Trace trace(0);
    const RunResult run = RunSeed(seed, Mutant::kNone, &trace);
    sum.steps += run.steps;
    sum.acknowledged += run.acknowledged;
    sum.quarantined += run.quarantined;
    sum.crashes += run.crashes;
    sum.wipes += run.wipes;
    sum.restores += run.restores;
    sum.failovers += run.failovers;
    sum.given_up += run.given_up;
    if (run.ok) continue;
    if (options.quiet) {
      std::printf("FAILED seed %llu: %s (%s)\n", static_cast<unsigned long long>(seed),
                  run.failure.c_str(), run.kind.c_str());
    } else if (failed < 3) {
      ReportFailure(seed, run);
    }
    ++failed;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf(
      "%llu seeds from %llu, %llu failed, %.0f s: %llu steps, %llu batches acknowledged, "
      "%llu crashes, %llu disks wiped, %llu old disks put back, %llu orders carried out, "
      "%llu records quarantined, "
      "%llu batches given up with consent\n",
      static_cast<unsigned long long>(options.seeds), static_cast<unsigned long long>(options.base),
      static_cast<unsigned long long>(failed), took.count(),
      static_cast<unsigned long long>(sum.steps), static_cast<unsigned long long>(sum.acknowledged),
      static_cast<unsigned long long>(sum.crashes), static_cast<unsigned long long>(sum.wipes),
      static_cast<unsigned long long>(sum.restores), static_cast<unsigned long long>(sum.failovers),
      static_cast<unsigned long long>(sum.quarantined),
      static_cast<unsigned long long>(sum.given_up));
  return failed == 0 ? 0 : 1;
}

int RunOne(const Options& options) {
  Trace trace(options.all ? SIZE_MAX : kLinesShown);
  if (options.all) trace.set_sink([](const std::string& line) { std::puts(line.c_str()); });
  const Mutant mutant = options.mutant ? options.mutant->mutant : Mutant::kNone;
  const RunResult run = RunSeed(options.seed, mutant, &trace);
  if (!options.all && !run.ok) {
    for (const std::string& line : trace.lines()) std::puts(line.c_str());
  }
  PrintRun(options.seed, run);
  if (!run.ok) std::printf("FAILED: %s\n", run.failure.c_str());
  return run.ok ? 0 : 1;
}

int RunMutants(const Options& options) {
  bool all_caught = true;
  for (const MutantInfo& info : AllMutants()) {
    uint64_t seed = options.base;
    RunResult run;
    for (; seed < options.base + options.mutants; ++seed) {
      Trace trace(0);
      run = RunSeed(seed, info.mutant, &trace);
      if (!run.ok) break;
    }
    if (run.ok) {
      all_caught = false;
      std::printf("%-24s NOT CAUGHT in %llu seeds (%.*s)\n", info.name.data(),
                  static_cast<unsigned long long>(options.mutants),
                  static_cast<int>(info.what.size()), info.what.data());
    } else {
      std::printf("%-24s caught by seed %4llu: %s\n", info.name.data(),
                  static_cast<unsigned long long>(seed - options.base + 1), run.failure.c_str());
    }
    std::fflush(stdout);
  }
  return all_caught ? 0 : 1;
}

int RunDeterminism(const Options& options) {
  for (uint64_t seed = 1; seed <= options.determinism; ++seed) {
    Trace first(0);
    Trace second(10);
    RunSeed(seed, Mutant::kNone, &first);
    RunSeed(seed, Mutant::kNone, &second);
    if (first.hash() == second.hash()) continue;
    std::printf("seed %llu differs when it runs again\n", static_cast<unsigned long long>(seed));
    return 1;
  }
  std::printf("%llu seeds ran twice with the same traces\n",
              static_cast<unsigned long long>(options.determinism));
  return 0;
}

int RunScenarios(const Options& options) {
  int failed = 0;
  for (const std::string& path : options.scenarios) {
    const std::string difference = RunScenario(path, options.rewrite);
    std::printf("%s %s\n%s", difference.empty() ? "ok    " : "FAILED", path.c_str(),
                difference.c_str());
    failed += difference.empty() ? 0 : 1;
  }
  return failed == 0 ? 0 : 1;
}

bool ParseNumber(const char* text, uint64_t* out) {
  const char* end = text + std::strlen(text);
  auto [at, error] = std::from_chars(text, end, *out);
  return error == std::errc() && at == end;
}

bool Parse(const std::vector<std::string>& args, Options* options) {
  struct Numbered {
    const char* name;
    uint64_t* value;
  };
  const std::vector<Numbered> numbered = {{"--seeds", &options->seeds},
                                          {"--base", &options->base},
                                          {"--seed", &options->seed},
                                          {"--mutants", &options->mutants},
                                          {"--determinism", &options->determinism}};
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    const auto number = std::find_if(numbered.begin(), numbered.end(),
                                     [&](const Numbered& n) { return arg == n.name; });
    if (number != numbered.end()) {
      if (++i >= args.size() || !ParseNumber(args[i].c_str(), number->value)) return false;
    } else if (arg == "--mutant") {
      if (++i >= args.size() || !(options->mutant = FindMutant(args[i]))) return false;
    } else if (arg == "--all") {
      options->all = true;
    } else if (arg == "--quiet") {
      options->quiet = true;
    } else if (arg == "--rewrite") {
      options->rewrite = true;
    } else if (arg == "--scenarios") {
      while (i + 1 < args.size() && args[i + 1].rfind("--", 0) != 0) {
        options->scenarios.push_back(args[++i]);
      }
    } else {
      return false;
    }
  }
  return true;
}

int Main(const std::vector<std::string>& args) {
  Options options;
  if (Parse(args, &options)) {
    if (!options.scenarios.empty()) return RunScenarios(options);
    if (options.mutants > 0) return RunMutants(options);
    if (options.determinism > 0) return RunDeterminism(options);
    if (options.seed > 0) return RunOne(options);
    if (options.seeds > 0) return RunSeeds(options);
  }
  std::fputs(kUsage, stderr);
  return 2;
}

}  // namespace
}  // namespace kembar::sim

int main(int argc, char** argv) { return kembar::sim::Main({argv + 1, argv + argc}); }
