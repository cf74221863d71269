#!/bin/sh
# larder proxy beside twemproxy, in front of the same servers: rates, latency, memory. About 2 minutes.
# Run in the checkout: sh chapters/measured/proxy.sh > chapters/measured/proxy.txt
set -eu
cargo build -q --release
python3 benches/proxy.py --seconds 2
