#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Verifies channel.pml in all orders, and that it finds each mistake it is told to
# make. The proof is exhaustive or it fails: an unfinished search is no proof.
set -eu

model=$(cd "$(dirname "$0")" && pwd)/channel.pml
for tool in spin gcc; do
    command -v "$tool" >/dev/null || { echo "SKIP: no $tool"; exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
failed=0

# search NAME -DOPTION...: leaves the verifier's report in ./report.
search() {
    rm -f pan* report ./*.trail
    # spin 6 leaves the preprocessor's options to the caller.
    gcc -E -P -x c "$@" "$model" -o model.pml
    spin -a model.pml >/dev/null
    gcc -O0 -w -DSAFETY -o pan pan.c
    ./pan -m2000000 -w24 >report 2>&1 || true
    grep -q 'max search depth too small\|out of memory' report && { cat report; exit 1; }
    grep -q 'errors:' report || { cat report; exit 1; }
}

holds() {
    search "$@"
    if grep -q 'errors: 0' report; then
        echo "holds: $* ($(awk '/states, stored/ { print $1; exit }' report) states)"
    else
        echo "FAILS: $*"
        spin -t -p -g model.pml 2>/dev/null | tail -60
        failed=1
    fi
}

finds() {
    search "$@"
    if grep -q 'invalid end state' report; then
        echo "found: $*"
    else
        echo "NOT FOUND: $*"
        failed=1
    fi
}

holds -DDATA
finds -DDATA -DNO_PUBLISH_FENCE
finds -DDATA -DNO_ARM_FENCE
finds -DDATA -DNO_RECHECK
finds -DDATA -DNO_BELL

holds -DFD
finds -DFD -DNO_PUBLISH_FENCE
finds -DFD -DNO_ARM_FENCE
finds -DFD -DNO_RECHECK
finds -DFD -DNO_BELL
finds -DFD -DSILENCE_LATE
finds -DFD -DNO_SETTLE_BELL

holds -DSPACE -DN=6
finds -DSPACE -DN=6 -DNO_PUBLISH_FENCE
finds -DSPACE -DN=6 -DNO_ARM_FENCE
finds -DSPACE -DN=6 -DNO_RECHECK
finds -DSPACE -DN=6 -DNO_BELL

exit "$failed"
