"""Sends one command to memcached over UDP, and prints the datagrams of the reply: udp_ask.py PORT COMMAND [SECONDS]."""

import socket
import struct
import sys

port, command = int(sys.argv[1]), sys.argv[2]
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 20
socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
socket.settimeout(seconds)
# The header: a request's id, the number of this datagram, their total, and a reserved field.
socket.sendto(struct.pack(">HHHH", 7, 0, 1, 0) + command.encode() + b"\r\n", ("127.0.0.1", port))
received = {}
try:
    while True:
        datagram = socket.recv(1 << 16)
        request, number, total, _ = struct.unpack(">HHHH", datagram[:8])
        received[number] = datagram[8:]
        print(f"request {request}, datagram {number + 1} of {total}: {len(datagram)} bytes")
        if len(received) == total:
            break
except TimeoutError:
    print(f"no whole reply within {seconds:g} s: {len(received)} datagrams")
    sys.exit(1)
reply = b"".join(received[number] for number in sorted(received)).decode()
print(reply if len(reply) < 200 else f"{len(reply)} bytes together\n", end="")
