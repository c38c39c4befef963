#!/bin/sh
# SPDX-License-Identifier: MIT
# The client in Python, over the local socket, tcp and TLS.
. "${0%/*}/common.sh"
command -v mpmanager >/dev/null || { echo "SKIP: mpmanager was not built"; exit 77; }
python=/usr/bin/python3
$python -c 'import msgpack' 2>/dev/null || { echo "SKIP: python3-msgpack is not installed"; exit 77; }
PYTHONPATH=$MP_SRC/examples/python
PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH PYTHONDONTWRITEBYTECODE

printf 'a secret of more than 16 bytes\n' >key
chmod 600 key
set -- --listen=tcp://127.0.0.1:0 --key-file=key
if command -v openssl >/dev/null && [ -x "$MP_BIN/mpproxy" ]; then
    "$MP_SRC/tests/lib/pki.sh" pki
    set -- "$@" --listen=tls+tcp://127.0.0.1:0 --tls-ca=pki/ca.pem --tls-cert=pki/listener.pem \
        --tls-key=pki/listener.key
fi
[ -x "$MP_BIN/mpproxy" ] || { echo "SKIP: mpproxy was not built: only the local socket"; set --; }
tasks=$(find "$MP_BIN/.." -name tasks_text.so | head -n 1)
[ -n "$tasks" ] && set -- "$@" --tasks="$tasks"
mpmanager --log-file=log "$@" &
pid=$!
eventually mpctl ping >/dev/null 2>&1
# Each address where it really listens.
for scheme in tcp tls+tcp; do
    case "$*" in
    *"listen=$scheme:"*) eventually grep -qs "url=$scheme:" log || is "it listens at $scheme" yes no ;;
    esac
done
urls=$(sed -n 's/.*event=listening url=\([^ ]*\).*/\1/p' log)
# shellcheck disable=SC2086
gives "the client" 0 $python "$MP_SRC/tests/interop/manager.py" key pki default $urls
is "the client" "default ok$(for u in $urls; do printf '\n%s ok' "${u%%:*}"; done)" "$out"
[ -z "$err" ] || echo "$err"
kill $pid
wait $pid
is "the daemon" 0 $?
finish
