#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pki.sh DIR: certificates for tests: an authority (ca), one for a listener at localhost and
# 127.0.0.1 (listener), one for a client (client), an expired one (expired), and another
# authority with a client of its own (other_ca, other).
set -eu
mkdir -p "$1"
cd "$1"
umask 077

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
        -subj "/CN=$1" -keyout "$1.key" -out "$1.pem" 2>/dev/null
}

# certificate NAME AUTHORITY SUBJECT [options]
certificate() {
    name=$1 ca=$2 subject=$3
    shift 3
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$subject" \
        -keyout "$name.key" -out "$name.csr" 2>/dev/null
    openssl x509 -req -in "$name.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial \
        -out "$name.pem" "$@" 2>/dev/null
    rm "$name.csr"
}

authority other_ca
certificate other other_ca client -days 36500
authority ca
certificate listener ca localhost -days 36500
certificate client ca client -days 36500
certificate expired ca localhost -days -1
