"""How many keys move when a server joins, how even the shares are, and what the rounding of a float is worth.

Who moves is asked of stage 9; the rest is computed here, after it was seen that both place the keys alike.
Run in the checkout, with the stage built: python3 chapters/measured/09_ketama.py
"""

import struct
import subprocess
import sys
from bisect import bisect_left
from hashlib import md5
from pathlib import Path

STAGE = sys.argv[1] if len(sys.argv) > 1 else "target/release/examples/09_ketama"
KEYS = [f"user:{number}" for number in range(100_000)]
PLACES = [struct.unpack("<I", md5(key.encode()).digest()[:4])[0] for key in KEYS]


def single(number):
    """Rounded to single precision."""
    return struct.unpack("f", struct.pack("f", number))[0]


def by_libketama(weight, total, servers, digests):
    return int(single(single(weight / total) * digests * servers))


def in_double(weight, total, servers, digests):
    return int(weight / total * digests * servers)


def ring(servers, counts=by_libketama, digests=40):
    total = sum(weight for _, weight in servers)
    points = []
    for name, weight in servers:
        for number in range(counts(weight, total, len(servers), digests)):
            for point in struct.unpack("<4I", md5(f"{name}-{number}".encode()).digest()):
                points.append((point, name))
    return sorted(points)


def placed(points):
    numbers = [point for point, _ in points]
    return [points[bisect_left(numbers, place) % len(points)][1] for place in PLACES]


def asked(count):
    """Where stage 9 puts the keys among so many servers: by modulo, by ketama."""
    path = Path("target/measured-servers.txt")
    path.write_text("".join(f"10.0.1.{number}:11211 1\n" for number in range(1, count + 1)))
    text = subprocess.run([STAGE, "place", path], input="\n".join(KEYS), capture_output=True, text=True, check=True).stdout
    path.unlink()
    lines = [line.split("\t") for line in text.splitlines()]
    return [line[1] for line in lines], [line[2] for line in lines]


def share(pairs):
    return 100 * sum(before != after for before, after in pairs) / len(KEYS)


COUNTS = (1, 2, 3, 4, 6, 8, 10, 12, 15)
moved = {"by the remainder": [], "by ketama": [], "an even share for the newcomer": []}
for count in COUNTS:
    before, after = asked(count), asked(count + 1)
    for (way, name) in enumerate(("by the remainder", "by ketama")):
        moved[name].append(share(zip(before[way], after[way])))
    moved["an even share for the newcomer"].append(100 / (count + 1))
print(f"{len(KEYS):,} keys; a server joins: how many of them are then elsewhere")
for name, shares in moved.items():
    print(name)
    for count, moving in zip(COUNTS, shares):
        print(f"{count:2} servers and one more: {moving:4.1f} %")
print()

five = [(f"10.0.1.{number}:11211", 1) for number in range(1, 6)]
same = placed(ring(five)) == asked(5)[1]
print("five equal servers: the largest and the smallest share of the keys")
print(f"(computed here; stage 9 agrees on all keys: {'yes' if same else 'NO'})")
for digests in (1, 4, 10, 40, 160, 640):
    keys = placed(ring(five, digests=digests))
    shares = sorted(100 * keys.count(name) / len(keys) for name, _ in five)
    print(f"{4 * digests:4} points each: {shares[-1]:4.1f} % and {shares[0]:4.1f} %")
print()

print("keys that are elsewhere if the number of points is computed in double precision")
for name in ("equal5", "mixed8", "edge10"):
    lines = Path(f"tests/data/ketama/{name}.txt").read_text().split("\n")
    servers = [(line.split()[0], int(line.split()[1])) for line in lines if line.strip()]
    rings = ring(servers), ring(servers, in_double)
    moved = sum(a != b for a, b in zip(*map(placed, rings)))
    print(f"{name}: {len(rings[0])} points and {len(rings[1])}; {moved:,} keys")
