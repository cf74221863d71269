#!/usr/bin/env python3
"""Compares the hit ratios of larder, memcached and simulated policies of eviction, with the same memory.

    cargo build --release && python3 benches/hits.py [TRACE ...] [--memory 64] [--requests 1000000] [--memcached PROGRAM]

TRACEs are those of benches/traces.py; default: all. A get that misses is followed by a set. The first half of a trace
fills the cache and isn't counted. A trace whose items expire is replayed at its own speed.

The policies LRU, LFU, SIEVE and S3-FIFO are those of libCacheSim, if its Python package is installed (pip install
libcachesim). They evict by bytes; an item has the bytes that it takes in larder, and they have the memory that larder's
items may take. Items that expire are removed at once. Linux, Python 3.9 or later.
"""

import argparse
import heapq
import itertools
import os
import time

from servers import LARDER, MIB, Server, connect, free_port, version
from traces import TRACES

BATCH = 200
VALUE = b"v" * (1 << 20)
POLICIES = ("LRU", "LFU", "Sieve", "S3FIFO")
# Bytes that larder takes for an item beside key and value: see src/store/slot.rs.
OVERHEAD = 40


class Ratio:
    """Counts gets in the second half of a trace."""

    def __init__(self, requests):
        self.left, self.hits, self.gets = requests // 2, 0, 0

    def count(self, row, hit):
        self.left -= 1
        if self.left < 0 and row.op == "get":
            self.gets += 1
            self.hits += hit

    def percent(self):
        return 100 * self.hits / max(self.gets, 1)


# ---------------------------------------------------------------------------------------------- servers


def batches(rows):
    """Rows that can be sent together: of one kind, no key twice."""
    batch, keys = [], set()
    for row in rows:
        if batch and (len(batch) == BATCH or row.op != batch[0].op or row.key in keys):
            yield batch
            batch, keys = [], set()
        batch.append(row)
        keys.add(row.key)
    if batch:
        yield batch


def paired(rows):
    """Rows in an order that makes larger batches: writes of other keys may pass gets."""
    held, keys = [], set()
    for row in rows:
        if row.key in keys or len(held) == BATCH:
            yield from held
            held, keys = [], set()
        if row.op == "get":
            yield row
        else:
            held.append(row)
            keys.add(row.key)
    yield from held


def sets(rows):
    return b"".join(
        b"set %s 0 %d %d noreply\r\n%s\r\n" % (row.key.encode(), row.ttl, row.size, VALUE[: row.size]) for row in rows
    )


def serve(args, port, trace, options):
    """The hit ratio of a server."""
    ratio, late = Ratio(options.requests), 0.0
    with Server(args[0], args, memcached=port):
        s = connect(port)
        replies = s.makefile("rb", 1 << 20)
        begun = time.monotonic()
        for batch in batches(paired(trace(options.seed, options.requests))):
            if batch[0].time:
                late = max(late, time.monotonic() - begun - batch[0].time)
                time.sleep(max(0, batch[0].time - (time.monotonic() - begun)))
            found = set()
            if batch[0].op == "get":
                # One get of all keys, as a page of a web site asks for its parts.
                s.sendall(b"get " + b" ".join(row.key.encode() for row in batch) + b"\r\n")
                while (line := replies.readline()) != b"END\r\n":
                    _, key, _, size = line.split()
                    replies.read(int(size) + 2)
                    found.add(key.decode())
                s.sendall(sets(row for row in batch if row.key not in found))
            elif batch[0].op == "set":
                s.sendall(sets(batch))
            else:
                s.sendall(b"".join(b"delete %s noreply\r\n" % row.key.encode() for row in batch))
            for row in batch:
                ratio.count(row, row.key in found)
    if late > 1:
        print(f"  the next is not exact: the trace was replayed up to {late:.1f} s late")
    return ratio.percent()


def larder(program, trace, options):
    port = free_port()
    args = [program, "--memcached", f"127.0.0.1:{port}", "--resp", "off", "--memory", f"{options.memory}MiB"]
    return serve(args, port, trace, options)


def memcached(program, trace, options):
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    args = [program, "-l", "127.0.0.1", "-p", str(port), "-m", str(options.memory), *user]
    return serve(args, port, trace, options)


# ---------------------------------------------------------------------------------------------- policies


def simulate(policy, trace, options):
    """The hit ratio of a policy of libCacheSim."""
    import libcachesim

    cache = getattr(libcachesim, policy)(options.memory * MIB // 64 * 63)
    ratio, numbers, expiries, lasts = Ratio(options.requests), {}, [], {}
    request = libcachesim.Request()
    for row in trace(options.seed, options.requests):
        while expiries and expiries[0][0] <= row.time:
            due, number = heapq.heappop(expiries)
            if lasts.get(number) == due:
                cache.remove(number)
                del lasts[number]
        number = numbers.setdefault(row.key, len(numbers))
        if row.op == "delete":
            cache.remove(number)
            ratio.count(row, False)
            continue
        request.obj_id, request.obj_size = number, len(row.key) + row.size + OVERHEAD
        hit = cache.get(request)
        ratio.count(row, hit)
        if row.ttl and (row.op == "set" or not hit):
            lasts[number] = row.time + row.ttl
            heapq.heappush(expiries, (lasts[number], number))
    return ratio.percent()


# ---------------------------------------------------------------------------------------------- the table


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("traces", nargs="*", metavar="TRACE", help=", ".join(TRACES))
    parser.add_argument("--memory", type=int, default=64, help="MiB")
    parser.add_argument("--requests", type=int, help="default: as many as suit the trace")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--larder", nargs="*", default=[LARDER])
    parser.add_argument("--memcached", nargs="*", default=[os.environ.get("LARDER_MEMCACHED", "memcached")])
    parser.add_argument("--policies", nargs="*", default=POLICIES)
    options = parser.parse_args()
    print(f"{options.memory} MiB, seed {options.seed}; hits in the second half of each trace")
    asked = options.requests
    for name in options.traces or TRACES:
        trace, requests = TRACES[name]
        options.requests = asked or requests
        print(f"{name}, {options.requests:,} requests", flush=True)
        kinds = ((options.larder, larder), (options.memcached, memcached), (options.policies, simulate))
        for which, run in kinds:
            for one in which:
                shown = one if run is simulate else version(one, "--version" if run is larder else "-V")
                print(f"  {shown:24} {run(one, trace, options):6.2f}%", flush=True)


if __name__ == "__main__":
    main()
