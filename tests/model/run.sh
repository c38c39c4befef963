#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Verifies a model in all orders, and that it finds each mistake it is told to make: what
# its lines `// holds: OPTIONS` and `// finds: OPTIONS` say. The proof is exhaustive or it
# fails: an unfinished search is no proof.
#
#   run.sh MODEL.pml
set -eu

model=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
for tool in spin gcc; do
    command -v "$tool" >/dev/null || { echo "SKIP: no $tool"; exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
failed=0

# search OPTIONS: leaves the verifier's report in ./report.
search() {
    rm -f pan* report ./*.trail
    # spin 6 leaves the preprocessor's options to the caller.
    # shellcheck disable=SC2086 # options are words
    gcc -E -P -x c $1 "$model" -o model.pml
    spin -a model.pml >/dev/null
    gcc -O1 -w -DSAFETY -o pan pan.c
    ./pan -m2000000 -w24 >report 2>&1 || true
    grep -q 'max search depth too small\|out of memory' report && { cat report; exit 1; }
    grep -q 'errors:' report || { cat report; exit 1; }
}

holds() {
    search "$1"
    if grep -q 'errors: 0' report; then
        echo "holds: $1 ($(awk '/states, stored/ { print $1; exit }' report) states)"
    else
        echo "FAILS: $1"
        spin -t -p -g model.pml 2>/dev/null | tail -60
        failed=1
    fi
}

finds() {
    search "$1"
    if grep -q 'invalid end state\|assertion violated' report; then
        echo "found: $1"
    else
        echo "NOT FOUND: $1"
        failed=1
    fi
}

sed -n 's#^// \(holds\|finds\): #\1 #p' "$model" >lines
[ -s lines ] || { echo "$model says nothing that holds"; exit 1; }
while read -r what options; do
    "$what" "$options"
done <lines
exit "$failed"
