#!/usr/bin/env python3
"""Prints the worst sentences of the book and the README, for an author to read: a tool, not a test.

  chapters/worst.py [COUNT [FILE ...]]     the COUNT (20) worst sentences of these files (README and all pages)

A sentence is worse the more words it has, if it opens without a subject (who, whoever, what …), if it has several clauses, and
for each word that is our own where the field has another.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Our word, and the field's.
HOME_MADE = {
    r"\b(is|are|was|were) over\b": "expired, ended",
    r"\b(is|are|was|were) away\b": "down, unavailable",
    r"\b(front )?doors?\b": "listener, protocol",
    r"\b(is|are|was|were|be|been) told\b": "notified, answered, configured",
    r"\bonce more\b": "again, retried",
    r"\bnobody\b|\bsomebody\b|\beverybody\b|\banybody\b": "name the client, the thread, the server",
    r"\bgrown up\b|\bkin\b|\bstranger\b": "plain words",
    r"\b(servers?|clients?|programs?|kernels?|stores?|caches?) (says?|knows?|wants?|wishes|believes?|thinks?)\b": "servers answer, clients ask",
    r"\btakes? (it |them )?for granted\b|\bhold(s)? it to\b": "plain words",
    r"\bgives? up\b": "evicts, closes, stops",
}
HEADLESS = re.compile(r"^(Who|Whoever|What|Whom|Whose|Which)\b(?!.*\?(</summary>)?$)")
HIDDEN = re.compile(r"\b(and|but|that|so|;|:) (who|whoever)\b|\bwhoever\b")


def separated(number, line):
    """A line, and an empty one in front of an item of a list, which is a paragraph of its own."""
    return [(number, ""), (number, line)] if re.match(r"\s*(- |\d+\. )", line) else [(number, line)]


def sentences(path):
    """The sentences of a page's running text, each with its line."""
    fenced, lines = False, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            line = ""
        elif fenced or line.startswith(("#", "|", "<", "{{", ": ")):
            line = ""
        lines.append((number, line))
    paragraph = []
    for number, line in [entry for number, line in [*lines, (0, "")] for entry in separated(number, line)]:
        if line.strip():
            paragraph.append((number, re.sub(r"^(- |\d+\. |> )", "", line.strip())))
            continue
        if paragraph:
            text = " ".join(words for _, words in paragraph)
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "").replace("*", "")
            for sentence in re.split(r"(?<=[.?!])\)? +(?=[A-Z`(]|memcached\b|larder\b)", text):
                yield paragraph[0][0], sentence
            paragraph = []


def badness(sentence):
    plain = re.sub(r"`[^`]*`", "X", sentence)
    words = len(plain.split())
    reasons, worse = [], 0
    if words > 25:
        worse += (words - 25) * 2
        reasons.append(f"{words} words")
    if HEADLESS.search(plain) or HIDDEN.search(plain):
        worse += 25
        reasons.append("no subject")
    for pattern, field in HOME_MADE.items():
        found = re.search(pattern, plain, re.I)
        if found:
            worse += 20
            reasons.append(f"{found[0]!r}: {field}")
    clauses = len(re.findall(r"[,;:] |\b(which|who|that|because|while|when|if)\b", plain))
    if clauses > 5:
        worse += (clauses - 5) * 4
        reasons.append(f"{clauses} clauses")
    return worse, reasons


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    files = [pathlib.Path(name).resolve() for name in sys.argv[2:]]
    files = files or [ROOT / "README.md", *sorted(set((ROOT / "chapters").glob("*.md")) - {ROOT / "chapters/SUMMARY.md"})]
    found = []
    for file in files:
        for line, sentence in sentences(file):
            worse, reasons = badness(sentence)
            if worse:
                found.append((worse, f"{file.relative_to(ROOT)}:{line}", sentence, reasons))
    found.sort(key=lambda entry: -entry[0])
    for worse, place, sentence, reasons in found[:count]:
        print(f"{worse:4} {place}: {'; '.join(reasons)}\n     {sentence}\n")
    print(f"{len(found)} sentences to look at")


main()
