#!/bin/sh
# SPDX-License-Identifier: MIT
#
# probes.sh LIBRARY HEADER: the library has exactly the static probes that the header lists.
lib=$1
header=$2
command -v readelf >/dev/null || { echo "SKIP probes: no readelf"; exit 77; }
echo '#include <sys/sdt.h>' | ${CC:-cc} -E -x c - >/dev/null 2>&1 ||
    { echo "SKIP probes: no <sys/sdt.h> (systemtap-sdt-dev)"; exit 77; }
has=$(readelf -n "$lib" | awk '/Provider: libmp/ { getline; print $2 }' | sort -u)
listed=$(grep -o 'libmp:[a-z_]*(' "$header" | sed 's/libmp://; s/(//' | sort -u)
[ -n "$listed" ] || { echo "no probes in $header"; exit 1; }
[ "$has" = "$listed" ] || { printf 'has:\n%s\nlisted:\n%s\n' "$has" "$listed"; exit 1; }
