#!/bin/sh
# A stampede: many clients ask for one price at the same time, and the cache doesn't have it. Stage 17 with cache-aside and with
# leases, and stage 18. Then three nodes that are all asked for the same prices.
# Run in the checkout: sh chapters/measured/18_read_through.sh > chapters/measured/18_read_through.txt
set -eu
trap 'kill $ASIDE $THROUGH 2> /dev/null || true' EXIT
ASIDE= THROUGH=
. chapters/measured/machine.sh
# The database takes 100 ms whatever the programs cost: programs without optimisation will do.
cargo build -q --example 17_client --example 18_read_through
machine
target/debug/examples/17_client 21017 10 > /dev/null &
ASIDE=$!
target/debug/examples/18_read_through 21020 10 60 > /dev/null &
THROUGH=$!
until nc -z 127.0.0.1 21017 && nc -z 127.0.0.1 21020; do sleep 0.1; done
python3 chapters/measured/18_read_through.py 21017 21020
kill -TERM "$ASIDE" "$THROUGH"
wait "$ASIDE" "$THROUGH"
