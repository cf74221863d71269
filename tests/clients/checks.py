"""What the client scripts share: named checks, each on an emptied server.

A script is started as `script.py ADDRESS`, where ADDRESS is HOST:PORT or the path of a Unix socket. It runs every
check, prints `ok NAME` or the traceback, and exits with 1 if one failed. There is nothing of larder in the scripts:
they pass against the real servers too, which is what proves them right. If the variable TLS_CA names a file of
authorities, the clients use TLS.
"""

import os
import ssl
import sys
import time
import traceback

PATIENCE = 60.0

_checks = []


def check(function):
    """Registers a check; its name says what a user sees."""
    _checks.append(function)
    return function


def until(condition, what):
    """Waits until the condition holds, at most PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.005)


def raises(error, text, call):
    """Asserts that the call fails with this error, whose message contains the text."""
    try:
        result = call()
    except error as raised:
        assert text in str(raised), f"expected {text!r} in {raised!r}"
        return
    raise AssertionError(f"expected {error.__name__}, got {result!r}")


def equal(got, expected):
    """Asserts equality and shows both sides."""
    assert got == expected, f"expected {expected!r}, got {got!r}"


def run(*arguments):
    """Runs every check with the arguments and ends the process."""
    failed = 0
    for function in _checks:
        name = function.__name__.replace("_", " ")
        try:
            function(*arguments)
            print(f"ok {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    sys.exit(1 if failed else 0)


def address():
    """The address given on the command line: a pair for TCP, a text for a Unix socket."""
    text = sys.argv[1]
    if "/" in text:
        return text
    host, port = text.rsplit(":", 1)
    return (host, int(port))


def authorities():
    """The file of authorities if clients use TLS, else None."""
    return os.environ.get("TLS_CA")


def tls_context():
    """What clients trust if they use TLS, else None."""
    return ssl.create_default_context(cafile=authorities()) if authorities() else None
