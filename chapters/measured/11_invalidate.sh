#!/bin/sh
# The waiting time of a client that changes a key: the article's program and stage 11 in front of a memcached that is
# well, and in front of a server that accepts connections and never answers. 16 connections, one `set` after another.
# Run in the checkout: sh chapters/measured/11_invalidate.sh > chapters/measured/11_invalidate.txt
set -eu
trap 'kill $cache 2> /dev/null || true' EXIT
. chapters/measured/machine.sh
cargo build -q --release --example article_0 --example 11_invalidate --example load
machine

REQUEST='set a 0 0 1\r\nx\r\n'
list=$(mktemp)
cache=

# A program before the server of the list: ADDRESS and PID.
before() {
    lines=$(mktemp)
    "target/release/examples/$1" 0 "$list" > "$lines" 2> /dev/null &
    PID=$!
    until grep -q '^listening' "$lines"; do sleep 0.1; done
    ADDRESS=$(sed -n 's/^listening on [a-z]* //p' "$lines" | head -1)
}

# Loads it for some seconds. The article's has ended by the end of that, with the first client that left.
measure() {
    before "$1"
    $LOAD "$ADDRESS" 16 "$2" "$REQUEST" 8
    [ "$1" = article_0 ] || printf 'stats\r\n' | nc -N "${ADDRESS%:*}" "${ADDRESS#*:}" | grep STAT | tr -d '\r'
    kill -KILL "$PID" 2> /dev/null || true
    wait "$PID" || true
    rm "$lines"
}

memcached --version
memcached -u root -l 127.0.0.1 -p 21110 &
cache=$!
until nc -z 127.0.0.1 21110; do sleep 0.1; done
echo "memcached itself"
$LOAD 127.0.0.1:21110 16 3 "$REQUEST" 8
echo '127.0.0.1:21110 1' > "$list"
echo
echo "the article's program, its server is well"
measure article_0 3
echo
echo "stage 11, its server is well"
measure 11_invalidate 3
kill "$cache"
wait "$cache" || true

nc -lk 127.0.0.1 21111 > /dev/null &
cache=$!
until nc -z 127.0.0.1 21111; do sleep 0.1; done
echo '127.0.0.1:21111 1' > "$list"
echo
echo "the article's program, its server never answers"
measure article_0 5
echo
echo "stage 11, its server never answers"
measure 11_invalidate 5
kill "$cache"
wait "$cache" 2> /dev/null || true
rm "$list"
