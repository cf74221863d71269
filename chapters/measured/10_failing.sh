#!/bin/sh
# The requests of an application while one of three memcached hangs for six seconds, by each of the three
# policies. Run in the checkout: sh chapters/measured/10_failing.sh > chapters/measured/10_failing.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 10_failing
machine
memcached -V
for policy in error next miss; do
    echo
    echo "on-failure $policy"
    list=$(mktemp)
    POOL=
    for port in 21121 21122 21123; do
        memcached -u nobody -l 127.0.0.1 -p $port -U 0 -t 2 &
        POOL="$POOL $!"
        LAST=$!
        until nc -z 127.0.0.1 $port; do kill -0 $! && sleep 0.1; done
        echo "127.0.0.1:$port 1 server-$port" >> "$list"
    done
    lines=$(mktemp)
    target/release/examples/10_failing 0 "$list" 1 $policy > "$lines" 2> /dev/null &
    PID=$!
    until grep -q '^listening' "$lines"; do sleep 0.1; done
    port=$(sed -n 's/^listening on memcached 127.0.0.1://p' "$lines")
    python3 chapters/measured/10_failing.py "$port" "$LAST"
    stop
    kill -TERM $POOL
    wait $POOL || true
    rm "$list" "$lines"
done
