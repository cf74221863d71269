#!/bin/sh
# Amplification, loss and order over UDP, with memcached and the fifteenth stage.
# Run in the checkout: sh chapters/measured/15_udp.sh > chapters/measured/15_udp.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --example 15_udp
machine
memcached -V
echo

memcached -p 21115 -U 21115 -l 127.0.0.1 -u root -m 64 &
MEMCACHED=$!
until nc -z 127.0.0.1 21115; do sleep 0.1; done
# Bytes are counted, not times: a program without optimisation will do.
target/debug/examples/15_udp 21117 > /dev/null &
STAGE=$!
until nc -z 127.0.0.1 21117; do sleep 0.1; done
python3 chapters/measured/15_udp.py 21115 21117
kill -TERM "$MEMCACHED" "$STAGE"
