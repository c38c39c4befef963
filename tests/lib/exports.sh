#!/bin/sh
# SPDX-License-Identifier: MIT
#
# exports.sh LIBRARY HEADER...: the library exports exactly the functions that the
# headers declare with MP_API, and nothing else. Only libmploop links libuv, and none NNG.
lib=$1
shift
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
nm -D --defined-only "$lib" | awk '{print $NF}' | sed 's/@.*//' | sort -u >"$tmp/exported"
# Declarations may span lines; the name is the word before the first parenthesis.
sed 's,//.*,,' "$@" | tr '\n' ' ' | grep -o 'MP_API [^;{]*' | grep -v '__attribute__' |
    sed 's/MP_NODISCARD//; s/(.*//; s/.*[ *]\([a-z0-9_]*\) *$/\1/' | sort -u >"$tmp/declared"
status=0
if [ ! -s "$tmp/declared" ] || [ ! -s "$tmp/exported" ]; then
    echo "nothing found to compare"
    status=1
fi
if grep -v '^mp_[a-z0-9]' "$tmp/exported"; then
    echo "^ exported, but not named mp_..."
    status=1
fi
if comm -23 "$tmp/exported" "$tmp/declared" | grep .; then
    echo "^ exported, but declared in no public header"
    status=1
fi
if comm -13 "$tmp/exported" "$tmp/declared" | grep .; then
    echo "^ declared, but not exported"
    status=1
fi
case $lib in
*libmploop*) foreign='libnng' ;;
*) foreign='libuv|libnng' ;;
esac
if readelf -d "$lib" | grep -E "NEEDED.*($foreign)"; then
    echo "^ not for this library"
    status=1
fi
exit $status
