#!/usr/bin/env python3
"""The cost of larder's client for each request, beside that of the memcache crate over text and over binary.

    cargo build --release --manifest-path benches/client/Cargo.toml && python3 benches/client.py [--requests 20000]

The server is memcached. Instructions are those of the client's process outside of the kernel, without its start, by valgrind's
callgrind. They don't depend on the load of the machine. Times do: they are of one request after the other over one connection,
the median of five rounds in which the clients take turns. The memcache crate's pool asks for the server's version before each
request, so that it never uses a connection that the server has closed; larder's client looks at the socket.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess

from servers import MEMCACHED, ROOT, memcached, version

PROGRAM = os.path.join(ROOT, "benches", "client", "target", "release", "client-cost")
CLIENTS = ["larder", "memcache-text", "memcache-binary"]
KINDS = {"get": "get of 100 bytes", "miss": "get, a miss", "set": "set of 100 bytes", "many": "get of 100 keys"}
ROUNDS = 5


def instructions(arguments, count):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", PROGRAM, *arguments, str(count)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return int(re.search(r"Collected : (\d+)", printed)[1])


def nanoseconds(arguments, count):
    printed = subprocess.run([PROGRAM, *arguments, str(count)], check=True, capture_output=True, text=True).stdout
    return int(printed) / count


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=20_000)
    given = arguments.parse_args()
    for program in ("valgrind", MEMCACHED, PROGRAM):
        if not shutil.which(program):
            raise SystemExit(f"{program} is not there: see the first lines of this script")
    print(f"{version(MEMCACHED, '-V')}; for each request:\n")
    print(f"{'request':18} {'client':16} {'instructions':>12} {'microseconds':>12}")
    with memcached() as server:
        address = f"127.0.0.1:{server.memcached}"
        for kind, name in KINDS.items():
            count = given.requests // (20 if kind == "many" else 1)
            times = {client: [] for client in CLIENTS}
            for _ in range(ROUNDS):
                for client in CLIENTS:
                    times[client].append(nanoseconds([client, kind, address], count))
            for client in CLIENTS:
                run = [client, kind, address]
                few = count // 10
                spent = (instructions(run, 2 * few) - instructions(run, few)) / few
                print(f"{name:18} {client:16} {spent:12,.0f} {statistics.median(times[client]) / 1000:12.1f}")


if __name__ == "__main__":
    main()
