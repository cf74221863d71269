#!/bin/sh
# Cache-aside without and with a lease: stale copies after a write during a read, and the time of a price from the database
# and from the cache. Run in the checkout: sh chapters/measured/17_client.sh > chapters/measured/17_client.txt
set -eu
. chapters/measured/machine.sh
# The database takes 100 ms whatever the program costs: one without optimisation will do.
cargo build -q --example 17_client
machine
target/debug/examples/17_client 21017 > /dev/null &
PID=$!
until nc -z 127.0.0.1 21017; do sleep 0.1; done
python3 chapters/measured/17_client.py 21017
stop
