"""The process of a server: its start, its ports, its end."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, Dict, List, Mapping, Optional, Sequence, Type, Union
from types import TracebackType

_Argument = Union[str, "os.PathLike[str]"]


class StartError(RuntimeError):
    """larder didn't start. The message is larder's own."""


def program() -> str:
    """The path of the program: `LARDER_PROGRAM` in the environment, that of this package, or one in the PATH."""
    named = os.environ.get("LARDER_PROGRAM")
    if named:
        return named
    name = "larder" + (sysconfig.get_config_var("EXE") or "")
    places = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    user = "nt_user" if os.name == "nt" else "posix_user"
    places.append(sysconfig.get_path("scripts", user))
    # `pip install --target DIR` puts programs into DIR/bin.
    places.append(str(Path(__file__).parent.parent / "bin"))
    for place in places:
        path = os.path.join(place, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    found = shutil.which(name)
    if found is None:
        raise StartError("the program larder was not found; set LARDER_PROGRAM to its path")
    return found


class Server:
    """A larder on free ports of this machine. It starts with `start` or at the begin of a `with` block.

    `arguments` are further options of `larder serve`, such as `["--memory", "256MiB"]`. No larder.toml is read unless
    `config` names one. `timeout` is the longest time for the start, and for the end, in seconds.
    """

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        config: Optional[_Argument] = None,
        env: Optional[Mapping[str, str]] = None,
        timeout: float = 60.0,
    ) -> None:
        self._arguments = list(arguments)
        self._config = os.fspath(config) if config is not None else os.devnull
        self._env = env
        self._timeout = timeout
        self._process: Optional["subprocess.Popen[str]"] = None
        self._log: Optional[IO[bytes]] = None
        self._reader: Optional[threading.Thread] = None
        self._addresses: Dict[str, str] = {}
        # False in a process that was forked while the server ran.
        self._is_ours = True

    def start(self) -> "Server":
        """Starts the server and waits until it listens. Raises StartError with larder's own message if it doesn't."""
        if self._process is not None:
            raise RuntimeError("it was started already")
        command: List[str] = [program(), "serve", "--config", self._config, "--until-stdin-ends"]
        free = {"--memcached": "127.0.0.1:0", "--resp": "127.0.0.1:0"}
        for option, address in free.items():
            if not any(a == option or a.startswith(option + "=") for a in self._arguments):
                command += [option, address]
        # A file takes the log, so that a server that logs much never waits for a reader.
        self._log = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                command + self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=dict(self._env) if self._env is not None else None,
                universal_newlines=True,
                # A Ctrl-C in the terminal is for the tests, which end the server then.
                start_new_session=True,
            )
        except OSError as error:
            self._close()
            raise StartError(f"{command[0]}: {error}") from error
        _running.add(self)
        try:
            self._wait_until_ready()
        except BaseException:
            # Also a Ctrl-C while it starts.
            self.stop()
            raise
        return self

    def _wait_until_ready(self) -> None:
        """Reads the `listening on` lines, which larder writes at once. A thread goes on reading, so that the pipe never fills."""
        process = self._process
        assert process is not None and process.stdout is not None
        out = process.stdout
        ready, expected = threading.Event(), self._listeners()

        def read() -> None:
            rest = b""
            while piece := os.read(out.fileno(), 1 << 16):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    words = os.fsdecode(line).split(" ", 3)
                    if words[:2] == ["listening", "on"]:
                        self._addresses[words[2]] = words[3]
                # Not before all lines of the piece are read: those of other listeners follow.
                if len(self._addresses) >= expected:
                    ready.set()
            ready.set()

        self._reader = threading.Thread(target=read, name="larder", daemon=True)
        self._reader.start()
        in_time = ready.wait(self._timeout)
        if len(self._addresses) >= expected:
            return
        if in_time:
            # Standard output has ended, so the process ends.
            try:
                process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                pass
        process.kill()
        process.wait()
        message = self.log().strip() or "it printed nothing"
        self._close()
        late = "" if in_time else f"it did not listen within {self._timeout} s: "
        raise StartError(late + message)

    def _listeners(self) -> int:
        """The number of listeners of memcached and RESP that are not turned off."""
        text = " ".join(self._arguments).replace("=", " ").split()
        off = [a for a, b in zip(text, text[1:]) if a in ("--memcached", "--resp") and b == "off"]
        return max(1, 2 - len(off))

    def stop(self) -> None:
        """Ends the server and waits until it has ended. Does nothing if it has, or if it is the parent's of a forked process."""
        if not self._is_ours:
            return
        _running.discard(self)
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.close()
        except OSError:
            pass
        process.terminate()
        try:
            process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(self._timeout)
        process.stdout.close()
        self._close()

    def _leave_to_parent(self) -> None:
        """In a forked process: the server is the parent's. The pipe that ends it may not stay open here."""
        self._is_ours = False
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _close(self) -> None:
        _running.discard(self)
        process, self._process = self._process, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def log(self) -> str:
        """The log so far. Empty after the end."""
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    @property
    def pid(self) -> int:
        """The number of the process."""
        if self._process is None:
            raise RuntimeError("it doesn't run")
        return self._process.pid

    def address(self, protocol: str) -> str:
        """The address of a listener, as larder prints it: of "memcached", "resp", "udp", "unix" or "admin"."""
        if self._process is None:
            raise RuntimeError("it doesn't run")
        return self._addresses[protocol]

    @property
    def memcached_port(self) -> int:
        """The port of memcached's protocols."""
        return int(self.address("memcached").rpartition(":")[2])

    @property
    def resp_port(self) -> int:
        """The port of RESP, Redis's protocol."""
        return int(self.address("resp").rpartition(":")[2])

    def __enter__(self) -> "Server":
        return self.start() if self._process is None else self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<larder_server.Server {self._addresses if self._process is not None else 'stopped'}>"


# The servers of this process.
_running: "weakref.WeakSet[Server]" = weakref.WeakSet()


def _after_fork() -> None:
    for server in list(_running):
        server._leave_to_parent()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
