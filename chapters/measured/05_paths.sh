#!/bin/sh
# The cost of a path: reads at depth 1, 2 and 5 of the fifth stage, and removing a subtree of 100,000
# items. Run in the checkout: sh chapters/measured/05_paths.sh > chapters/measured/05_paths.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 04_store --example 05_paths --example load
machine

say() {
    printf "$@" | nc -N "${ADDRESS%:*}" "${ADDRESS#*:}" > /dev/null
}

start 04_store
echo "stage 4, get, 16 connections"
say 'set a 0 0 1\r\nx\r\nquit\r\n'
$LOAD "$ADDRESS" 16 5 'get a\r\n'
stop

start 05_paths
say 'set a 0 0 1\r\nx\r\nset a b 0 0 1\r\nx\r\nset a b c 0 0 1\r\nx\r\nset a b c d 0 0 1\r\nx\r\nset a b c d e 0 0 1\r\nx\r\nquit\r\n'
for path in 'a' 'a b' 'a b c d e'; do
    echo "stage 5, getn $path, 16 connections"
    $LOAD "$ADDRESS" 16 5 "getn $path"'\r\n'
done

echo "a parent with 100,000 children, and delete, by the clock of the shell"
awk 'BEGIN {
    printf "set tree 0 0 0 noreply\r\n\r\n"
    for (n = 0; n < 100000; n++) printf "set tree %d 0 0 1 noreply\r\nx\r\n", n
    printf "quit\r\n"
}' | nc -N "${ADDRESS%:*}" "${ADDRESS#*:}"
before=$(date +%s%N)
say 'delete tree\r\nquit\r\n'
after=$(date +%s%N)
echo "$(((after - before) / 1000000)) ms, nc included"
stop
