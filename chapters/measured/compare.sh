#!/bin/sh
# Records the whole comparison anew, with the plots and tables made of it: larder beside memcached and Redis, larder proxy
# beside twemproxy, and the figures of chapter 16. About 15 minutes on two quiet cores.
# Run in the checkout: sh chapters/measured/compare.sh, or with some of the names peers, proxy and 16_measure.
# Newer servers than the installed ones: LARDER_MEMCACHED=PATH LARDER_REDIS=PATH; Valkey beside them: LARDER_VALKEY=PATH
set -eu
# Builds all programs before the first measurement.
sh chapters/measured/16_measure.sh build
for name in ${*:-peers proxy 16_measure}; do
    echo "$(date +%T) $name"
    sh "chapters/measured/$name.sh" > "target/$name.txt"
    mv "target/$name.txt" "chapters/measured/$name.txt"
done
python3 chapters/measured/16_losses.py > chapters/measured/16_losses.txt
LARDER_BLESS=1 cargo test -q --locked --test book -- plots tables
LARDER_BLESS=1 cargo test -q --locked --test readme -- figures
echo "$(date +%T) recorded: git diff --stat"
