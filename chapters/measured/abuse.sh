#!/bin/sh
# The slowest requests of clients alone, beside an abuser, and beside a program that only computes. About 10 minutes.
# Run in the checkout: sh chapters/measured/abuse.sh > chapters/measured/abuse.txt
set -eu
cargo build -q --release
python3 benches/abuse.py --rounds 3 --seconds 2
