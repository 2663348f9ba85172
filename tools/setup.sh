# shellcheck shell=sh disable=SC2154
# Sourced by tools/milc, tools/stories_train and tools/test: finds what milgen is built with and
# installs what is missing with the system's package manager. Everything here prints to stderr only.
#
#   root     the folder of the repository (set by the caller)

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# What a build needs and what only the tests need on top of it, as Debian and Ubuntu call it.
apt_build="cmake ninja-build g++ ccache libfmt-dev nlohmann-json3-dev libcli11-dev libssl-dev \
libhwy-dev libopenblas-dev doctest-dev zlib1g-dev"
apt_test="clang-14 libclang-rt-14-dev clang-format-14 pkg-config python3-numpy"
# What tells which lines the tests execute.
apt_coverage="gcovr"
# What runs milgen as other machines do: 64-bit Arm, and x86-64 without AVX.
apt_emulation="qemu-user g++-12-aarch64-linux-gnu libfmt-dev:arm64 libhwy-dev:arm64 \
libssl-dev:arm64 zlib1g-dev:arm64"
# The same for Homebrew; Apple's command line tools bring the compiler.
brew_build="cmake ninja ccache fmt highway nlohmann-json cli11 openssl@3 doctest"
brew_test="pkg-config clang-format"

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif ! command -v sudo >/dev/null 2>&1; then
    die "installing packages needs root and there is no sudo; as root: apt-get install $missing"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"  # nobody is there to type a password
  fi
}

apt_missing() {
  missing=""
  for package in "$@"; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || status=""
    [ "$status" = "install ok installed" ] || missing="$missing $package"
  done
  missing=${missing# }
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    "$@" </dev/null >&2
}

brew_missing() {
  missing=""
  for package in "$@"; do
    [ -d "$(brew --prefix)/opt/$package" ] || missing="$missing $package"
  done
  missing=${missing# }
}

# install_packages build|test
install_packages() {
  if command -v apt-get >/dev/null 2>&1; then
    wanted=$apt_build
    [ "$1" = build ] || wanted="$wanted $apt_test"
    # shellcheck disable=SC2086 # lists of words
    apt_missing $wanted
    [ -n "$missing" ] || return 0
    say "installing: $missing"
    # A machine that was never updated knows no packages yet; one that was is not asked to again.
    # shellcheck disable=SC2086
    apt_install $missing || { as_root apt-get update </dev/null >&2 && apt_install $missing; } ||
      die "apt-get could not install $missing"
  elif command -v brew >/dev/null 2>&1; then
    wanted=$brew_build
    [ "$1" = build ] || wanted="$wanted $brew_test"
    # shellcheck disable=SC2086
    brew_missing $wanted
    [ -n "$missing" ] || return 0
    say "installing: $missing"
    # shellcheck disable=SC2086
    brew install $missing </dev/null >&2 || die "brew could not install $missing"
  else
    for program in cmake ninja c++; do
      command -v "$program" >/dev/null 2>&1 ||
        die "$program is missing and neither apt-get nor brew is here to install it; milgen needs" \
          "CMake 3.25, Ninja, a C++20 compiler, fmt, Highway, nlohmann-json, CLI11, OpenSSL, doctest," \
          "zlib"
    done
  fi
}

# install_coverage: false where there are no such packages
install_coverage() {
  command -v gcovr >/dev/null 2>&1 && return 0
  command -v apt-get >/dev/null 2>&1 || return 1
  # shellcheck disable=SC2086 # a list of words
  apt_missing $apt_coverage
  say "installing: $missing"
  # shellcheck disable=SC2086
  apt_install $missing
}

# install_emulation: false where there are no such packages
install_emulation() {
  command -v apt-get >/dev/null 2>&1 && [ "$(dpkg --print-architecture)" = amd64 ] || return 1
  # shellcheck disable=SC2086 # a list of words
  apt_missing $apt_emulation
  [ -n "$missing" ] || return 0
  if ! dpkg --print-foreign-architectures | grep -qx arm64; then
    # Ubuntu keeps the packages of this architecture on servers that it does not look at by itself.
    grep -qx 'ID=debian' /etc/os-release || return 1
    as_root dpkg --add-architecture arm64 && as_root apt-get update </dev/null >&2 || return 1
  fi
  say "installing: $missing"
  # shellcheck disable=SC2086
  apt_install $missing
}

# configure PRESET [CMAKE ARGUMENT...]: quiet, unless it fails
configure() {
  preset=$1
  shift
  set -- --preset "$preset" "$@"
  if [ "$(uname -s)" = Darwin ] && command -v brew >/dev/null 2>&1; then
    set -- "$@" "-DCMAKE_PREFIX_PATH=$(brew --prefix);$(brew --prefix)/opt/openssl@3"
  fi
  mkdir -p "$root/build/$preset"
  log=$root/build/$preset/configure.log
  (cd "$root" && cmake "$@") >"$log" 2>&1 </dev/null || {
    cat "$log" >&2
    die "the $preset preset cannot be configured"
  }
}

# run_tool NAME [ARGUMENT...]: builds the release build's NAME when it is not up to date and becomes
# it; stdout is the program's alone
run_tool() {
  tool=$1
  shift
  build=$root/build/release
  mkdir -p "$build"
  # Two of these at once would both run ninja in one folder.
  if command -v flock >/dev/null 2>&1; then
    exec 9>"$build/.lock"
    flock 9
  fi
  if [ ! -f "$build/build.ninja" ] || ! command -v ninja >/dev/null 2>&1; then
    install_packages build
    configure release
  fi
  case $(ninja -C "$build" -n "$tool" 2>&1) in
  *"no work to do"*) ;;
  *)
    printf 'building %s\n' "$tool" >&2
    ninja -C "$build" "$tool" >&2 </dev/null
    ;;
  esac
  exec 9>&-
  exec "$build/$tool" "$@"
}
