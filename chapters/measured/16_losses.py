#!/usr/bin/env python3
"""The rows of the comparison in which the other server is ahead, as a table of chapter 16.

    python3 chapters/measured/16_losses.py > chapters/measured/16_losses.txt

It reads peers.txt and proxy.txt beside it. In a row of rates larder is behind with a ratio below 1, in all others with one above.
"""

import pathlib
import re

HERE = pathlib.Path(__file__).parent


def losses(name, prefix):
    titles, rows = None, []
    for line in (HERE / name).read_text().splitlines():
        if line.endswith("middle half  goal"):
            titles = line
        elif titles and (ratio := re.match(r" *([\d.]+)", line[titles.index("ratio"):])):
            behind = float(ratio[1]) < 1 if "operations/s" in line else float(ratio[1]) > 1
            if behind and not line.startswith(" "):
                label = line.split("  ")[0]
                rows.append(prefix + label + line[len(label) + len(prefix):])
    return titles, rows


titles, servers = losses("peers.txt", "")
_, proxies = losses("proxy.txt", "proxy, ")
print("Rows of measured/peers.txt and measured/proxy.txt.\n")
print(titles, *servers, *proxies, sep="\n")
