"""Amplification, loss and order over UDP: python3 chapters/measured/15_udp.py MEMCACHED-PORT STAGE-PORT.

Both servers run already, and have the same port for TCP and UDP."""

import socket
import struct
import sys
import time

SIZES = [100, 10_000, 1_000_000]


def frame(request, command):
    return struct.pack(">HHHH", request, 0, 1, 0) + command


def client(port):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.connect(("127.0.0.1", port))
    made.settimeout(2)
    return made


def drain(made):
    """All datagrams that arrive until two seconds pass without one."""
    datagrams = []
    try:
        while True:
            datagrams.append(made.recv(1 << 16))
    except TimeoutError:
        return datagrams


def store(port, size):
    with socket.create_connection(("127.0.0.1", port)) as tcp:
        tcp.sendall(b"set k%d 0 0 %d\r\n%s\r\n" % (size, size, b"x" * size))
        assert tcp.recv(100) == b"STORED\r\n"


def amplification(name, port):
    print(f"{name}: a request and its reply")
    for size in SIZES:
        store(port, size)
        made = client(port)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        request = frame(1, b"get k%d\r\n" % size)
        made.send(request)
        datagrams = drain(made)
        sent = sum(map(len, datagrams))
        print(f"value of {size:,} bytes: {len(request)} bytes, reply of {sent:,} in {len(datagrams)} datagrams,"
              f" factor {sent // len(request):,}")
    print()


def loss(port):
    made = client(port)
    made.send(frame(2, b"get k1000000\r\n"))
    time.sleep(1)
    datagrams = drain(made)
    total = struct.unpack(">H", datagrams[0][4:6])[0]
    print("memcached: a client that reads one second late, with the system's usual buffer")
    print(f"{len(datagrams)} of {total} datagrams arrive")
    print()


def order(name, port, requests=2000):
    """Sends numbered requests eight at a time, and counts replies that overtake an earlier one."""
    made, overtaken = client(port), 0
    for first in range(0, requests, 8):
        for request in range(first, first + 8):
            made.send(frame(request, b"get k100\r\n"))
        ids = [struct.unpack(">H", made.recv(1 << 16)[:2])[0] for _ in range(8)]
        overtaken += sum(b < a for a, b in zip(ids, ids[1:]))
    print(f"{name}: {overtaken} of {requests} replies come in before an earlier one")


memcached, stage = int(sys.argv[1]), int(sys.argv[2])
amplification("memcached", memcached)
amplification("stage 15", stage)
loss(memcached)
order("memcached", memcached)
order("stage 15", stage)
