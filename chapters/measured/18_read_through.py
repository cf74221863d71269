#!/usr/bin/env python3
"""Many clients ask for one price: 18_read_through.py PORT-OF-STAGE-17 PORT-OF-STAGE-18"""

import socket
import sys
import time

CLIENTS = [1, 2, 4, 8, 16, 32, 64, 128, 200]
KEYS, NODES = 300, 3


class Shop:
    """A connection to the application."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.lines = self.socket.makefile("r")

    def send(self, line):
        self.socket.sendall(f"{line}\r\n".encode())

    def answer(self):
        return self.lines.readline().strip()

    def ask(self, line):
        self.send(line)
        return self.answer()


def counted(number, one, many):
    return f"{number} {one if number == 1 else many}"


def stampede(port, verb, number):
    control, clients = Shop(port), [Shop(port) for _ in range(number)]
    key = f"{verb}:{number}"
    control.ask(f"write {key} 19")
    before = int(control.ask("reads"))
    begun = time.monotonic()
    for client in clients:
        client.send(f"{verb} {key}")
    for client in clients:
        if (answer := client.answer()) != "19":
            raise SystemExit(f"a client got {answer!r}")
    took = time.monotonic() - begun
    queries = int(control.ask("reads")) - before
    print(f"{counted(number, 'client', 'clients')}: {counted(queries, 'query', 'queries')}, all answered after {1000 * took:.0f} ms")


def nodes(port):
    shop = Shop(port)
    for n in range(KEYS):
        shop.ask(f"write key{n} {n}")
    before = int(shop.ask("reads"))
    for n in range(KEYS):
        for node in range(1, NODES + 1):
            if (answer := shop.ask(f"price key{n} {node}")) != str(n):
                raise SystemExit(f"node {node} has {answer!r}")
    queries = int(shop.ask("reads")) - before
    print(f"{KEYS} prices, each from {NODES} nodes: {queries} queries")


def main():
    aside, through = (int(port) for port in sys.argv[1:])
    for title, port, verb in [("cache-aside", aside, "aside"), ("with leases", aside, "price"), ("read-through", through, "price")]:
        print(title)
        for number in CLIENTS:
            stampede(port, verb, number)
        print()
    nodes(through)


main()
