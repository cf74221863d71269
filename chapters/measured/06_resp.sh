#!/bin/sh
# The same reads through both protocols of the sixth stage, and through redis-server: one at a time, and fifty in a
# packet. Run in the checkout: sh chapters/measured/06_resp.sh > chapters/measured/06_resp.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 06_resp --example load
machine

lines=$(mktemp)
target/release/examples/06_resp 0 > "$lines" &
PID=$!
until grep -q 'on resp' "$lines"; do sleep 0.1; done
text=$(sed -n 's/^listening on memcached //p' "$lines")
resp=$(sed -n 's/^listening on resp //p' "$lines")

fifty() {
    for ten in 1 2 3 4 5; do printf '%s' "$1$1$1$1$1$1$1$1$1$1"; done
}

printf 'set a 0 0 5\r\nhello\r\nquit\r\n' | nc -N "${text%:*}" "${text#*:}" > /dev/null
GET='*2\r\n$3\r\nGET\r\n$1\r\na\r\n'
echo "stage 6, memcached"
$LOAD "$text" 16 5 'get a\r\n'
echo "stage 6, RESP"
$LOAD "$resp" 16 5 "$GET"
echo "stage 6, RESP, fifty in a packet"
$LOAD "$resp" 16 5 "$(fifty "$GET")"
stop

redis-server --version | cut -d ' ' -f 1-3
redis-server --port 21106 --bind 127.0.0.1 --save '' > /dev/null &
PID=$!
until nc -z 127.0.0.1 21106; do sleep 0.1; done
printf 'SET a hello\r\nQUIT\r\n' | nc -N 127.0.0.1 21106 > /dev/null
echo "redis-server, RESP"
$LOAD 127.0.0.1:21106 16 5 "$GET"
echo "redis-server, RESP, fifty in a packet"
$LOAD 127.0.0.1:21106 16 5 "$(fifty "$GET")"
stop
rm "$lines"
