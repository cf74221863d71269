#!/bin/sh
# Resident memory while the sizes of values change, larder beside memcached; then the longest write of the embedded store.
# Run in the checkout: sh chapters/measured/memory.sh > chapters/measured/memory.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release
machine
memcached -V
python3 benches/memory.py
cargo bench -q --bench store -- pauses
