#!/bin/sh
# The same get in memcached's three protocols, by the fourteenth stage and by memcached: one key in a packet, and fifty.
# Run in the checkout: sh chapters/measured/14_binary.sh > chapters/measured/14_binary.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 14_binary --example load
machine
memcached -V

# The server's processor time, in hundredths of a second.
ticks() { awk '{ print $14 + $15 }' "/proc/$PID/stat"; }

# Sends a packet again and again, three times for three seconds. Prints its length and the server's least time for a
# packet: other programs on the machine only make it longer.
measure() {
    bytes=$(printf '%s' "$2" | sed 's/\\x../?/g; s/\\[rn]/?/g' | wc -c)
    for run in 1 2 3; do
        before=$(ticks)
        rate=$($LOAD "$ADDRESS" 4 3 "$2" | sed 's/.*connections: \([0-9]*\) .*/\1/')
        echo "$(($(ticks) - before)) $rate"
    done | awk -v name="$1" -v bytes="$bytes" '{ spent = $1 * 10000 / ($2 * 3); if (NR == 1 || spent < least) least = spent }
        END { printf "%s: %d bytes, %.1f µs of the server'"'"'s processor time\n", name, bytes, least }'
}

# A request, fifty times.
fifty() {
    for ten in 1 2 3 4 5; do printf '%s' "$1$1$1$1$1$1$1$1$1$1"; done
}

# The end of a header: opaque and unique.
ZEROS='\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'
GET="\\x80\\x00\\x00\\x08\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x08${ZEROS}user:421"
GETKQ="\\x80\\x0d\\x00\\x08\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x08${ZEROS}user:421"
NOOP="\\x80\\x0a\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00${ZEROS}"

server() {
    printf 'set user:421 0 0 5\r\nhello\r\nquit\r\n' | nc -N "${ADDRESS%:*}" "${ADDRESS#*:}" > /dev/null
    echo "$1, one key"
    measure classic 'get user:421\r\n'
    measure meta 'mg user:421 v\r\n'
    measure binary "$GET"
    echo "$1, fifty keys"
    measure classic "get$(fifty ' user:421')\\r\\n"
    measure meta "$(fifty 'mg user:421 v k q\r\n')mn\\r\\n"
    measure binary "$(fifty "$GETKQ")$NOOP"
    stop
}

start 14_binary
server 'stage 14'

ADDRESS=127.0.0.1:21114
memcached -p 21114 -U 0 -l 127.0.0.1 -u root &
PID=$!
until nc -z 127.0.0.1 21114; do sleep 0.1; done
server memcached
