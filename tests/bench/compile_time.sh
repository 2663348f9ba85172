#!/bin/sh
# What including milgen costs a compiler: a kernel of 100 ops against a file that includes <string>,
# <vector> and <span> alone, g++ -O0, user time, best of several turns.
#
#   tests/bench/compile_time.sh [--quick]
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compiler=${CXX:-g++}
rounds=9
[ "${1:-}" != --quick ] || rounds=1

printf '#include <string>\n#include <vector>\n#include <span>\nint f() { return 0; }\n' >"$work/bare.cpp"
{
  printf '#include <milgen/milgen.h>\nusing namespace milgen;\nvoid kernel(Kernel& k) {\n'
  printf '  auto x = k.input<fp16>("x", {1, 64, 1, 32});\n'
  printf '  auto w = k.weight<fp16>("w", {64, 64, 1, 1});\n'
  # Ten ops a round.
  round=0
  while [ $round -lt 10 ]; do
    printf '  x = conv(x, w);\n  x = x * sigmoid(x);\n  x = x + 1.0;\n'
    printf '  x = softmax(x, {.axis = -1});\n  x = slice_by_size(x, {0, 0, 0, 0}, {1, 64, 1, 32});\n'
    printf '  x = x - reduce_sum(x, {.axes = {1}, .keep_dims = true});\n'
    printf '  x = transpose(reshape(x, {1, 64, 1, 32}), {0, 1, 2, 3});\n'
    round=$((round + 1))
  done
  printf '  k.output("y", x);\n}\n'
} >"$work/kernel.cpp"

# seconds FILE: user time of one compilation
seconds() {
  { LC_ALL=C bash -c 'TIMEFORMAT=%U; time "$@" 1>&2 2>/dev/null' sh "$compiler" -std=c++20 -O0 -c \
    -I"$root/include" "$1" -o "$work/out.o"; } 2>&1
}

best_bare=999
best_kernel=999
i=0
while [ $i -lt $rounds ]; do
  best_bare=$(printf '%s %s' "$(seconds "$work/bare.cpp")" "$best_bare" | awk '{print $1 < $2 ? $1 : $2}')
  best_kernel=$(printf '%s %s' "$(seconds "$work/kernel.cpp")" "$best_kernel" | awk '{print $1 < $2 ? $1 : $2}')
  i=$((i + 1))
done
printf '%-40s %8s s\n' 'three standard headers' "$best_bare"
printf '%-40s %8s s\n' 'a kernel of 100 ops with milgen.h' "$best_kernel"
printf '%-40s %8s\n' 'ratio' "$(printf '%s %s' "$best_kernel" "$best_bare" | awk '{printf "%.2f", $1 / $2}')"
