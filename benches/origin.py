#!/usr/bin/env python3
"""Read-through under a stampede: a thousand clients ask for a key that only a slow origin has.

    cargo build --release && python3 benches/origin.py [--clients 1000] [--rounds 5]

The origin is a program that sleeps and counts its starts. First it takes 100 ms: the time until all clients have the value.
Then it takes so long that `larder bench` can measure the hits of other clients meanwhile, by turns with and without waiting
clients.
"""

import argparse
import os
import selectors
import tempfile
import time

from servers import bench, connect, larder, median, need, row, used_by_others

QUICK, SLOW = 0.1, 5.0


class Origin:
    """A program that answers every key after some time."""

    def __init__(self, directory, seconds):
        self.counted = os.path.join(directory, "fetches")
        self.program = os.path.join(directory, "origin")
        with open(self.program, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\necho >> {self.counted}\nsleep {seconds}\nprintf value\n")
        os.chmod(self.program, 0o755)
        open(self.counted, "w", encoding="ascii").close()

    def fetches(self):
        with open(self.counted, encoding="ascii") as file:
            return len(file.readlines())


def ask_all(clients, key):
    for client in clients:
        client.sendall(b"get %s\r\n" % key)


def take_all(clients):
    """Waits until every client has the value."""
    expected = b"value\r\nEND\r\n"
    selector = selectors.DefaultSelector()
    replies = {client: b"" for client in clients}
    for client in clients:
        selector.register(client, selectors.EVENT_READ)
    while selector.get_map():
        ready = selector.select(30)
        if not ready:
            raise SystemExit(f"{len(selector.get_map())} clients have no reply")
        for key, _ in ready:
            client = key.fileobj
            piece = client.recv(1024)
            replies[client] += piece
            if replies[client].endswith(b"END\r\n"):
                selector.unregister(client)
                if not replies[client].endswith(expected):
                    raise SystemExit(f"a client got {replies[client]!r}")
            elif not piece:
                raise SystemExit("a connection was closed")


def started(options, origin):
    return larder("--max-connections", str(options.clients + 100), "--origin-timeout", "20s",
                  "--origin-command", origin.program, "-qq")


def stampede(options, directory):
    origin = Origin(directory, QUICK)
    times = []
    with started(options, origin) as server:
        clients = [connect(server.memcached) for _ in range(options.clients)]
        for number in range(options.rounds):
            begun = time.monotonic()
            ask_all(clients, b"cold%d" % number)
            take_all(clients)
            times.append(1000 * (time.monotonic() - begun))
    row(f"{options.clients:,} clients have a value that takes 100 ms: ms", f"{median(times):,.0f}",
        f"longest {max(times):,.0f}", "", "≤ 150")
    row("  and fetches for each key", f"{origin.fetches() / options.rounds:g}", "", "", "1")


def hits(options, directory):
    origin = Origin(directory, SLOW)
    alone, beside = [], []
    with started(options, origin) as server:
        load = [f"127.0.0.1:{server.memcached}", "--protocol", "memcached", "--connections", "32", "--ratio", "1:0",
                "--keys", "1000", "--value-size", "100", "--seconds", "2", "--warm-up", "0.3"]
        clients = [connect(server.memcached) for _ in range(options.clients)]
        for number in range(options.rounds):
            alone.append(bench(load)["rate"])
            ask_all(clients, b"slow%d" % number)
            beside.append(bench(load)["rate"])
            take_all(clients)
    row(f"hits/s while {options.clients:,} clients wait", f"{median(beside):,.0f}", f"without {median(alone):,.0f}",
        f"{median(beside) / median(alone):.2f}", "≥ 0.95")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    need()
    before = used_by_others()
    for measure in (stampede, hits):
        with tempfile.TemporaryDirectory() as directory:
            measure(options, directory)
    print(f"\nOther programs used {before:.0%} of the processor before these runs, and {used_by_others():.0%} after them.")


if __name__ == "__main__":
    main()
