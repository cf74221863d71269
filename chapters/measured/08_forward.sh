#!/bin/sh
# The replies that clients get through the article's program and through stage 8, and the rate of redis-server alone,
# through stage 8 and through larder's own proxy. Run in the checkout: sh chapters/measured/08_forward.sh >
# chapters/measured/08_forward.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --bin larder --example 08_forward --example article_2 --example load
machine
redis-server --version | cut -d ' ' -f 1-3
redis-server --port 21107 --bind 127.0.0.1 --save '' > /dev/null &
REDIS=$!
until nc -z 127.0.0.1 21107; do sleep 0.1; done
for n in 0 1 2 3 4 5 6 7; do
    printf 'SET for-000%s for-000%s\r\nQUIT\r\n' $n $n | nc -N 127.0.0.1 21107 > /dev/null
done
printf 'SET a hello\r\nQUIT\r\n' | nc -N 127.0.0.1 21107 > /dev/null

# Starts a program in front of redis-server: its ADDRESS and PID.
front() {
    lines=$(mktemp)
    "$@" > "$lines" &
    PID=$!
    until grep -q '^listening' "$lines"; do sleep 0.1; done
    ADDRESS=$(sed -n 's/^listening on [a-z]* //p' "$lines" | head -1)
    rm "$lines"
}

for clients in 1 2 8; do
    for program in article_2 08_forward; do
        echo "$program, 1000 requests from each of"
        front target/release/examples/$program 0 127.0.0.1:21107
        python3 chapters/measured/08_mixed.py "${ADDRESS#*:}" $clients 1000
        kill -TERM "$PID" 2> /dev/null || true
        wait "$PID" || true
    done
done

fifty() {
    for ten in 1 2 3 4 5; do printf '%s' "$1$1$1$1$1$1$1$1$1$1"; done
}
GET='*2\r\n$3\r\nGET\r\n$1\r\na\r\n'
load() {
    echo "$1"
    $LOAD "$2" 16 4 "$GET"
    echo "$1, fifty in a packet"
    $LOAD "$2" 16 4 "$(fifty "$GET")"
}
load "redis-server alone" 127.0.0.1:21107
front target/release/examples/08_forward 0 127.0.0.1:21107
load "through stage 8" "$ADDRESS"
stop
front target/release/larder proxy -q --protocol resp --listen 127.0.0.1:0 --upstream 127.0.0.1:21107
load "through larder proxy" "$ADDRESS"
stop
kill -TERM "$REDIS"
wait "$REDIS"
