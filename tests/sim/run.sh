#!/bin/sh
# Simulates the replication protocol: `run.sh --seeds N` runs N seeds in two processes,
# `run.sh --seed S` runs one again and shows its whole trace. Other arguments go to kembar-sim as
# they are (see README.md). Builds kembar-sim first if it is not there or is older than the sources.
#
# KEMBAR_SIM_BUILD names the build directory; otherwise the release preset's `build` is taken if it
# is configured, else a small one without gRPC and RocksDB is made in build-sim.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${KEMBAR_SIM_BUILD:-}
if [ -z "$build" ]; then
  build=$root/build
  if [ ! -f "$build/CMakeCache.txt" ]; then
    build=$root/build-sim
  fi
fi
if [ ! -f "$build/CMakeCache.txt" ]; then
  cmake -S "$root" -B "$build" -G Ninja -DKEMBAR_CORE_ONLY=ON -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS_RELEASE="-O2 -g1" >/dev/null
fi
cmake --build "$build" --target kembar-sim -- -j "${KEMBAR_JOBS:-2}" >"$build/kembar-sim.log" 2>&1 || {
  cat "$build/kembar-sim.log" >&2
  exit 2
}
sim=$build/bin/kembar-sim

seeds=
base=1
seed=
for arg in "$@"; do
  case ${previous:-} in
    --seeds) seeds=$arg ;;
    --base) base=$arg ;;
    --seed) seed=$arg ;;
  esac
  previous=$arg
done
if [ -n "$seed" ]; then
  exec "$sim" --seed "$seed" --all
fi
if [ -z "$seeds" ] || [ "$seeds" -lt 2 ]; then
  exec "$sim" "$@"
fi

half=$((seeds / 2))
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$sim" --seeds "$half" --base "$base" >"$out/first" 2>&1 &
first=$!
status=0
"$sim" --seeds $((seeds - half)) --base $((base + half)) >"$out/second" 2>&1 || status=1
wait "$first" || status=1
cat "$out/first" "$out/second"
exit $status
