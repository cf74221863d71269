#!/bin/sh
# The first two stages side by side: how many connections a second they take, how fast four busy ones are served, and
# what quiet ones cost. Two rounds each, by turns.
# Run in the checkout: sh chapters/measured/02_pool.sh > chapters/measured/02_pool.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 01_echo --example 02_pool --example load
machine
for round in 1 2; do
    for stage in 01_echo 02_pool; do
        echo "$stage, round $round"
        start $stage
        $LOAD "$ADDRESS" idle 4 "$PID"
        $LOAD "$ADDRESS" reconnect 3
        $LOAD "$ADDRESS" 4 3 'hello, is anybody there?\r\n'
        stop
    done
done
