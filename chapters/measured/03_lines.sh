#!/bin/sh
# The third stage next to memcached with its defaults (4 threads): get of one item of 100 bytes. Two rounds, by turns.
# Run in the checkout: sh chapters/measured/03_lines.sh > chapters/measured/03_lines.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 03_lines --example load
machine
memcached -V

measure() {
    printf 'set a 0 0 100\r\n%0100d\r\n' 0 | nc -N "${ADDRESS%:*}" "${ADDRESS#*:}" > /dev/null
    for connections in 1 16 64; do
        $LOAD "$ADDRESS" $connections 3 'get a\r\n'
    done
}

for round in 1 2; do
    echo "03_lines, round $round"
    start 03_lines
    measure
    stop
    echo "memcached, round $round"
    ADDRESS=127.0.0.1:${PORT:-21211}
    memcached -u root -l 127.0.0.1 -p "${ADDRESS#*:}" &
    PID=$!
    until nc -z "${ADDRESS%:*}" "${ADDRESS#*:}"; do sleep 0.1; done
    measure
    stop
done
