#!/usr/bin/env python3
"""Draws the book's pictures: `python3 chapters/pictures/draw.py` writes every SVG of this directory anew.

A picture is a function that is named after its file and returns its title, its description in words for those who don't
see it, its height, and its parts. It is 560 units wide and takes its colours from the page's theme: lines and text are
currentColor, accents are the plots' colours (classes plot-1 to plot-4 in book.css). Look at it in a light theme and in a
dark one, and at 500 pixels.
"""

import html
import math
import pathlib

WIDTH = 560


def text(x, y, words, anchor="middle", size=14, weight=None, mono=False, accent=None, opacity=None):
    style = f' font-weight="{weight}"' if weight else ""
    style += ' font-family="monospace"' if mono else ""
    style += f' opacity="{opacity}"' if opacity else ""
    colour = f' class="plot-{accent} plot-name"' if accent else ' fill="currentColor"'
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"{style}{colour}>{html.escape(words)}</text>'


def box(x, y, w, h, words="", accent=None, dashed=False, mono=False, size=14, round=4):
    line = ' stroke-dasharray="4 3"' if dashed else ""
    colour = f' class="plot-{accent} plot-line"' if accent else ' stroke="currentColor"'
    width = ' stroke-width="2"' if accent else ""
    lines = words.split("\n") if words else []
    first = y + h / 2 + 5 - (len(lines) - 1) * (size + 3) / 2
    inside = [text(x + w / 2, first + n * (size + 3), line, mono=mono, size=size) for n, line in enumerate(lines)]
    return f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{round}" fill="none"{colour}{width}{line}/>' + "".join(inside)


def arrow(x1, y1, x2, y2, words="", accent=None, dashed=False, above=True, size=13):
    angle = math.atan2(y2 - y1, x2 - x1)
    tip = [(x2 - 9 * math.cos(angle + turn), y2 - 9 * math.sin(angle + turn)) for turn in (0.4, -0.4)]
    colour = f' class="plot-{accent} plot-line"' if accent else ' stroke="currentColor"'
    line = ' stroke-dasharray="4 3"' if dashed else ""
    path = f'M{x1:g} {y1:g}L{x2:g} {y2:g}M{tip[0][0]:.1f} {tip[0][1]:.1f}L{x2:g} {y2:g}L{tip[1][0]:.1f} {tip[1][1]:.1f}'
    drawn = f'<path d="{path}" fill="none" stroke-width="1.5"{colour}{line}/>'
    if words:
        drawn += text((x1 + x2) / 2, (y1 + y2) / 2 + (-6 if above else 17), words, size=size)
    return drawn


def line(x1, y1, x2, y2, accent=None, dashed=False, width=1.5):
    colour = f' class="plot-{accent} plot-line"' if accent else ' stroke="currentColor"'
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" fill="none" stroke-width="{width}"{colour}{dash}/>'


def dot(x, y, accent, r=6):
    return f'<circle cx="{x:g}" cy="{y:g}" r="{r}" class="plot-{accent} plot-point"/>'


def intro_map():
    rows = [
        ("I · A server", ["0 the real thing", "1 echo", "2 pool", "3 lines"]),
        ("II · A cache", ["4 store", "5 paths", "6 RESP", "7 turns"]),
        ("III · In front of others", ["8 forward", "9 ketama", "10 failing"]),
        ("IV · Invalidation", ["11 background", "12 crash", "13 stale fills"]),
        ("V · The rest", ["14 meta, binary", "15 UDP", "16 measure"]),
        ("VI · A cache around an application", ["17 client", "18 read-through", "19 shop"]),
    ]
    parts, y = [], 8
    for n, (part, stages) in enumerate(rows):
        parts.append(text(4, y + 12, part, anchor="start", weight=600))
        for k, stage in enumerate(stages):
            x = 4 + k * 139
            parts.append(box(x, y + 22, 122, 34, stage, accent=n % 4 + 1))
            if k + 1 < len(stages):
                parts.append(arrow(x + 122, y + 39, x + 139, y + 39))
        if n + 1 < len(rows):
            parts.append(line(60, y + 56, 60, y + 70))
        y += 78
    return ("The stages", "Six parts: a server (the real thing, echo, pool, lines), a cache (store, paths, RESP, turns), in "
            "front of other servers (forward, ketama, failing), invalidation (in the background, surviving a crash, "
            "stale fills), the rest (meta and binary, UDP, measure it), and a cache around an application (a client, "
            "read-through and peers, a shop). Each stage is written from the one before.", y, parts)


def p01_parts():
    parts = [box(4, 60, 96, 44, "client"), arrow(100, 82, 150, 82), box(150, 60, 96, 44, "accept", accent=1)]
    for n, y in enumerate((16, 66, 116)):
        parts += [arrow(246, 82, 330, y + 18), box(330, y, 110, 36, f"thread {n + 1}: echo")]
        parts.append(arrow(440, y + 18, 484, 82 + (n - 1) * 24))
    parts += [box(484, 40, 72, 84, "set:\n1\n2\n3", accent=2), text(520, 144, "closing?", size=13)]
    parts.append(text(286, 176, "every thread holds its membership in the set until its connection ends", size=13))
    return ("Accept, threads and the set", "accept takes a client and starts a thread for it; every thread holds a membership "
            "in the set of connections, beside the flag that says whether the server is closing.", 184, parts)


def p01_shutdown():
    parts, left = [], 120
    rows = ["quiet client", "busy client", "stuck client", "new client"]
    for n, row in enumerate(rows):
        y = 40 + n * 44
        parts.append(text(110, y + 5, row, anchor="end"))
    parts += [line(210, 14, 210, 205, dashed=True), text(210, 10, "TERM", size=13, weight=600)]
    parts += [line(480, 14, 480, 205, dashed=True), text(480, 10, "10 s", size=13, weight=600)]
    parts += [line(left, 40, 214, 40, accent=1, width=4), text(222, 45, "input ends, closed at once", anchor="start", size=13)]
    parts += [line(left, 84, 300, 84, accent=3, width=4), text(308, 89, "answered, then closed", anchor="start", size=13)]
    parts += [line(left, 128, 480, 128, accent=2, width=4), text(486, 133, "cut", anchor="start", size=13)]
    parts += [line(214, 172, 222, 172, accent=4, width=4), text(230, 177, "refused", anchor="start", size=13)]
    return ("A shutdown in time", "After the signal a quiet client is closed at once, a busy one after its answer, a stuck one "
            "is cut after ten seconds, and a new one is refused.", 210, parts)


def p02_pool():
    parts = [box(4, 62, 86, 40, "accept", accent=1), arrow(90, 82, 140, 82)]
    parts.append(text(232, 34, "queue: four wait", size=13))
    for n in range(4):
        parts.append(box(140 + n * 46, 62, 42, 40, f"c{8 - n}"))
    parts += [arrow(326, 82, 372, 82)]
    parts.append(text(468, 14, "pool: four are served", size=13))
    for n in range(4):
        parts.append(box(376, 24 + n * 34, 180, 28, f"thread {n + 1} · c{n + 1}", accent=3))
    parts += [arrow(47, 102, 47, 148, accent=2), text(60, 138, "ninth client: ERROR Too many open connections", anchor="start", size=13, accent=2)]
    return ("Queue and pool", "Four threads serve the connections c1 to c4, four more wait in the queue, and the ninth client "
            "reads an error.", 172, parts)


def p03_buffer():
    parts = []
    rows = [
        ("read 1", [("set a 0 0 5\\r\\n", 1), ("hel", 2)], "need more: the value has 3 of 7 bytes"),
        ("read 2", [("set a 0 0 5\\r\\n", 1), ("hello\\r\\n", 2), ("ge", 4)], "done: 20 bytes taken; then need more"),
        ("read 3", [("get a\\r\\n", 4)], "done: 7 bytes taken, nothing left"),
    ]
    for n, (name, pieces, after) in enumerate(rows):
        y, x = 10 + n * 66, 70
        parts.append(text(60, y + 21, name, anchor="end", weight=600))
        for words, accent in pieces:
            w = 9 * len(words) + 14
            parts.append(box(x, y, w, 32, words, accent=accent, mono=True))
            x += w + 4
        parts.append(text(70, y + 50, after, anchor="start", size=13))
    return ("The input buffer over three reads", "After the first read the value is incomplete and all bytes stay. The second "
            "completes it and brings the start of the next command, which stays. The third completes that.", 196, parts)


def p04_store():
    parts = [text(60, 16, "map", weight=600), text(330, 16, "slots, from newest to oldest", weight=600)]
    keys = ["d", "c", "b", "a"]
    for n, key in enumerate(keys):
        y = 26 + n * 34
        parts.append(box(30, y, 60, 28, key, accent=1))
        x = 150 + n * 104
        parts.append(line(90, y + 14, 120, y + 14))
        parts.append(line(120, y + 14, x + 40, 186))
        parts.append(box(x, 186, 84, 40, f"{key}: value", accent=3))
        if n < 3:
            parts.append(arrow(x + 84, 200, x + 104, 200))
            parts.append(arrow(x + 104, 214, x + 84, 214))
    parts.append(text(150 + 42, 246, "newest", size=13))
    parts.append(text(462 + 42, 246, "oldest", size=13))
    return ("The map and the slots", "The map leads from a key to a slot; the slots are linked from the newest item to the "
            "oldest.", 254, parts)


def p04_hand():
    frames = [
        ("1. The hand is at a, which was read: its mark is cleared, the hand goes on.", "abcd", {"a", "c"}, "a", None),
        ("2. b was not read: it is evicted.", "abcd", {"c"}, "b", "b"),
        ("3. The next eviction goes on at c, clears its mark, and goes on.", "acd", {"c"}, "c", None),
        ("4. d was not read: it is evicted, and the new item e is stored.", "acd", set(), "d", "d"),
    ]
    parts = []
    for n, (words, items, marked, hand, gone) in enumerate(frames):
        y = 12 + n * 84
        parts.append(text(4, y + 4, words, anchor="start", size=13))
        for k, item in enumerate(items):
            x = 30 + k * 90
            parts.append(box(x, y + 32, 60, 28, item, accent=2 if item == gone else 3, dashed=item == gone))
            if item in marked:
                parts.append(dot(x + 51, y + 40, 1, r=4))
            if item == hand:
                parts.append(arrow(x + 30, y + 14, x + 30, y + 31))
        if n == 0:
            parts.append(text(385, y + 51, "a dot: was read; oldest first", anchor="start", size=12))
    return ("SIEVE's hand in four frames", "The hand moves from the oldest item to newer ones. An item that was read since "
            "loses its mark and stays; the first without a mark is evicted. The hand stays where it is until the next "
            "eviction.", 342, parts)


def p05_tree():
    parts = []
    def node(x, y, words, gone=False):
        return box(x - 46, y, 92, 30, words, accent=2 if gone else 1, dashed=gone)
    parts += [node(110, 10, "user:1", True), node(60, 90, "name", True), node(166, 90, "mail", True), node(60, 170, "first", True)]
    parts += [line(110, 40, 60, 90), line(110, 40, 166, 90), line(60, 120, 60, 170)]
    parts += [node(300, 10, "user:2"), node(300, 90, "name"), line(300, 40, 300, 90)]
    parts += [text(380, 60, "delete user:1", anchor="start", mono=True), text(380, 82, "removes the dashed", anchor="start", size=13),
              text(380, 100, "subtree; user:2 stays", anchor="start", size=13)]
    return ("A tree of keys, and the deletion of a subtree", "user:1 has the children name and mail, and name has the child "
            "first. Deleting user:1 removes all four; user:2 and its child stay.", 210, parts)


def p06_frame():
    parts, x, y = [], 4, 30
    words = [("*3\\r\\n", 1, "3 words"), ("$3\\r\\n", 2, "3 bytes"), ("SET\\r\\n", 3, "word 1"), ("$4\\r\\n", 2, "4 bytes"), ("note\\r\\n", 3, "word 2")]
    for piece, accent, meaning in words:
        w = 9 * len(piece) + 16
        parts += [box(x, y, w, 32, piece, accent=accent, mono=True), text(x + w / 2, y - 8, meaning, size=12)]
        x += w + 6
    x, y = 4, 108
    for piece, accent, meaning in [("$12\\r\\n", 2, "12 bytes"), ("ab\\r\\nFLUSHALL\\r\\n", 3, "word 3: 12 bytes, one of them \\n, and the \\r\\n after them")]:
        w = 9 * len(piece) + 16
        parts += [box(x, y, w, 32, piece, accent=accent, mono=True), text(x if accent == 3 else x + w / 2, y - 8, meaning, size=12, anchor="start" if accent == 3 else "middle")]
        x += w + 6
    return ("A RESP frame, byte by byte", "The frame *3, $3 SET, $4 note, $12 and twelve bytes that hold a line end and the "
            "letters FLUSHALL. Each length says how many bytes belong to the word, so nothing in them is a command.", 150, parts)


def p07_turns():
    parts = [text(130, 16, "a thread per connection", weight=600), text(430, 16, "turns", weight=600)]
    for n in range(4):
        y = 30 + n * 38
        parts += [box(10, y, 90, 28, f"connection {n + 1}"), arrow(100, y + 14, 150, y + 14), box(150, y, 100, 28, "asleep in read" if n else "busy", accent=2 if n else 3)]
    parts += [box(10, 190, 90, 28, "connection 5"), text(110, 209, "no thread is left", anchor="start", size=13, accent=2)]
    for n in range(5):
        y = 30 + n * 38 + (8 if n == 4 else 0)
        parts += [box(300, y, 90, 28, f"connection {n + 1}")]
        parts.append(arrow(390, y + 14, 432, 110 + (n - 2) * 12, dashed=n not in (0, 4)))
    parts += [box(434, 76, 122, 68, "poller and\none worker", accent=3), text(495, 166, "only ready ones", size=13), text(495, 183, "get a turn", size=13)]
    return ("A thread per connection, and turns", "At the left four threads sleep in read for four quiet connections, and a "
            "fifth has none. At the right one worker asks a poller which connections are ready and gives each a turn.", 228, parts)


def p08_queues():
    parts = []
    for n, name in enumerate("abc"):
        parts.append(box(4, 20 + n * 52, 80, 32, f"client {name}"))
        parts.append(arrow(84, 36 + n * 52, 140, 76 + (n - 1) * 10))
    parts += [text(228, 34, "requests, in order sent", size=13)]
    for n, name in enumerate(["c1", "b1", "a2", "a1"]):
        parts.append(box(144 + n * 44, 46, 40, 30, name, accent=1))
    parts += [arrow(322, 61, 372, 61), box(376, 60, 120, 44, "Redis"), arrow(372, 100, 322, 100)]
    for n, name in enumerate(["a1", "a2", "b1", "c1"]):
        parts.append(box(278 - n * 44, 86, 40, 30, name, accent=3))
    parts += [text(228, 136, "replies: the first belongs to the first request", size=13)]
    return ("Requests and replies", "Requests of three clients go to Redis over one connection in one order. Replies come back "
            "in the same order, so the first reply belongs to the first request in the queue.", 166, parts)


def p09_ring():
    parts = []
    def ring(cx, servers, title):
        out = [f'<circle cx="{cx}" cy="120" r="74" fill="none" stroke="currentColor"/>', text(cx, 16, title, weight=600)]
        for angle, name, accent in servers:
            a = math.radians(angle)
            x, y = cx + 74 * math.sin(a), 120 - 74 * math.cos(a)
            out += [dot(x, y, accent), text(cx + 96 * math.sin(a), 125 - 96 * math.cos(a), name)]
        return out
    before = [(20, "a", 1), (140, "b", 2), (250, "c", 3)]
    parts += ring(130, before, "before") + ring(410, before + [(80, "d", 4)], "after d joins")
    start, end = [(410 + 74 * math.sin(math.radians(v)), 120 - 74 * math.cos(math.radians(v))) for v in (20, 80)]
    parts.append(f'<path d="M{start[0]:.1f} {start[1]:.1f}A74 74 0 0 1 {end[0]:.1f} {end[1]:.1f}" fill="none" class="plot-4 plot-line" stroke-width="5"/>')
    parts.append(text(280, 222, "only the keys between a and d move: from b to d", size=13))
    return ("The ring before and after a join", "Three servers on a ring; a key belongs to the next server clockwise. When d "
            "joins between a and b, only the keys between a and d move, from b to d.", 232, parts)


def p10_health():
    parts = [box(30, 30, 130, 44, "in use", accent=3), box(400, 30, 130, 44, "ejected", accent=2), box(400, 130, 130, 44, "probing", accent=1)]
    parts += [arrow(160, 44, 400, 44, "errors in a row"), arrow(465, 74, 465, 130), text(460, 106, "a time passes", anchor="end", size=13),
              arrow(490, 130, 490, 74), text(496, 106, "fails", anchor="start", size=13)]
    parts += [arrow(400, 152, 95, 74), text(225, 142, "the probe is answered", size=13)]
    return ("The health of a server", "A server in use is ejected after errors in a row. After a time it is probed: a failed "
            "probe keeps it ejected, an answered one brings it back into use.", 184, parts)


def p11_channel():
    parts = []
    for n in range(3):
        y = 10 + n * 40
        parts += [box(4, y, 66, 28, "client"), arrow(70, y + 14, 96, y + 14), box(98, y, 72, 28, "session"), arrow(170, y + 14, 208, 64)]
    parts += [box(210, 44, 112, 40, accent=1)]
    parts += [box(216 + n * 26, 50, 22, 28, "key", size=11) for n in range(4)]
    parts += [text(266, 102, "a channel with a bound", size=13)]
    for n in range(2):
        y = 26 + n * 48
        parts += [arrow(322, 64, 360, y + 14), box(362, y, 72, 28, "worker"), arrow(434, y + 14, 470, y + 14), box(472, y, 72, 28, "server")]
    parts += [line(134, 118, 134, 146, accent=3), line(134, 146, 37, 146, accent=3), arrow(37, 146, 37, 120, accent=3),
              text(146, 150, "STORED, as soon as the key is in the channel", anchor="start", size=13)]
    return ("Invalidation in the background", "Clients send changes to sessions. Each session puts the changed key into one channel with a "
            "bound and answers STORED at once. Workers take keys from the channel and delete each from its server.", 164, parts)


def p12_commit():
    parts = []
    for n in range(5):
        parts.append(box(4, 10 + n * 34, 92, 28, f"client {n + 1}"))
    parts += [arrow(96, 24, 190, 60), arrow(96, 58, 190, 66, dashed=True), arrow(96, 92, 190, 94, dashed=True), arrow(96, 126, 190, 122, dashed=True), arrow(96, 160, 190, 128, dashed=True)]
    parts += [box(192, 44, 130, 32, "group 1: one", accent=1), box(192, 92, 130, 44, "group 2: the four\nthat came meanwhile", accent=3, size=13)]
    parts += [arrow(322, 60, 400, 60, "commit"), arrow(322, 114, 400, 114, "commit"), box(402, 40, 100, 100, "spool")]
    parts += [text(260, 186, "while one commit is written, the next group collects", size=13)]
    return ("Group commit", "The first change is committed alone. While that commit is written, four more changes arrive; they "
            "are committed together.", 196, parts)


def p13_stale():
    parts = []
    columns = [(60, "reader"), (215, "cache"), (370, "database"), (505, "writer")]
    for x, name in columns:
        parts += [text(x, 16, name, weight=600), line(x, 24, x, 250, dashed=True, width=1)]
    steps = [
        (50, 60, 215, "get: miss", None), (80, 60, 370, "read: old", None), (112, 505, 370, "write: new", 3),
        (144, 505, 215, "delete", 3), (200, 60, 215, "set: old", 2),
    ]
    for y, a, b, words, accent in steps:
        parts += [arrow(a, y, b, y, accent=accent), text((a + b) / 2, y - 6, words, size=13)]
    parts += [text(52, 170, "slow", anchor="end", size=13), text(225, 236, "the old value stays until it expires", anchor="start", size=13, accent=2)]
    return ("The stale fill", "A reader misses and reads the old row. A writer changes the row and deletes the key from the "
            "cache. Then the slow reader stores the old value, which stays until it expires.", 256, parts)


def p14_header():
    unit, tall = 62, 34
    parts = [text(128, 16, "the article's header", weight=600), text(428, 16, "memcached's header", weight=600)]

    def row(x, y, fields):
        for words, size, accent in fields:
            parts.append(box(x, y, size * unit - 4, tall, words, accent=accent, dashed=accent is None, size=13))
            x += size * unit

    article = [
        [("magic 80 00", 2, 2), ("data type ?", 2, None)],
        [("request's length", 4, 2)],
        [("reply's length", 4, 2)],
        [("option", 1, 2), ("packed", 1, 2), ("reserved", 2, 2)],
        [("original length", 4, 2)],
        [("sequence ?", 2, None), ("checksum ?", 2, None)],
    ]
    real = [
        [("magic", 1, 1), ("opcode", 1, 1), ("key length", 2, 1)],
        [("extras", 1, 1), ("type 0", 1, 1), ("status", 2, 1)],
        [("body length", 4, 1)],
        [("opaque", 4, 1)],
    ]
    for n, fields in enumerate(article):
        row(4, 26 + n * 40, fields)
    for n, fields in enumerate(real):
        row(306, 26 + n * 40, fields)
    parts.append(box(306, 26 + 160, 4 * unit - 4, tall + 40, "unique\n(8 bytes)", accent=1, size=13))
    row(4, 282, [("command, NUL", 2, 2), ("pairs, spaces", 2, 2)])
    row(4, 322, [("END", 1, 2), ("extra", 1, 2), ("CRC32C", 2, 2)])
    row(306, 282, [("extras", 1, 3), ("key", 1, 3), ("value", 2, 3)])
    parts.append(text(428, 344, "as long as the header says", size=13))
    return ("The article's header and memcached's", "Each row has four bytes. The article's header has a magic of two bytes, a data type, lengths "
            "of request and reply, an option, a mark of compression, two reserved bytes, the original length, a sequence number and a checksum; "
            "it gives no size for the data type, the sequence number and the checksum. A command with a NUL, pairs with spaces between them, "
            "an END, extras and a CRC32C follow. memcached's header has a magic of one byte, an opcode, the lengths of key and extras, a data type that is always 0, a "
            "status, the length of the body, an opaque, and a unique of eight bytes. Extras, key and value follow, and nothing else.", 362, parts)


def p15_udp():
    parts, x = [text(4, 16, "each datagram", anchor="start", weight=600)], 4
    for words, width, accent in [("request\n2 bytes", 84, 1), ("number\n2 bytes", 84, 1), ("total\n2 bytes", 84, 1), ("00 00\n2 bytes", 84, None), ("up to 1,392 bytes\nof the reply", 212, 3)]:
        parts.append(box(x, 26, width - 4, 46, words, accent=accent, size=13))
        x += width
    parts += [text(90, 106, "client", weight=600), text(470, 106, "server", weight=600)]
    parts += [line(90, 116, 90, 300), line(470, 116, 470, 300)]
    parts.append(arrow(90, 136, 470, 136, "request 7: get page", accent=1))
    parts.append(arrow(470, 164, 90, 164, "request 7, number 0 of 3", accent=3))
    parts += [line(470, 192, 290, 192, accent=2), text(380, 186, "request 7, number 1 of 3", size=13), text(276, 197, "lost", size=13, accent=2, anchor="end")]
    parts.append(arrow(470, 220, 90, 220, "request 7, number 2 of 3", accent=3))
    parts.append(text(80, 252, "deadline", size=13, anchor="end"))
    parts.append(arrow(90, 276, 470, 276, "request 8: get page", accent=1))
    return ("A reply in three datagrams", "Each datagram has a header of eight bytes: the request's number, its own number, the total, and two zeros. Up to 1,392 "
            "bytes of the reply follow. A client sends request 7, and the server's reply has three datagrams. Number 1 is lost. The client waits until its "
            "deadline, and sends the same command as request 8.", 304, parts)


def p16_omission():
    left, step, stop, end = 150, 16, 246, 406
    parts = [
        f'<rect x="{stop}" y="24" width="{end - stop}" height="196" fill="currentColor" opacity="0.1"/>',
        text((stop + end) / 2, 16, "the server stops", size=13),
        text(4, 60, "closed loop", anchor="start", weight=600), text(4, 78, "one connection", anchor="start", size=13),
        text(4, 146, "open loop", anchor="start", weight=600), text(4, 164, "due at", anchor="start", size=13),
        text(4, 180, "fixed times", anchor="start", size=13),
    ]
    for x in [*range(left, stop - step, step), *range(end + step, 550, step)]:
        parts.append(line(x, 56, x + 9, 56, accent=1, width=4))
    parts += [line(stop - 6, 56, end + 8, 56, accent=2, width=4), text((stop + end) / 2, 80, "one slow request", size=13)]
    for n, x in enumerate(range(left, 550, step)):
        y = 110 + 11 * (n % 10)
        waits = stop <= x < end
        parts.append(line(x, y, end + 8 if waits else x + 9, y, accent=2 if waits else 1, width=4))
    parts.append(text((stop + end) / 2, 240, "ten slow requests, each from its due time", size=13))
    return ("What a closed loop leaves out", "A closed loop sends short requests one after another. While the server stops, "
            "one request waits, and none is sent; after the stop the short requests go on. An open loop has a request due at "
            "each of its fixed times. All that are due during the stop wait until its end: the first for the whole stop, the "
            "last for a moment.", 250, parts)


def p17_lease():
    parts = []
    columns = [(60, "reader"), (215, "cache"), (370, "database"), (505, "writer")]
    for x, name in columns:
        parts += [text(x, 16, name, weight=600), line(x, 24, x, 250, dashed=True, width=1)]
    steps = [
        (50, 60, 215, "get: miss", None), (78, 60, 215, "add, get: lease 7", 1), (106, 60, 370, "read: old", None),
        (138, 505, 370, "write: new", 3), (166, 505, 215, "delete", 3), (208, 60, 215, "cas 7: old", 2),
    ]
    beside = {"read: old": 292, "delete": 292}
    for y, a, b, words, accent in steps:
        parts += [arrow(a, y, b, y, accent=accent), text(beside.get(words, (a + b) / 2), y - 6, words, size=13)]
    parts += [box(200, 84, 30, 76, accent=1, round=2), text(236, 128, "lease 7", anchor="start", size=12, accent=1)]
    parts += [arrow(215, 232, 60, 232), text(137, 226, "NOT_FOUND", size=13), text(225, 236, "the old value is not stored", anchor="start", size=13)]
    return ("A lease refuses the late fill", "A reader misses, and adds an item that is its lease, with the cas unique 7. It reads "
            "the old row. A writer changes the row and deletes the item, and with it the lease. The reader's cas with 7 finds "
            "no item, and the old value is not stored.", 256, parts)


def p18_fetch():
    parts = []
    columns = [(60, "client a"), (150, "client b"), (300, "cache"), (500, "database")]
    for x, name in columns:
        parts += [text(x, 16, name, weight=600), line(x, 24, x, 252, dashed=True, width=1)]
    parts += [arrow(60, 52, 300, 52), text(230, 46, "get", size=13), arrow(300, 66, 500, 66, "query", accent=1)]
    parts += [arrow(150, 100, 300, 100), text(230, 94, "get", size=13)]
    parts += [box(270, 66, 60, 124, accent=1, round=2), text(338, 120, "one fetch:", anchor="start", size=13), text(338, 136, "a and b wait", anchor="start", size=13)]
    parts += [arrow(500, 190, 300, 190, "row", accent=1), arrow(300, 206, 60, 206), arrow(300, 222, 150, 222)]
    parts += [text(395, 216, "stored, then both", size=13), text(395, 232, "get the same row", size=13)]
    return ("One fetch for two clients", "Client a gets a miss, and the cache sends one query to the database. Client b asks for the "
            "same key while the query runs, and waits for the same fetch. The row is stored, and both clients get it.", 258, parts)


def p18_peers():
    parts = []
    for n, name in enumerate(["node 1", "node 2: owner of lamp", "node 3"]):
        parts.append(box(150, 14 + n * 70, 170, 46, name, accent=1 if n == 1 else 3))
    parts += [box(430, 84, 110, 46, "database", accent=2), box(4, 14, 84, 46, "client", dashed=True), box(4, 154, 84, 46, "client", dashed=True)]
    parts += [arrow(88, 37, 150, 37, "lamp?"), arrow(88, 177, 150, 177, "lamp?")]
    parts += [arrow(210, 60, 210, 84), arrow(210, 154, 210, 130), arrow(320, 107, 430, 107, "one query")]
    parts += [text(220, 77, "not passed on", anchor="start", size=13), text(220, 147, "not passed on", anchor="start", size=13)]
    return ("Three nodes, one owner", "Clients ask node 1 and node 3 for the key lamp. Both ask node 2, the owner of that key, with "
            "requests that are not passed on. Node 2 asks the database once.", 210, parts)
def p19_shop():
    parts = [text(4, 16, "three processes, one command", anchor="start", weight=600)]
    parts += [box(4, 92, 86, 44, "browser", dashed=True), arrow(90, 108, 150, 108, "GET"), arrow(90, 124, 150, 124, "POST", above=False)]
    parts.append(box(150, 62, 130, 104, "19_shop:\nweb server,\nreporter", accent=1))
    parts += [box(390, 30, 130, 48, "larder serve", accent=3), box(390, 150, 130, 48, "larder invalidate", accent=3)]
    parts.append(box(150, 250, 370, 48, "SQLite: products, sales, outbox", accent=2))
    parts += [arrow(280, 82, 390, 54), text(322, 54, "1 read", size=13)]
    parts += [line(520, 54, 546, 54), line(546, 54, 546, 274), arrow(546, 274, 520, 274), text(540, 236, "2 after a miss", anchor="end", size=13)]
    parts += [arrow(190, 166, 190, 250), text(182, 200, "3 change", anchor="end", size=13), text(182, 216, "and key", anchor="end", size=13)]
    parts += [arrow(240, 250, 240, 166), text(248, 214, "4 key", anchor="start", size=13)]
    parts += [arrow(280, 146, 390, 170), text(322, 178, "5 report", size=13)]
    parts += [arrow(455, 150, 455, 78), text(447, 118, "6 delete", anchor="end", size=13)]
    return ("The parts of the shop", "The browser asks the web server. A read goes to larder serve (1), which reads the database "
            "after a miss (2). A change goes to the database, with its key for the outbox (3). The reporter takes the key from "
            "the outbox (4) and reports it to larder invalidate (5), which deletes it from larder serve (6).", 304, parts)


def main():
    here = pathlib.Path(__file__).parent
    for name, draw in sorted(globals().items()):
        if name.startswith("p") and name[1:3].isdigit() or name == "intro_map":
            title, shows, height, parts = draw()
            file = name.removeprefix("p")
            svg = (
                f'<svg class="plot picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'font-family="sans-serif" role="img" aria-labelledby="picture-{file} picture-{file}-shows">\n'
                f'<title id="picture-{file}">{html.escape(title)}</title>\n'
                f'<desc id="picture-{file}-shows">{html.escape(shows)}</desc>\n' + "\n".join(p for p in parts if p) + "\n</svg>\n"
            )
            (here / f"{file}.svg").write_text(svg)


main()
