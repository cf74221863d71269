#!/bin/sh
# The cost of recording a change before it is answered: stage 11, which doesn't, and stage 12 with both durabilities,
# in front of a healthy memcached; every change is of another key. Then what a server that is down leaves behind, how
# long a killed process takes to be back, and how fast it delivers. Run in the checkout: sh
# chapters/measured/12_spool.sh > chapters/measured/12_spool.txt
set -eu
cache=
PID=
trap 'kill $cache $PID 2> /dev/null || true' EXIT
. chapters/measured/machine.sh
cargo build -q --release --example 11_invalidate --example 12_spool --example load
machine
redb=$(sed -n '/^name = "redb"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
echo "redb $redb, $(memcached --version)"

REQUEST='set key{} 0 0 1\r\nx\r\n'
here=$(mktemp -d -p target)
list=$here/servers.txt
echo '127.0.0.1:21112 1' > "$list"

# A program with a spool: ADDRESS and PID.
before() {
    target/release/examples/$1 0 "$list" $2 > "$here/lines" 2> /dev/null &
    PID=$!
    until grep -q '^listening' "$here/lines"; do sleep 0.01; done
    ADDRESS=$(sed -n 's/^listening on [a-z]* //p' "$here/lines")
}

the_cache() {
    memcached -u root -l 127.0.0.1 -p 21112 &
    cache=$!
    until nc -z 127.0.0.1 21112; do sleep 0.01; done
}

killed() {
    kill -KILL "$1"
    wait "$1" 2> /dev/null || true
}

pending() {
    printf 'stats\r\n' | nc -N "${ADDRESS%:*}" "${ADDRESS#*:}" | sed -n 's/STAT pending \([0-9]*\).*/\1/p'
}

now() {
    date +%s%3N
}

dd if=/dev/zero of="$here/disk" bs=4096 count=500 conv=fsync 2> /dev/null
begun=$(now)
dd if=/dev/zero of="$here/disk" bs=4096 count=500 oflag=dsync conv=notrunc 2> /dev/null
echo "this disk: $((500000 / ($(now) - begun))) writes a second that wait for it"

the_cache
for how in '11_invalidate' '12_spool os' '12_spool fsync'; do
    echo
    case $how in
        10*) echo "stage 11, in a channel"; arguments='' ;;
        *os) echo "stage 12, os"; arguments="$here/os.redb os" ;;
        *) echo "stage 12, fsync"; arguments="$here/fsync.redb fsync" ;;
    esac
    before "${how% *}" "$arguments"
    for connections in 1 4 16 64; do
        $LOAD "$ADDRESS" $connections 2 "$REQUEST" 8
    done
    killed "$PID"
done
killed "$cache"

echo
echo "stage 12, os, the server is down"
before 12_spool "$here/down.redb os"
$LOAD "$ADDRESS" 64 8 "$REQUEST" 8
left=$(pending)
echo "$left keys pending, $(($(stat -c %s "$here/down.redb") / 1048576)) MiB of spool"
killed "$PID"
begun=$(now)
before 12_spool "$here/down.redb os"
echo "killed and started again: $(pending) keys pending, listening after $(($(now) - begun)) ms"
the_cache
begun=$(now)
until [ "$(pending)" = 0 ]; do sleep 0.05; done
took=$(($(now) - begun))
echo "the server is back: all delivered after $took ms, $((left * 1000 / took)) keys a second"
echo "$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$PID/status") KiB resident at most"
killed "$PID"
killed "$cache"
rm -r "$here"
