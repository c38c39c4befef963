#!/bin/sh
# SPDX-License-Identifier: MIT
# Random command lines, the same each time; with MP_TEST_LONG=1 many, and others each time.
. "${0%/*}/common.sh"

command -v python3 >/dev/null || {
    echo "skipped: python3 is not installed"
    exit 77
}
rounds=20
seed=1
if [ -n "${MP_TEST_LONG:-}" ]; then
    rounds=500
    seed=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
fi
ln -s "$(command -v mpmap)" parallel
SHELL=/bin/sh
PARALLEL_SHELL=/bin/sh
export SHELL PARALLEL_SHELL
python3 "${0%.sh}.py" $rounds "$seed" || is "random command lines" good "$?"
finish
