#!/usr/bin/env python3
"""Mixed load over both protocols, directly and through larder proxy, whose memory, descriptors and threads must stay flat.

    python3 tests/load/soak.py [--larder target/debug/larder] [--seconds 1800] [--connections 60]

Resources are read twice a second. At the end the medians of the last quarter are compared with those of the second one: the
first, in which the store and the allocator find their sizes, doesn't count. Memory may take a step when the machine stalls and
replies pile up, because the allocator keeps what it has had once. So it grows if it does so in most of the twelve parts of
the last three quarters, or if it has become much larger. A wrong or stale reply ends the run.
"""

import argparse
import asyncio
import os
import random
import statistics

from parts import Connection, Load, Process, Wrong, raise_limit, report, slow_reader, slow_writer

MIB = 1 << 20


async def fill(port, ends, rng):
    """Writes values of all sizes for ever, so that others are evicted."""
    connection = Connection("memcached", port)
    await connection.open()
    number = 0
    while not ends.is_set():
        for _ in range(20):
            number += 1
            size = int(10 ** rng.uniform(1, 5))
            await connection.set(b"filler%d" % (number % 20_000), b"x" * size)
        # The first writes fill the store; then it only has to change.
        await asyncio.sleep(0 if number < 10_000 else 0.02)
    connection.close()


class Resources:
    """The resources of a process over time."""

    def __init__(self, name, process):
        self.name, self.process, self.seen = name, process, []

    async def watch(self, ends):
        while not ends.is_set():
            self.seen.append(self.process.resources())
            await asyncio.sleep(0.5)

    def check(self):
        """Whether they are flat."""
        quarter = len(self.seen) // 4
        parts = [self.seen[number * quarter:(number + 1) * quarter] for number in range(4)]
        medians = [[statistics.median(column) for column in zip(*part)] for part in parts]
        for number, (memory, descriptors, threads) in enumerate(medians, 1):
            report(f"{self.name}, quarter {number}: {memory / MIB:.1f} MiB, {descriptors:.0f} descriptors, {threads:.0f} threads")
        before, after = medians[1], medians[3]
        if after[0] > before[0] * 1.5 + 16 * MIB or after[1] > before[1] + 8 or after[2] > before[2]:
            raise Wrong(f"{self.name} grows: {before} to {after}")
        twelfth = 3 * quarter // 12
        memory = [statistics.median(seen[0] for seen in self.seen[quarter + number * twelfth:][:twelfth]) for number in range(12)]
        growth = 11 * statistics.median(after - before for before, after in zip(memory, memory[1:]))
        report(f"{self.name} grows by {growth / MIB:.2f} MiB")
        if growth > before[0] * 0.05 + MIB:
            raise Wrong(f"{self.name} grows: {[f'{bytes / MIB:.1f}' for bytes in memory]} MiB")


async def soak(options):
    rng = random.Random(options.seed)
    server = Process(options.larder, "serve", "--memcached", "127.0.0.1:0", "--resp", "127.0.0.1:0", "--memory", "64MiB", "-qq",
                     listeners=2)
    watched = [Resources("serve", server)]
    loads = [Load(server.ports, options.connections, rng)]
    for protocol, port in server.ports.items():
        proxy = Process(options.larder, "proxy", "--protocol", protocol, "--listen", "127.0.0.1:0", "-qq",
                        "--upstream", f"127.0.0.1:{port}")
        watched.append(Resources(f"proxy {protocol}", proxy))
        loads.append(Load(proxy.ports, options.connections, rng))
    ends = asyncio.Event()
    for number, load in enumerate(loads):
        load.ends = ends
        for key in load.keys:
            key.name = f"{number}-{key.name}"

    async def time_passes():
        try:
            await asyncio.wait_for(ends.wait(), options.seconds)
        except asyncio.TimeoutError:
            ends.set()

    beside = [each(load.ports, ends, rng) for load in loads for each in (slow_reader, slow_writer)]
    beside += [resources.watch(ends) for resources in watched]
    beside += [fill(server.ports["memcached"], ends, rng), time_passes()]
    try:
        await asyncio.gather(*(load.run() for load in loads), *beside)
    finally:
        for resources in reversed(watched):
            resources.process.end()
    for resources, load in zip(watched, loads):
        report(f"{resources.name}: {load.requests} requests, {load.hits} hits, {load.misses} misses, {load.errors} errors")
        if not load.hits:
            raise Wrong(f"{resources.name}: no request has found a value, so nothing was checked")
        resources.check()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--larder", default="target/debug/larder")
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--connections", type=int, default=60, help="for each of the server and the two proxies")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    options.larder = os.path.abspath(options.larder)
    options.seed = random.randrange(1 << 32) if options.seed is None else options.seed
    raise_limit()
    report(f"seed {options.seed}")
    asyncio.run(soak(options))


if __name__ == "__main__":
    main()
