#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests; see docs/testing.md.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: tests/run.sh [-L LABEL...]

Without -L everything runs. Labels:
  unit       one file's contract each, and the structure of the tree
  sim        the protocol under faults, from seeds
  e2e        real processes: killed, paused, cut off, out of disk space
  sanitizer  unit, sim and a short e2e once more under AddressSanitizer, UBSan and ThreadSanitizer
  fuzz       decoders and importers fed with any bytes, for a bounded time
  lint       clang-format and clang-tidy

The last line is "N passed, N failed"; the exit code is 0 only if none failed and some ran.
Environment: KEMBAR_BUILD_ROOT (default: the repository), KEMBAR_JOBS (default: all processors).
TEXT
}

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repository"
root=${KEMBAR_BUILD_ROOT:-$repository}
jobs=${KEMBAR_JOBS:-$(nproc)}
all_labels=(unit sim e2e sanitizer fuzz lint)
passed=0
failed=0

parse_options() {
  labels=()
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage; exit 0 ;;
      -L)
        shift
        [ $# -gt 0 ] || { echo "error: -L needs a label (hint: see tests/run.sh --help)" >&2; exit 2; }
        while [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; do
          [[ " ${all_labels[*]} " == *" $1 "* ]] ||
            { echo "error: unknown label '$1' (hint: one of ${all_labels[*]})" >&2; exit 2; }
          labels+=("$1")
          shift
        done ;;
      *) echo "error: unknown option '$1' (hint: see tests/run.sh --help)" >&2; exit 2 ;;
    esac
  done
  [ ${#labels[@]} -gt 0 ] || labels=("${all_labels[@]}")
}

wants() { [[ " ${labels[*]} " == *" $1 "* ]]; }

began=$(date +%s)
title() { printf '\n=== %s (after %d s)\n' "$*" $(($(date +%s) - began)); }

# One check that is no ctest test: it counts as one.
count_check() {  # name, command...
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    echo "FAILED: $name"
    failed=$((failed + 1))
  fi
}

# While end-to-end tests wait for their processes, the builds of later stages go on at a priority
# that takes nothing from them. What fails here is built again, and told, when its turn comes.
ahead=""
build_ahead() {  # "preset directory target"...
  local idle=(nice -n 19)
  if chrt --idle 0 true 2>/dev/null; then idle=(chrt --idle 0); fi
  set -m  # a process group of its own, so that all of it can be stopped
  {
    local preset dir target
    while read -r preset dir target; do
      mkdir -p "$dir"
      "${idle[@]}" cmake --preset "$preset" -B "$dir"
      "${idle[@]}" cmake --build "$dir" -j "$jobs" --target "$target"
    done <<<"$(printf '%s\n' "$@")"
  } >/dev/null 2>&1 &
  ahead=$!
  set +m
}
stop_ahead() { [ -z "$ahead" ] || kill -- "-$ahead" 2>/dev/null || true; }
trap stop_ahead EXIT

# Configures and builds a preset; a failure counts as one and leaves the rest to run.
build() {  # preset, directory, target...
  if [ -n "$ahead" ]; then wait "$ahead" || true; fi
  ahead=""
  local preset=$1 dir=$2 log=$2/build.log
  shift 2
  mkdir -p "$dir"
  { cmake --preset "$preset" -B "$dir" && cmake --build "$dir" -j "$jobs" --target "$@"; } >"$log" 2>&1 &&
    return 0
  grep -E 'error:|FAILED|CMake Error' "$log" | head -n 40 || tail -n 40 "$log"
  echo "FAILED: build of preset $preset (see $log)"
  failed=$((failed + 1))
  return 1
}

# Runs ctest and adds what it counted. At most $jobs tests at once; those of e2e one by one.
run_ctest() {  # directory, ctest arguments...
  local dir=$1 report=$1/ctest-report.xml counts
  shift
  rm -f "$report"
  ctest --test-dir "$dir" -j "$jobs" --output-on-failure --output-junit "$report" "$@" || true
  counts=$(python3 - "$report" <<'PY'
import sys
import xml.etree.ElementTree as tree
try:
    suite = tree.parse(sys.argv[1]).getroot()
except (OSError, tree.ParseError):
    print("0 1")  # ctest itself failed
    sys.exit()
number = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "skipped", "disabled")}
# A test that could not run counts as failed.
bad = number["failures"] + number["skipped"] + number["disabled"]
print(number["tests"] - bad, bad)
PY
)
  passed=$((passed + ${counts% *}))
  failed=$((failed + ${counts#* }))
}

run_release() {
  local wanted=() label
  for label in unit sim e2e; do
    if wants "$label"; then wanted+=("$label"); fi
  done
  [ ${#wanted[@]} -gt 0 ] || return 0
  title "release: ${wanted[*]}"
  build release "$root/build" all || return 0
  if wants e2e; then
    local later=()
    if wants sanitizer; then
      later+=("asan-ubsan $root/build-asan all" "tsan $root/build-tsan all")
    fi
    if wants fuzz; then later+=("fuzz $root/build-fuzz fuzzers"); fi
    if [ ${#later[@]} -gt 0 ]; then build_ahead "${later[@]}"; fi
  fi
  run_ctest "$root/build" -L "^($(IFS='|'; echo "${wanted[*]}"))\$"
}

# e2e under sanitizers is for what the nodes do, not for volume: fewer rounds, more patience.
run_sanitizers() {
  title "sanitizer: address and undefined behaviour"
  if build asan-ubsan "$root/build-asan" all; then
    export ASAN_OPTIONS=detect_leaks=1:halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
    run_ctest "$root/build-asan" -L '^(unit|sim)$' -E '^structure$'
    KEMBAR_ROUNDS=3 KEMBAR_PATIENCE=4 \
      run_ctest "$root/build-asan" -R '^e2e_(kill_primary|mirror_stopped|restart)_test$'
  fi
  title "sanitizer: threads"
  if build tsan "$root/build-tsan" all; then
    # The simulator has one thread: a few runs are enough here.
    run_ctest "$root/build-tsan" -L '^(unit|sim)$' -E '^(structure|sim_seeds|sim_mutants)$'
  fi
}

run_fuzz() {
  title "fuzz"
  if build fuzz "$root/build-fuzz" fuzzers; then
    run_ctest "$root/build-fuzz" -L '^fuzz$'
  fi
}

sources() { git ls-files --cached --others --exclude-standard -- "$@"; }

run_format() { sources '*.h' '*.cc' | xargs -r clang-format --dry-run -Werror; }

# Each file alone, so that the processors share the work evenly; output only where there is trouble.
run_tidy() {  # path patterns...
  local files
  mapfile -t files < <(sources "$@")
  [ ${#files[@]} -gt 0 ] || return 0
  local out
  if ! out=$(printf '%s\0' "${files[@]}" |
    xargs -0 -n 1 -P "$jobs" clang-tidy -p "$root/build-lint" --quiet "--extra-arg=-isystem$root/build/proto" \
      --extra-arg=-Wno-unknown-warning-option 2>/dev/null); then
    grep -E 'warning:|error:' <<<"$out" | sort -u || echo "$out"
    return 1
  fi
}

run_lint() {
  title "lint"
  count_check clang-format run_format
  # clang-tidy reads how each file is compiled, by itself and without precompiled headers, which are
  # g++'s; and the generated headers. Nothing of this is built but those.
  if build release "$root/build" kembar_proto &&
    cmake --preset debug -B "$root/build-lint" -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null; then
    count_check "clang-tidy replicator" run_tidy 'replicator/*.cc'
    count_check "clang-tidy node/store, tools/import, tools/capture" run_tidy 'node/store/*.cc' 'tools/import/*.cc' \
      'tools/capture/*.cc'
  fi
}

main() {
  parse_options "$@"
  title "installing what is missing"
  deploy/install-deps.sh test
  run_release
  if wants fuzz; then run_fuzz; fi
  if wants sanitizer; then run_sanitizers; fi
  if wants lint; then run_lint; fi
  title "done"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

main "$@"
