#!/usr/bin/env bash
# Which lines of src/ane, and of its public headers, the tests execute. Needs g++ and gcovr.
#
#   tests/ane/coverage.sh [--least=PERCENT] [BUILD_FOLDER]
#
# Builds into build/coverage, or the given folder, runs every test of the runtime and prints a line
# for each file, with the lines that were not executed. The exit code is not 0 when a test fails or
# fewer lines than PERCENT (95) of all are executed.
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
least=95
build=$root/build/coverage
for argument in "$@"; do
  case $argument in
    --least=*) least=${argument#--least=} ;;
    *) build=$argument ;;
  esac
done

cd "$root"
export CCACHE_NOHASHDIR=1
cmake --preset coverage -B "$build" >/dev/null
cmake --build "$build" --target ane_bridge milc milgen_ane_tests milgen_cli_tests \
  milgen_fake_ane_tests
code=0
find "$build" -name '*.gcda' -delete
# The engine's commands, the bridge as Python calls it, and the runtime itself.
ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)" \
  -R '^(ane|fake_ane)/|^cli/engine_test$' || code=1
gcovr --root "$root" --object-directory "$build" --filter "$root/src/ane/" \
  --filter "$root/include/milgen/ane" --fail-under-line "$least" "$build" || code=1
exit "$code"
