"""Times of the shop's pages with its cache on or off: python3 chapters/measured/19_shop.py HOST:PORT on|off NAME.

The shop runs already. Eight visitors read products, each the next one when it has the answer; few products get most of the
visits. One clerk changes the price of a product ten times a second."""

import http.client
import json
import random
import sys
import threading
import time

VISITORS = 8
SECONDS = 20
PRODUCTS = 300


def popular(rng):
    return 1 + int(PRODUCTS * rng.random() ** 3)


def post(connection, path, form):
    connection.request("POST", path, form)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body


def visit(seed, end, reads):
    rng, connection = random.Random(seed), http.client.HTTPConnection(address)
    while time.perf_counter() < end:
        began = time.perf_counter()
        connection.request("GET", f"/products/{popular(rng)}")
        page = json.loads(connection.getresponse().read())
        reads.append((time.perf_counter() - began, page["source"]))


def change(end):
    rng, connection = random.Random(0), http.client.HTTPConnection(address)
    while time.perf_counter() < end:
        post(connection, f"/products/{popular(rng)}", f"price={rng.randrange(1, 1000)}")
        time.sleep(0.1)


def load(state):
    post(http.client.HTTPConnection(address), "/cache", f"state={state}")
    reads, end = [], time.perf_counter() + SECONDS
    threads = [threading.Thread(target=visit, args=(seed, end, reads)) for seed in range(1, VISITORS + 1)]
    threads.append(threading.Thread(target=change, args=(end,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reads


def duration(seconds):
    return f"{seconds * 1000:.3g}ms"


address, state, name = sys.argv[1:]
reads = load(state)
times = sorted(seconds for seconds, _ in reads)
print(f"{name}: {VISITORS} visitors for {SECONDS} s, 10 changes/s")
print(f"rate: {len(reads) / SECONDS:,.0f} pages/s")
for label, part in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)]:
    print(f"{label}: {duration(times[int(part * len(times))])}")
sources = [source for _, source in reads]
for source in sorted(set(sources)):
    print(f"{source}: {100 * sources.count(source) / len(sources):.1f} %")
print()
