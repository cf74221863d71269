"""A small application in front of a pool of which one server hangs for six seconds: python3 10_failing.py PORT PID

Four threads read keys; what they miss they fetch from the "database", a dictionary, and store. Every tenth time they
change a value, there first and then in the cache. Server PID is stopped in second 2 and goes on in second 8. For each
second: reads, how many of them were answered with the value of now, with an older one, with a miss, with an error, and
how long the slowest took.
"""

import os
import random
import signal
import socket
import sys
import threading
import time

PORT, SERVER = int(sys.argv[1]), int(sys.argv[2])
SECONDS, STOP, GO_ON, KEYS, THREADS = 12, 2, 8, 300, 4
database = [0] * KEYS
locks = [threading.Lock() for _ in range(KEYS)]
counts = [{"now": 0, "older": 0, "miss": 0, "error": 0, "slowest": 0.0} for _ in range(SECONDS + 3)]


class Client:
    def __init__(self):
        self.sock = socket.create_connection(("127.0.0.1", PORT))
        self.file = self.sock.makefile("rb")

    def ask(self, request):
        self.sock.sendall(request)
        return self.file.readline()

    def get(self, key):
        line = self.ask(b"get key%d\r\n" % key)
        if not line.startswith(b"VALUE"):
            return None, line.startswith(b"SERVER_ERROR")
        value = int(self.file.readline())
        self.file.readline()
        return value, False

    def set(self, key, value):
        self.ask(b"set key%d 0 0 %d\r\n%d\r\n" % (key, len(str(value)), value))


def run(number, begin):
    rng, client = random.Random(number), Client()
    while (second := int(time.monotonic() - begin)) < SECONDS:
        key, asked = rng.randrange(KEYS), time.monotonic()
        # One thread at a time with each key, so that what is older is the pool's doing and not a race of ours.
        with locks[key]:
            if rng.random() < 0.1:
                database[key] += 1
                client.set(key, database[key])
                continue
            value, error = client.get(key)
            count = counts[second]
            count["slowest"] = max(count["slowest"], time.monotonic() - asked)
            if error:
                count["error"] += 1
            elif value is None:
                count["miss"] += 1
                client.set(key, database[key])
            else:
                count["now" if value == database[key] else "older"] += 1
        time.sleep(0.001)


filler = Client()
for key in range(KEYS):
    filler.set(key, 0)
begin = time.monotonic()
threads = [threading.Thread(target=run, args=(number, begin)) for number in range(THREADS)]
for thread in threads:
    thread.start()
time.sleep(STOP)
os.kill(SERVER, signal.SIGSTOP)
time.sleep(GO_ON - STOP)
os.kill(SERVER, signal.SIGCONT)
for thread in threads:
    thread.join()
for second, count in enumerate(counts[:SECONDS]):
    reads = max(1, count["now"] + count["older"] + count["miss"] + count["error"])
    share = {name: 100 * count[name] / reads for name in ("now", "older", "miss", "error")}
    print(
        f"second {second:2}: {reads:4} reads, now {share['now']:5.1f} %, older {share['older']:4.1f} %, "
        f"miss {share['miss']:4.1f} %, error {share['error']:4.1f} %, {1000 * count['slowest']:4.0f} ms"
    )
