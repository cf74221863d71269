"""Clients that ask for values of their own, and count whose they get: python3 08_mixed.py PORT CLIENTS REQUESTS"""

import socket
import sys
import threading

port, clients, requests = map(int, sys.argv[1:])
own, wrong, vain = [0] * clients, [0] * clients, [0] * clients
ready = threading.Barrier(clients)


def array(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def ask(number):
    value = b"for-%04d" % number
    expected = b"$8\r\n" + value + b"\r\n"
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(2)
        ready.wait()
        for _ in range(requests):
            sock.sendall(array(b"GET", value))
            try:
                # Too much and too little are not what was asked for either.
                if sock.recv(4096) == expected:
                    own[number] += 1
                else:
                    wrong[number] += 1
            except TimeoutError:
                vain[number] += 1
                break
        ready.wait()  # everyone stays until the end: the article's program ends with the first that leaves


threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"{clients} clients: {sum(own)} right, {sum(wrong)} wrong, {sum(vain)} clients wait for ever")
