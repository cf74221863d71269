#!/bin/sh
# Hit ratios of larder and memcached on four traces, then those of the policies of libCacheSim (pip install libcachesim), which
# take about an hour. Run in the checkout: sh chapters/measured/hits.sh > chapters/measured/hits.txt
set -eu
. chapters/measured/machine.sh
cargo build -q --release
machine
python3 benches/hits.py --policies
python3 benches/hits.py --larder --memcached
