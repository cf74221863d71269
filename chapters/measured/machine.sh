# The common parts of the measuring scripts. Sourced, not run.

LOAD=target/release/examples/load
ulimit -n "$(ulimit -H -n)"

# The machine, the system, the compiler and the commit.
machine() {
    echo "$(nproc) cores of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(uname -sr | cut -d - -f 1)"
    echo "$(rustc --version), commit $(git rev-parse --short HEAD), $(date +%F)"
    echo
}

# Starts a stage on a free port: its ADDRESS and PID. Load and server share the cores.
start() {
    lines=$(mktemp)
    "target/release/examples/$1" 0 > "$lines" &
    PID=$!
    until grep -q '^listening' "$lines"; do sleep 0.1; done
    ADDRESS=$(sed -n 's/^listening on [a-z]* //p' "$lines" | head -1)
    rm "$lines"
}

stop() {
    kill -TERM "$PID"
    wait "$PID"
}
