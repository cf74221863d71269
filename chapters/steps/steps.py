#!/usr/bin/env python3
"""The steps of the book's own program, taken or changed. Run it in the checkout.

  steps.py take [CHAPTER[/STEP]]   brings examples/mine to the state after this step (after all of them without one;
                                   before the chapter's first with step 0)
  steps.py try [FROM [TO]]         takes the steps of these chapters one by one, as a reader does: applies each step's
                                   diff as its page shows it, builds, starts the program, and waits for its first line
  steps.py repo DIR                makes a git repository of the steps, one commit each, to change them by git rebase
  steps.py record DIR CHAPTER …    writes these chapters' steps anew from the commits of such a repository

Only git, cargo and Python 3.10 are needed. The tests hold the steps to what the stages are: `cargo test --test book steps`.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = ROOT / "chapters/steps"
MINE = ROOT / "examples/mine"


def git(directory, *words, stdin=None):
    done = subprocess.run(["git", "-C", directory, *words], input=stdin, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"git {' '.join(words)}: {done.stderr}")
    return done.stdout


def steps():
    """The steps in the order in which the pages show them."""
    for page in sorted((ROOT / "chapters").glob("[0-9][0-9]-*.md")):
        for include in re.findall(r"^```diff,step\n\{\{#include steps/(\S+)\.diff\}\}$", page.read_text(), re.M):
            yield include, (STEPS / f"{include}.diff").read_text()


def origin(chapter):
    """How the names begin of the programs that a chapter's stage is written from, and whether they are the last chapter's."""
    origins = re.search(r"const ORIGINS.*?;\n", (ROOT / "tests/book/diffs.rs").read_text(), re.S)[0]
    other = dict(re.findall(r'\((\d+), "(.+?)"\)', origins)).get(str(chapter))
    return other or f"{chapter - 1:02}_", not other


def start(directory, chapter):
    """Writes the program that a chapter's first step changes: a stage, without anchors and the text over main.rs."""
    mine = directory / "examples/mine"
    shutil.rmtree(mine, ignore_errors=True)
    examples = ROOT / "examples"
    for file in [*examples.glob(f"{origin(chapter)[0]}*/*.rs"), *examples.glob(f"{origin(chapter)[0]}*rs")]:
        mine.mkdir(parents=True, exist_ok=True)
        text = file.read_text()
        for older in re.findall(r'#\[path = "(.+)"\]', text):
            shutil.copy(file.parent / older, mine / pathlib.Path(older).name)
        lines = [line for line in text.splitlines() if not re.match(r"\s*(// ANCHOR|#\[path = )", line)]
        name = file.name if file.parent != examples else "main.rs"
        if name == "main.rs":
            while lines[0].startswith("//!") or not lines[0]:
                lines.pop(0)
            lines.insert(0, "//! My own server.")
        (mine / name).write_text("\n".join(lines) + "\n")


def apply(directory, diff):
    # A file that is removed has its two names and no lines, and git knows no such diff.
    removed = re.compile(r"^--- a/(.+)\n\+\+\+ /dev/null\n(?!@@)", re.M)
    for name in removed.findall(diff):
        (directory / name).unlink()
    diff = removed.sub("", diff)
    if diff:
        git(directory, "apply", "--unsafe-paths", "-", stdin=diff)


def take(until):
    if MINE.exists():
        kept = MINE.with_name("mine.before")
        shutil.rmtree(kept, ignore_errors=True)
        MINE.rename(kept)
        print(f"what was in examples/mine is in {kept.relative_to(ROOT)} now")
    all_steps = list(steps())
    chapter, _, number = until.partition("/")
    chapter = int(chapter or max(name for name, _ in all_steps)[:2])
    start(ROOT, chapter)
    last = f"{chapter:02}/00"
    for name, diff in all_steps:
        if name.startswith(f"{chapter:02}/") and name <= f"{chapter:02}/{int(number or 99):02}":
            apply(ROOT, diff)
            last = name
    print(f"examples/mine is as after step {last}")


def run(name):
    """Builds the program and starts it on a free port; its first line."""
    built = subprocess.run(["cargo", "build", "-q", "--example", "mine"], cwd=ROOT, capture_output=True, text=True)
    if built.returncode:
        sys.exit(f"step {name} does not build:\n{built.stderr}")
    cargo = ["cargo", "run", "-q", "--manifest-path", ROOT / "Cargo.toml", "--example", "mine", "--", "0"]
    # From chapter 9 on, the program reads the list of servers in its directory. No request is sent to them.
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / "servers.txt").write_text("127.0.0.1:11211 1\n")
        program = subprocess.Popen(cargo, cwd=directory, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        line = program.stdout.readline().strip()
        program.kill()
        program.wait()
    if not line.startswith("listening on "):
        sys.exit(f"step {name} prints {line!r}")
    return line


def attempt(first, last):
    if MINE.exists():
        sys.exit("examples/mine exists; move it away first")
    before = None
    for name, diff in steps():
        chapter = int(name[:2])
        if not first <= chapter <= last:
            continue
        if chapter != before and not (before == chapter - 1 and origin(chapter)[1]):
            start(ROOT, chapter)
        before = chapter
        apply(ROOT, diff)
        print(f"step {name}: {run(name)}", flush=True)


def commit(directory, name):
    git(directory, "add", "-A")
    git(directory, "-c", "user.name=steps", "-c", "user.email=steps@localhost", "commit", "-q", "--allow-empty", "-m", name)


def repo(directory):
    directory.mkdir(parents=True)
    git(directory, "init", "-q")
    before = None
    for name, diff in steps():
        if name[:2] != before:
            before = name[:2]
            start(directory, int(before))
            commit(directory, f"{before}/00")
        apply(directory, diff)
        commit(directory, name)
    print(f"now: git -C {directory} rebase -i --root; then: steps.py record {directory}")


def record(directory, chapters):
    commits = git(directory, "log", "--reverse", "--format=%H %s").splitlines()
    before, written = None, 0
    for commit, name in (line.split(" ", 1) for line in commits):
        if int(name[:2]) in chapters and not name.endswith("/00"):
            diff = git(directory, "diff", "--no-color", "--patience", "-U2", before, commit, "--", "examples/mine")
            # Left out of the book: git's own lines over each file's diff, and the lines of a file that is removed.
            kept = [line for line in diff.splitlines() if not re.match(r"diff --git|index |(new|deleted) file", line)]
            text = "\n".join(re.sub(r"^(@@ .* @@).*", r"\1", line) for line in kept) + "\n"
            text = re.sub(r"(\n\+\+\+ /dev/null\n)@@.*\n(?:-(?!-- [a/]).*\n)*", r"\1", text)
            (STEPS / f"{name}.diff").parent.mkdir(exist_ok=True)
            (STEPS / f"{name}.diff").write_text(text)
            written += 1
        before = commit
    print(f"{written} steps written")


def main(words):
    match words:
        case ["take", *rest] if len(rest) < 2:
            take(*rest or [""])
        case ["try", *rest] if len(rest) < 3:
            attempt(int(rest[0]) if rest else 0, int(rest[1]) if len(rest) > 1 else 99)
        case ["repo", directory]:
            repo(pathlib.Path(directory))
        case ["record", directory, *chapters] if chapters:
            record(pathlib.Path(directory), [int(chapter) for chapter in chapters])
        case _:
            sys.exit(__doc__)


main(sys.argv[1:])
