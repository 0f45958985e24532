#!/usr/bin/env bash
# Installs the Debian 12 packages that building, running and testing Kembar needs, if any is missing.
# Usage: deploy/install-deps.sh [build|test]   (test: also what only the tests need)
set -euo pipefail

build_packages=(
  build-essential cmake ninja-build pkg-config ccache mold python3
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev
  librocksdb-dev libssl-dev libzstd-dev libspdlog-dev libfmt-dev libcli11-dev
  libtomlplusplus-dev nlohmann-json3-dev libcpp-httplib-dev prometheus-cpp-dev libsystemd-dev
  libpq-dev postgresql-client-15 libgtest-dev libgmock-dev
)
test_packages=(clang clang-format clang-tidy libclang-rt-14-dev iproute2 curl postgresql-15)

packages=("${build_packages[@]}")
if [ "${1:-build}" = test ]; then packages+=("${test_packages[@]}"); fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "error: missing packages: ${missing[*]} (hint: run as root)" >&2; exit 1; }
  sudo=(sudo)
fi
echo "installing: ${missing[*]}" >&2
"${sudo[@]}" apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
