#!/bin/sh
# A million small items into 64 MiB: what stays, what the process then takes, and what an empty one takes. The same
# with memcached, and speed at 16 connections.
# Run in the checkout: sh chapters/measured/04_store.sh > chapters/measured/04_store.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 04_store --example load
machine

resident() {
    awk '/^VmRSS/ { printf "%.1f MiB", $2 / 1024 }' "/proc/$PID/status"
}

fill() {
    echo "$1: empty, $(resident) resident"
    awk 'BEGIN {
        value = sprintf("%100s", "")
        for (n = 0; n < 1000000; n++) printf "set key:%07d 0 0 100 noreply\r\n%s\r\n", n, value
        printf "stats\r\nquit\r\n"
    }' | nc -N "${ADDRESS%:*}" "${ADDRESS#*:}" > "$lines"
    for name in curr_items evictions bytes; do
        sed -n "s/^STAT \($name\) \([0-9]*\).*/  \1 \2/p" "$lines"
    done
    echo "  full, $(resident) resident"
    $LOAD "$ADDRESS" 16 5 'get key:0999999\r\n'
}

start 04_store
lines=$(mktemp)
fill "stage 4"
stop

memcached --version
memcached -u nobody -l 127.0.0.1 -p 21104 -m 64 &
PID=$!
ADDRESS=127.0.0.1:21104
until nc -z 127.0.0.1 21104; do sleep 0.1; done
fill "memcached -m 64"
stop
rm "$lines"
