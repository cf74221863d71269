#!/bin/sh
# larder invalidate: what an answer costs, how soon a delete is applied, ten million keys for a cache that is down; then
# two hundred kills.
# Run in the checkout: sh chapters/measured/invalidate.sh > chapters/measured/invalidate.txt
set -eu
cargo build -q --release --bins --example kill9
python3 benches/invalidate.py --rounds 3 --seconds 3
echo
target/release/examples/kill9 --kills 200 | sed -n '1p;$p'
