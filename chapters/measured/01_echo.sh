#!/bin/sh
# Threads and memory of the first stage with 0, 1,000 and 5,000 quiet connections, and its speed with 16 busy ones.
# Run in the checkout: sh chapters/measured/01_echo.sh > chapters/measured/01_echo.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release --example 01_echo --example load
machine
for connections in 1000 5000; do
    start 01_echo
    $LOAD "$ADDRESS" idle $connections "$PID"
    stop
done
start 01_echo
$LOAD "$ADDRESS" 16 5 'hello, is anybody there?\r\n'
stop
