#!/usr/bin/env bash
# Runs every command of the tutorial, and holds its C++ against the file that it is about.
#
#   tutorial.sh SOURCE_DIR SWIGLU FAKE_ANE PYTHON
set -euo pipefail

source=$1 program=$2 fake=$3 python=$4
page=$source/tools/examples/README.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/here"
ln -s "$program" "$work/bin/swiglu"
ln -s "$python" "$work/bin/python3"
cp "$source/tools/examples/swiglu_reference.py" "$work/here"
export PATH=$work/bin:$PATH MILGEN_ANE_LIBRARY=$fake
unset CI
cd "$work/here"

# blocks LANGUAGE: the lines of all its blocks
blocks() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$page" | grep -v '^```'; }

blocks cpp | while IFS= read -r line; do
  grep -qxF -- "$line" "$source/tools/examples/swiglu.cpp" || {
    printf 'swiglu.cpp has no line: %s\n' "$line"
    exit 1
  }
done

count=0
while IFS= read -r command; do
  count=$((count + 1))
  if ! bash -euo pipefail -c "$command" >output 2>&1 </dev/null; then
    printf 'failed: %s\n' "$command"
    cat output
    exit 1
  fi
done < <(blocks sh)
printf '%d commands\n' "$count"
[ "$count" -ge 14 ]
