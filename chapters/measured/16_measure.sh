#!/bin/sh
# The figures of chapter 16: a stopped server, all stages, the regex, context switches, spinning. About 4 minutes.
# `16_measure.sh build` only builds what is measured.
# Run in the checkout: sh chapters/measured/16_measure.sh > chapters/measured/16_measure.txt
set -eu
. chapters/measured/machine.sh
stages='01_echo 02_pool 03_lines 04_store 05_paths 06_resp 07_turns 08_forward 09_ketama 10_failing 11_invalidate 12_spool'
cargo build -q --release --locked --bin larder $(printf -- '--example %s ' $stages)
cargo bench -q --locked --bench operations --no-run

# The last commit whose workers looked for more to do before they slept, and the same without these looks. Built once.
spinning() {
    commit=e8c8445 here=target/spinning
    [ -x $here/spinning ] && [ -x $here/sleeping ] && return
    mkdir -p $here/source
    git archive $commit | tar x -C $here/source
    for build in spinning sleeping; do
        (cd $here/source && CARGO_TARGET_DIR=../build cargo build -q --release --locked --bin larder)
        cp $here/build/release/larder $here/$build
        sed -i 's/^pub const LOOKS: u32 = 4;/pub const LOOKS: u32 = 0;/' $here/source/src/server/limits.rs
    done
}
spinning
[ "${1:-}" != build ] || exit 0

machine
python3 chapters/measured/16_measure.py
