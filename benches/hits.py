#!/usr/bin/env python3
"""Compares the hit ratios of larder and memcached on one trace, with the same --memory.

    cargo build --release && python3 benches/hits.py [--memory 64] [--keys 2000000] [--requests 4000000] [--once 0.3] \\
        [--values 10 1000] [--memcached PROGRAM ...]

The trace: keys of Zipf's distribution (exponent 0.99), each with a length of value of its own (--values), and, by chance, a part of requests (--once) for keys that come once and never again. A get that misses is followed by a set. The
first half of the trace fills the cache and isn't counted. Linux, Python 3.9 or later, nothing else.
"""

import argparse
import bisect
import itertools
import os
import random

from servers import LARDER, Server, connect, free_port

BATCH = 200
VALUE = b"v" * 100_000


def trace(options):
    """Numbers of keys: below --keys from Zipf's distribution, above it those that come once."""
    rng = random.Random(options.seed)
    weights = itertools.accumulate(1 / rank**0.99 for rank in range(1, options.keys + 1))
    cumulated = list(weights)
    once = itertools.count(options.keys)
    for _ in range(options.requests):
        if rng.random() < options.once:
            yield next(once)
        else:
            yield bisect.bisect_left(cumulated, rng.random() * cumulated[-1])


def value(key, options):
    """A key's value, the same each time."""
    shortest, longest = options.values
    return VALUE[: shortest + key * 2654435761 % (1 << 32) % (longest - shortest + 1)]


def batches(numbers):
    while batch := list(itertools.islice(numbers, BATCH)):
        yield batch


def run(name, args, port, options):
    hits = asked = seen = 0
    with Server(name, args, memcached=port):
        s = connect(port)
        replies = s.makefile("rb", 1 << 20)
        for batch in batches(trace(options)):
            # One get of all keys of a batch, as a page of a web site asks for its parts.
            s.sendall(b"get " + b" ".join(b"key:%012d" % key for key in batch) + b"\r\n")
            found = set()
            while (line := replies.readline()) != b"END\r\n":
                _, key, _, size = line.split()
                replies.read(int(size) + 2)
                found.add(int(key[4:]))
            missed = dict.fromkeys(key for key in batch if key not in found)
            if missed:
                values = ((key, value(key, options)) for key in missed)
                s.sendall(b"".join(b"set key:%012d 0 0 %d noreply\r\n%s\r\n" % (k, len(v), v) for k, v in values))
            seen += len(batch)
            if seen > options.requests // 2:
                asked += len(batch)
                hits += sum(key in found for key in batch)
    ratio = 100 * hits / asked
    print(f"  {name:40} {ratio:6.2f}% of {asked:,} gets", flush=True)
    return ratio


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", type=int, default=64)
    parser.add_argument("--keys", type=int, default=2_000_000)
    parser.add_argument("--requests", type=int, default=4_000_000)
    parser.add_argument("--once", type=float, default=0.3)
    parser.add_argument("--values", type=int, nargs=2, default=[10, 1000])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--larder", default=LARDER)
    parser.add_argument("--memcached", nargs="+", default=["memcached"])
    options = parser.parse_args()
    print(f"{options.memory} MiB, Zipf(0.99) of {options.keys:,} keys, {options.once:.0%} one-time keys, values of {options.values}")
    port = free_port()
    args = [options.larder, "--memcached", f"127.0.0.1:{port}", "--resp", "off", "--memory", f"{options.memory}MiB"]
    ours = run("larder", args, port, options)
    for program in options.memcached:
        port = free_port()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        theirs = run(program, [program, "-l", "127.0.0.1", "-p", str(port), "-m", str(options.memory), *user], port, options)
        print(f"  larder has {ours - theirs:+.2f} points")


if __name__ == "__main__":
    main()
