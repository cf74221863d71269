#!/bin/sh
# The thirteenth stage by turns, with a thread for each connection, memcached and redis-server: speed with 16 and 256
# busy connections, then threads and memory with ten thousand (or four) that say one line and then nothing.
# Run in the checkout: sh chapters/measured/07_turns.sh > chapters/measured/07_turns.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 07_turns --example load
machine

lines=$(mktemp)
stage() {
    target/release/examples/07_turns 0 "$@" > "$lines" &
    PID=$!
    until grep -q 'on resp' "$lines"; do sleep 0.1; done
    echo_address=$(sed -n 's/^listening on echo //p' "$lines")
    text=$(sed -n 's/^listening on memcached //p' "$lines")
}

echo "stage 7 by turns, two workers"
stage 11000 turns 2
$LOAD "$text" 16 5 'get a\r\n'
$LOAD "$text" 256 5 'get a\r\n'
$LOAD "$echo_address" idle 10000 "$PID"
stop

echo
echo "stage 7, a thread for each connection, 4,000 of them"
stage 4400 threads 4400
$LOAD "$text" 16 5 'get a\r\n'
$LOAD "$text" 256 5 'get a\r\n'
$LOAD "$echo_address" idle 4000 "$PID"
stop

echo
memcached --version
memcached -u nobody -l 127.0.0.1 -p 21113 -c 11000 &
PID=$!
until nc -z 127.0.0.1 21113; do sleep 0.1; done
$LOAD 127.0.0.1:21113 16 5 'get a\r\n'
$LOAD 127.0.0.1:21113 256 5 'get a\r\n'
$LOAD 127.0.0.1:21113 idle 10000 "$PID"
stop

echo
redis-server --version | cut -d ' ' -f 1-3
redis-server --port 21114 --bind 127.0.0.1 --save '' --maxclients 11000 > /dev/null &
PID=$!
until nc -z 127.0.0.1 21114; do sleep 0.1; done
$LOAD 127.0.0.1:21114 16 5 '*2\r\n$3\r\nGET\r\n$1\r\na\r\n'
$LOAD 127.0.0.1:21114 256 5 '*2\r\n$3\r\nGET\r\n$1\r\na\r\n'
$LOAD 127.0.0.1:21114 idle 10000 "$PID"
stop
rm "$lines"
