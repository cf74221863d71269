#!/bin/sh
# The cost of TLS: larder with and without it, beside Redis's TLS and beside stunnel. About 5 minutes.
# Run in the checkout: sh chapters/measured/tls.sh > chapters/measured/tls.txt
set -eu
cargo build -q --release
python3 benches/tls.py --rounds 3
