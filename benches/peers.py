#!/usr/bin/env python3
"""Three larders as one cache: each key is fetched from the origin once, and what a read, a copy and a change cost.

    cargo build --release && python3 benches/peers.py [--keys 100000]

The origin is a fourth larder that has all keys and counts its reads. A client of each node then asks for all keys at the same
time, each in another order. The rates are those of one connection that sends one request after the other.
"""

import argparse
import contextlib
import os
import random
import tempfile
import threading
import time

from servers import LARDER, Server, ask, connect, free_port, larder, need, row, used_by_others

BATCH = 50
ROUND_TRIPS = 5000


def load(port, keys):
    with connect(port) as client:
        for first in range(0, keys, 1000):
            lines = [b"set key:%d 0 0 10 noreply\r\nvalue%05d\r\n" % (n, n % 100000)
                     for n in range(first, min(first + 1000, keys))]
            ask(client, b"".join(lines) + b"mn\r\n", b"MN\r\n")


def stats(port):
    with connect(port) as client:
        lines = ask(client, b"stats\r\n", b"END\r\n").decode().splitlines()
    return {line.split()[1]: line.split()[2] for line in lines if line.startswith("STAT")}


def read_all(port, keys, seed, wrong):
    """Asks one node for every key, in an order of its own."""
    order = list(range(keys))
    random.Random(seed).shuffle(order)
    with connect(port) as client:
        for first in range(0, keys, BATCH):
            batch = order[first:first + BATCH]
            reply = ask(client, b"get " + b" ".join(b"key:%d" % n for n in batch) + b"\r\n", b"END\r\n")
            wrong += [n for n in batch if b"VALUE key:%d 0 10\r\nvalue%05d\r\n" % (n, n % 100000) not in reply]


def rate(port, requests):
    with connect(port) as client:
        begun = time.monotonic()
        for request, end in requests:
            ask(client, request, end)
        return len(requests) / (time.monotonic() - begun)


def far_keys(port, count):
    """New keys that other nodes own, as this node's count of commands that it forwards shows."""
    found, number = [], 0
    with connect(port) as client:
        before = int(stats(port)["peer_forwards"])
        while len(found) < count:
            key = b"far:%d" % number
            number += 1
            ask(client, b"set %s 0 0 1\r\nx\r\n" % key, b"STORED\r\n")
            now = int(stats(port)["peer_forwards"])
            if now > before:
                found.append(key)
            before = now
    return found


def nodes(directory, behind):
    ports = [free_port() for _ in range(3)]
    path = os.path.join(directory, "peers.txt")
    with open(path, "w", encoding="ascii") as file:
        file.writelines(f"127.0.0.1:{port} 1\n" for port in ports)
    for port in ports:
        address = f"127.0.0.1:{port}"
        args = [LARDER, "--memcached", address, "--resp", "off", "--peers", path, "--peer-self", address, "--memory", "256MiB",
                "--fresh", "0", "--origin-memcached", f"127.0.0.1:{behind}", "-qq"]
        yield Server("larder", args, port)


def wait_for_peers(ports):
    time.sleep(1)
    while any(int(stats(port)["peer_nodes_skipped"]) for port in ports):
        time.sleep(0.05)


def once_each(options, ports, behind):
    wrong = []
    threads = [threading.Thread(target=read_all, args=(port, options.keys, port, wrong)) for port in ports]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    fetched = int(stats(behind)["cmd_get"])
    row(f"{options.keys:,} keys through each of 3 nodes: reads of the origin", f"{fetched:,}",
        f"wrong answers {len(wrong)}", "", f"{options.keys:,}")
    row("  and keys/s, all nodes together", f"{3 * options.keys / took:,.0f}", "", "", "")


def rates(port):
    keys = far_keys(port, 20)
    reads = [(b"get %s\r\n" % keys[0], b"END\r\n")] * ROUND_TRIPS
    writes = [(b"set %s 0 0 1\r\ny\r\n" % keys[n % 20], b"STORED\r\n") for n in range(ROUND_TRIPS)]
    metas = [(b"mg %s v t\r\n" % keys[n % 20], b"\r\ny\r\n") for n in range(ROUND_TRIPS)]
    writes_first = rate(port, writes)
    row("one connection, a peer's key: sets/s", f"{writes_first:,.0f}", "", "", "")
    row("  mg with the lifetime, which the owner answers: reads/s", f"{rate(port, metas):,.0f}", "", "", "")
    row("  gets of the copy: reads/s", f"{rate(port, reads):,.0f}", "", "", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=100_000)
    options = parser.parse_args()
    need()
    before = used_by_others()
    with contextlib.ExitStack() as running, tempfile.TemporaryDirectory() as directory:
        behind = running.enter_context(larder("--memory", "256MiB", "-qq")).memcached
        load(behind, options.keys)
        started = [running.enter_context(node) for node in nodes(directory, behind)]
        ports = [node.memcached for node in started]
        wait_for_peers(ports)
        once_each(options, ports, behind)
        rates(ports[0])
    print(f"\nOther programs used {before:.0%} of the processor before these runs, and {used_by_others():.0%} after them.")


if __name__ == "__main__":
    main()
