#!/bin/sh
# The shop's pages without and with its cache, and without it, but with the index that the query lacks.
# Run in the checkout: sh chapters/measured/19_shop.sh > chapters/measured/19_shop.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 19_shop
machine

DATA=$(mktemp -d)
shop() {
    target/release/examples/19_shop --data "$DATA" > "$DATA/lines" &
    PID=$!
    until grep -q 'listening on invalidate' "$DATA/lines"; do sleep 0.1; done
    ADDRESS=$(sed -n 's/^listening on http //p' "$DATA/lines")
}

shop
python3 chapters/measured/19_shop.py "$ADDRESS" off "without the cache"
python3 chapters/measured/19_shop.py "$ADDRESS" on "with the cache, empty at first"
stop
python3 -c "import sqlite3; sqlite3.connect('$DATA/shop.db').execute('CREATE INDEX sales_of_product ON sales(product)')"
shop
python3 chapters/measured/19_shop.py "$ADDRESS" off "without the cache, with an index"
python3 chapters/measured/19_shop.py "$ADDRESS" on "with the cache and the index"
stop
rm -r "$DATA"
