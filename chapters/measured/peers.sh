#!/bin/sh
# larder beside memcached and redis-server, with their defaults: rates, latency, memory, start. About 7 minutes.
# Run in the checkout: sh chapters/measured/peers.sh > chapters/measured/peers.txt
set -eu
cargo build -q --release
python3 benches/measure.py --seconds 3
