#!/usr/bin/env python3
"""Asks stage 17 for prices while they change: 17_client.py PORT"""

import random
import socket
import statistics
import sys
import threading
import time

ROUNDS, AT_A_TIME = 200, 4
WINDOW = 0.3  # seconds in which the write falls; a read that misses takes 0.1


class Shop:
    """A connection to the application."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.lines = self.socket.makefile("r")

    def ask(self, line):
        self.socket.sendall(f"{line}\r\n".encode())
        return self.lines.readline().strip()


def race(port, verb, rounds, random_, stale):
    """Reads and changes a price at the same time, for each of these keys; adds those whose copy is old afterwards."""
    reader, writer = Shop(port), Shop(port)
    for key in rounds:
        writer.ask(f"write {key} 19")
        wait = WINDOW * random_.random()
        change = threading.Thread(target=lambda: (time.sleep(wait), writer.ask(f"write {key} 24")))
        change.start()
        reader.ask(f"{verb} {key}")
        change.join()
        if reader.ask(f"{verb} {key}") != "24":
            stale.append(key)


def races(port, verb):
    stale, threads = [], []
    for n in range(AT_A_TIME):
        keys = [f"{verb}:{k}" for k in range(n, ROUNDS, AT_A_TIME)]
        threads.append(threading.Thread(target=race, args=(port, verb, keys, random.Random(n), stale)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(stale)


def timed(shop, line, times):
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        shop.ask(line)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def main():
    port = int(sys.argv[1])
    print(f"{ROUNDS} reads, each with a write within {WINDOW * 1000:.0f} ms of its start:")
    print(f"cache-aside: {races(port, 'aside')} stale copies")
    print(f"with a lease: {races(port, 'price')} stale copies")
    shop = Shop(port)
    shop.ask("write lamp 19")
    print()
    print(f"a price from the database: {1e3 * timed(shop, 'row lamp', 10):.0f} ms")
    shop.ask("price lamp")
    print(f"a price from the cache: {1e3 * timed(shop, 'price lamp', 2000):.2f} ms")
    reads = int(shop.ask("reads"))
    shop.ask("price lamp")
    assert int(shop.ask("reads")) == reads, "the price came from the cache"


main()
