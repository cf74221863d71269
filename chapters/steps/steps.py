#!/usr/bin/env python3
"""The steps of the book's own program, taken or changed. Run it in the checkout.

  steps.py take [CHAPTER[/STEP]]   brings examples/mine to the state after this step (after all of them without one)
  steps.py try [FROM [TO]]         takes the steps of these chapters one by one, as a reader does: applies each step's
                                   diff as its page shows it, builds, starts the program, and waits for its first line
  steps.py repo DIR                makes a git repository of the steps, one commit each, to change them by git rebase
  steps.py record DIR              writes the steps anew from the commits of such a repository

Only git and cargo are needed. The tests hold the steps to what the stages are: `cargo test --test book steps`.
"""

import pathlib
import re
import shutil
import subprocess
import sys

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


def apply(directory, diff):
    git(directory, "apply", "--unsafe-paths", "-", stdin=diff)


def take(until):
    if MINE.exists():
        kept = MINE.with_name("mine.before")
        shutil.rmtree(kept, ignore_errors=True)
        MINE.rename(kept)
        print(f"what was in examples/mine is in {kept.relative_to(ROOT)} now")
    last = None
    chapter, _, number = until.partition("/")
    wanted = f"{int(chapter):02}/{int(number):02}" if number else f"{int(chapter):02}/99" if chapter else "99/99"
    for name, diff in steps():
        if name > wanted:
            break
        apply(ROOT, diff)
        last = name
    print(f"examples/mine is as after step {last}")


def run(name):
    """Builds the program and starts it on a free port; its first line."""
    built = subprocess.run(["cargo", "build", "-q", "--example", "mine"], cwd=ROOT, capture_output=True, text=True)
    if built.returncode:
        sys.exit(f"step {name} does not build:\n{built.stderr}")
    program = subprocess.Popen(["cargo", "run", "-q", "--example", "mine", "--", "0"], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = program.stdout.readline().strip()
    program.kill()
    program.wait()
    if not line.startswith("listening on "):
        sys.exit(f"step {name} prints {line!r}")
    return line


def attempt(first, last):
    if MINE.exists():
        sys.exit("examples/mine exists; move it away first")
    for name, diff in steps():
        chapter = int(name[:2])
        if chapter > last:
            break
        apply(ROOT, diff)
        if chapter >= first:
            print(f"step {name}: {run(name)}", flush=True)


def repo(directory):
    directory.mkdir(parents=True)
    git(directory, "init", "-q")
    for name, diff in steps():
        apply(directory, diff)
        git(directory, "add", "-A")
        git(directory, "-c", "user.name=steps", "-c", "user.email=steps@localhost", "commit", "-q", "-m", name)
    print(f"now: git -C {directory} rebase -i --root; then: steps.py record {directory}")


def record(directory):
    commits = git(directory, "log", "--reverse", "--format=%H %s").splitlines()
    empty = git(directory, "hash-object", "-t", "tree", "/dev/null").strip()
    before = empty
    for commit, name in (line.split(" ", 1) for line in commits):
        diff = git(directory, "diff", "--no-color", "-U2", before, commit, "--", "examples/mine")
        # What the book doesn't need: git's own lines over each file's diff.
        kept = [line for line in diff.splitlines() if not re.match(r"diff --git|index |(new|deleted) file", line)]
        (STEPS / f"{name}.diff").parent.mkdir(exist_ok=True)
        (STEPS / f"{name}.diff").write_text("\n".join(re.sub(r"^(@@ .* @@).*", r"\1", line) for line in kept) + "\n")
        before = commit
    print(f"{len(commits)} steps written")


def main(words):
    match words:
        case ["take", *rest] if len(rest) < 2:
            take(*rest or [""])
        case ["try", *rest] if len(rest) < 3:
            attempt(int(rest[0]) if rest else 0, int(rest[1]) if len(rest) > 1 else 99)
        case ["repo", directory]:
            repo(pathlib.Path(directory))
        case ["record", directory]:
            record(pathlib.Path(directory))
        case _:
            sys.exit(__doc__)


main(sys.argv[1:])
