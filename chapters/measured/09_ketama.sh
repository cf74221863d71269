#!/bin/sh
# Placement (09_ketama.py), then the rates of memcached alone and of three memcached through stage 9 and larder's proxy.
# Run in the checkout: sh chapters/measured/09_ketama.sh > chapters/measured/09_ketama.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --bin larder --example 09_ketama --example load
machine
python3 chapters/measured/09_ketama.py
echo

memcached -V
list=$(mktemp)
POOL=
for port in 21118 21119 21120; do
    memcached -u nobody -l 127.0.0.1 -p $port -U 0 -t 2 &
    POOL="$POOL $!"
    until nc -z 127.0.0.1 $port; do kill -0 $! && sleep 0.1; done
    echo "127.0.0.1:$port 1" >> "$list"
done

# Starts a program in front of the pool: its ADDRESS and PID.
front() {
    lines=$(mktemp)
    "$@" > "$lines" &
    PID=$!
    until grep -q '^listening' "$lines"; do sleep 0.1; done
    ADDRESS=$(sed -n 's/^listening on [a-z]* //p' "$lines" | head -1)
    rm "$lines"
}

KEYS='k0 k1 k2 k3 k4 k5 k6 k7 k8 k9'
load() {
    for key in $KEYS; do
        printf 'set %s 0 0 5\r\nhello\r\nquit\r\n' $key | nc -N "${2%:*}" "${2#*:}" > /dev/null
    done
    echo "$1, a key"
    $LOAD "$2" 16 4 'get k0\r\n'
    echo "$1, ten keys in one get"
    $LOAD "$2" 16 4 "get $KEYS\r\n"
}
load "one memcached alone" 127.0.0.1:21118
front target/release/examples/09_ketama 0 "$list"
load "three through stage 9" "$ADDRESS"
stop
front target/release/larder proxy -q --protocol memcached --listen 127.0.0.1:0 --servers "$list"
load "three through larder proxy" "$ADDRESS"
stop
kill -TERM $POOL
wait $POOL || true
rm "$list"
