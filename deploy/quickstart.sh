#!/usr/bin/env bash
# Shows Kembar's main job on this machine: two sites, one destroyed, no package missing.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: deploy/quickstart.sh [--dir DIR] [--data FILE...] [--exit]

Installs what is missing, builds, starts site tebo (primary) and site jambi (mirror), loads tender
data, destroys site tebo (kill -9, data directory deleted), fails over to jambi, shows that no package
is missing, and brings tebo back as an empty mirror.

  --dir DIR       where the two sites live (default: ./var); an earlier run's is replaced
  --data FILE...  RUP, OCDS or ISB files as JSON (default: a sample that is made up here); ISB files are
                  named SPSE-* or RUP-Master*, of the others { begins an OCDS package
  --exit          stop at the end instead of staying up until Ctrl-C

With --exit the last line is "packages before N, after N, missing 0", and the exit code is 0 only if
that is so. Environment: KEMBAR_BIN=DIR uses the programs in DIR instead of building them.
TEXT
}

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
marker=.kembar-quickstart
log=tebo
dir=./var
data=()
stay=yes
tebo_pid=''
jambi_pid=''
wait_seconds=60

fail() { echo "error: $*" >&2; exit 1; }
fail_usage() { echo "error: $* (hint: see deploy/quickstart.sh --help)" >&2; exit 2; }

started_ms=$(date +%s%3N)
step_number=0
step() {
  step_number=$((step_number + 1))
  local passed=$(($(date +%s%3N) - started_ms))
  printf '\n[%3d.%03d s] %d. %s\n' $((passed / 1000)) $((passed % 1000)) "$step_number" "$*"
}
tell() { printf '            %s\n' "$*"; }
since() { printf '%d ms' $(($(date +%s%3N) - $1)); }
now() { date +%s%3N; }

parse_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage; exit 0 ;;
      --exit) stay=no; shift ;;
      --dir)
        [ -n "${2:-}" ] || fail_usage "--dir needs a directory"
        dir=$2; shift 2 ;;
      --data)
        shift
        while [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; do data+=("$1"); shift; done
        [ ${#data[@]} -gt 0 ] || fail_usage "--data needs a file" ;;
      *) fail_usage "unknown option '$1'" ;;
    esac
  done
  local file
  for file in "${data[@]}"; do
    [[ -f $file && -r $file ]] || fail "cannot read data file $file"
  done
}

# A directory of ours is emptied; anybody else's is left alone.
prepare_dir() {
  if [ -e "$dir" ] && [ ! -d "$dir" ]; then fail "$dir is not a directory"; fi
  if [ -d "$dir" ] && [ ! -f "$dir/$marker" ] && [ -n "$(ls -A "$dir")" ]; then
    fail "$dir holds something that is not from an earlier quickstart (hint: choose another --dir)"
  fi
  if [ -f "$dir/$marker" ]; then
    check_not_running
    rm -rf "$dir/tebo" "$dir/jambi" "$dir/work"
  fi
  mkdir -p "$dir/tebo" "$dir/jambi" "$dir/work"
  dir=$(cd "$dir" && pwd)
  echo "made by deploy/quickstart.sh; replaced by its next run" >"$dir/$marker"
}

check_not_running() {
  local site pid
  for site in tebo jambi; do
    pid=$(cat "$dir/$site/kembard.pid" 2>/dev/null) || continue
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = kembard ]; then
      fail "an earlier quickstart still runs in $dir: $site has process $pid (hint: end it with Ctrl-C)"
    fi
  done
}

build() {
  if [ -n "${KEMBAR_BIN:-}" ]; then
    bin=$KEMBAR_BIN
    [[ -x $bin/kembard && -x $bin/kembarctl ]] || fail "KEMBAR_BIN: no kembard and kembarctl in $bin"
    tell "using the programs in $bin"
    return
  fi
  bin=$repository/build/bin
  "$repository/deploy/install-deps.sh" build || fail "the packages that the build needs could not be installed"
  local out=$dir/work/build.log
  tell "some minutes the first time; what the compiler says is in $out"
  { (cd "$repository" && cmake --preset release) &&
    cmake --build "$repository/build" --target kembard kembarctl; } >"$out" 2>&1 ||
    { tail -n 20 "$out" >&2; fail "the build failed (hint: see $out)"; }
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first free port from $1 on that was not given out yet.
given_ports=" "
pick_port() {
  local port=$1
  while ! port_is_free "$port" || [[ $given_ports == *" $port "* ]]; do
    port=$((port + 10))
    [ "$port" -lt 32000 ] || fail "no free port from $1 on"
  done
  given_ports+="$port "
  picked=$port
}

write_config() {  # site, other site, its port, own port, http port
  cat >"$dir/$1/kembard.toml" <<TEXT
# Site $1 of the quickstart.
[node]
name = "$1"
listen = "127.0.0.1:$4"
http = "127.0.0.1:$5"
data = "$dir/$1/data"

[[peer]]
name = "$2"
address = "127.0.0.1:$3"
TEXT
}

answers_http() {
  local line
  { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
  printf 'GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
  read -r -t 2 line <&3 || line=
  exec 3>&-
  [[ $line == HTTP/* ]]
}

# Asks again until the command succeeds; the pause only keeps the asking from being all that happens.
wait_until() {  # what, command...
  local what=$1 deadline=$(($(date +%s) + wait_seconds))
  shift
  until "$@"; do
    site_died tebo "$tebo_pid"
    site_died jambi "$jambi_pid"
    [ "$(date +%s)" -lt "$deadline" ] || fail "$what did not happen within $wait_seconds s (hint: see $dir/*/kembard.log)"
    sleep 0.05
  done
}

site_died() {
  [ -z "$2" ] || kill -0 "$2" 2>/dev/null ||
    fail "site $1 has ended: $(tail -n 1 "$dir/$1/kembard.log") (hint: see $dir/$1/kembard.log)"
}

start_site() {  # site, http port; sets SITE_pid
  "$bin/kembard" --config "$dir/$1/kembard.toml" >>"$dir/$1/kembard.log" 2>&1 &
  echo $! >"$dir/$1/kembard.pid"
  printf -v "$1_pid" %s $!
  wait_until "that site $1 listens" answers_http "$2"
}

stop_site() {  # pid, signal
  [ -n "$1" ] || return 0
  kill "-$2" "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

stop_all() {
  local code=$?
  trap '' INT TERM
  stop_site "$tebo_pid" TERM
  stop_site "$jambi_pid" TERM
  exit "$code"
}

ctl() { "$bin/kembarctl" --node "127.0.0.1:$tebo_port,127.0.0.1:$jambi_port" --log "$log" --yes "$@"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# The kind of import that a file is for: by its name or by how it begins.
kind_of() {
  case $(basename "$1") in SPSE-* | RUP-Master*) echo isb; return ;; esac
  case $(head -c 4096 "$1" | tr -d ' \t\r\n' | head -c 1) in
    '{') echo ocds ;;
    *) echo rup ;;
  esac
}

load() {
  local kind file files read_rows appended before
  for kind in rup ocds isb; do
    files=()
    for file in "${data[@]}"; do
      [ "$(kind_of "$file")" != "$kind" ] || files+=("$file")
    done
    [ ${#files[@]} -gt 0 ] || continue
    before=$(now)
    ctl --output json import "$kind" "${files[@]}" >"$dir/work/import-$kind.json" ||
      fail "the import of ${files[*]} failed (hint: see $dir/work/import-$kind.json)"
    read_rows=$(field read <"$dir/work/import-$kind.json")
    appended=$(field appended <"$dir/work/import-$kind.json")
    tell "$kind: ${#files[@]} file(s), $read_rows rows read, $appended records appended in $(since "$before")"
  done
  tell "each record was acknowledged only when both sites had it on disk"
}

# What a site holds: its packages as it lists them, and the content of each.
take_inventory() {  # name
  ctl --output json package list >"$dir/work/packages-$1.json"
  ctl --output json log read | python3 "$repository/deploy/sample/inventory.py" >"$dir/work/content-$1.txt"
  python3 -c 'import json, sys
for p in sorted(p["package"] for p in json.load(sys.stdin)): print(json.dumps(p))' \
    <"$dir/work/packages-$1.json" >"$dir/work/names-$1.txt"
}
count() { wc -l <"$1" | tr -d ' '; }

# Packages of the first list that the second lacks or has with other content.
missing_in() {  # before, after
  { LC_ALL=C comm -23 <(LC_ALL=C sort "$dir/work/names-$1.txt") <(LC_ALL=C sort "$dir/work/names-$2.txt")
    LC_ALL=C comm -23 <(LC_ALL=C sort "$dir/work/content-$1.txt") <(LC_ALL=C sort "$dir/work/content-$2.txt") |
      sed 's/ [0-9a-f]*$//'; } | LC_ALL=C sort -u
}

is_level() {
  ctl --output json status 2>/dev/null | python3 -c '
import json, sys
try:
    status = json.load(sys.stdin)
except ValueError:
    sys.exit(1)
nodes = status["nodes"]
same = all(n["durable_index"] == n["commit_index"] == status["last_index"] for n in nodes)
whole = len(nodes) == 2 and all(n["reachable"] for n in nodes)
sys.exit(0 if status["state"] == "protected" and same and whole else 1)'
}

start_both() {
  pick_port 7401; tebo_port=$picked
  pick_port 7402; jambi_port=$picked
  pick_port 7481; tebo_http=$picked
  pick_port 7482; jambi_http=$picked
  write_config tebo jambi "$jambi_port" "$tebo_port" "$tebo_http"
  write_config jambi tebo "$tebo_port" "$jambi_port" "$jambi_http"
  start_site tebo "$tebo_http"
  start_site jambi "$jambi_http"
  ctl log create "$log" --primary "tebo=127.0.0.1:$tebo_port" --mirror "jambi=127.0.0.1:$jambi_port" \
    >"$dir/work/create.txt" || fail "log $log could not be created"
  wait_until "that log $log is protected" is_level
  tell "tebo 127.0.0.1:$tebo_port (primary), jambi 127.0.0.1:$jambi_port (mirror), both below $dir"
}

main() {
  parse_options "$@"
  prepare_dir
  trap stop_all EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  step "Building Kembar"
  build

  step "Starting site tebo as primary and site jambi as mirror"
  start_both

  step "Loading tender data at tebo"
  if [ ${#data[@]} -eq 0 ]; then
    data=("$dir/work/sample-rup.json")
    python3 "$repository/deploy/sample/make_sample.py" "${data[0]}"
    tell "no --data given: an invented procurement plan, ${data[0]}"
  fi
  load
  take_inventory before
  before=$(count "$dir/work/names-before.txt")
  tell "$before packages at tebo"

  step "Destroying site tebo: kill -9, data directory deleted"
  stop_site "$tebo_pid" KILL
  tebo_pid=
  rm -rf "$dir/tebo/data"
  tell "nothing is left of it"

  step "Failing over to jambi"
  ctl --output json failover --to jambi --without tebo --reason "quickstart: site tebo is lost" \
    >"$dir/work/failover.json" 2>"$dir/work/failover.txt" ||
    fail "failover: $(tail -n 1 "$dir/work/failover.txt")"
  tell "jambi is primary: epoch $(field epoch <"$dir/work/failover.json"), lost: $(field lost <"$dir/work/failover.json"), $(field seconds <"$dir/work/failover.json") s"

  step "Comparing every package, name by name and byte by byte"
  take_inventory after
  after=$(count "$dir/work/names-after.txt")
  missing_in before after >"$dir/work/missing.txt"
  missing=$(count "$dir/work/missing.txt")
  [ "$missing" -eq 0 ] || head -n 20 "$dir/work/missing.txt"
  tell "packages before $before, after $after, missing $missing"

  step "Bringing tebo back as an empty mirror"
  local begin
  begin=$(now)
  start_site tebo "$tebo_http"
  wait_until "that tebo is level" is_level
  tell "tebo has caught up from nothing and counts again, after $(since "$begin")"
  echo
  ctl --output table status
  echo
  tell "status page: http://127.0.0.1:$jambi_http/ (jambi) and http://127.0.0.1:$tebo_http/ (tebo)"
  finish
}

finish() {
  if [ "$stay" = yes ]; then
    tell "try it:  $bin/kembarctl --node 127.0.0.1:$jambi_port package list"
    tell "both sites stay up until Ctrl-C"
    wait -n "$jambi_pid" "$tebo_pid" || true
    fail "a site has ended by itself (hint: see $dir/*/kembard.log)"
  fi
  stop_site "$tebo_pid" TERM
  tebo_pid=
  stop_site "$jambi_pid" TERM
  jambi_pid=
  echo "packages before $before, after $after, missing $missing"
  [ "$missing" -eq 0 ] && [ "$before" -eq "$after" ] && [ "$before" -gt 0 ]
}

main "$@"
