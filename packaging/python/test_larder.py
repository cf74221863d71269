"""The installed wheel. `check.sh` runs these tests in a fresh environment."""

import os
import signal
import socket
import subprocess
import sys
import time

import larder_server
import pymemcache
import pytest
import redis

PATIENCE = 60.0


def memcached(server: larder_server.Server) -> pymemcache.Client:
    return pymemcache.Client(("127.0.0.1", server.memcached_port), timeout=PATIENCE)


def resp(server: larder_server.Server) -> redis.Redis:
    return redis.Redis(port=server.resp_port, socket_timeout=PATIENCE)


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_a_value_goes_from_one_protocol_to_the_other() -> None:
    with larder_server.Server() as server:
        memcached(server).set("greeting", b"hello", noreply=False)
        assert resp(server).get("greeting") == b"hello"
        port = server.resp_port
    assert refuses(port)


def test_several_run_at_the_same_time() -> None:
    servers = [larder_server.Server().start() for _ in range(5)]
    for number, server in enumerate(servers):
        resp(server).set("number", number)
    assert [resp(s).get("number") for s in servers] == [b"0", b"1", b"2", b"3", b"4"]
    assert len({s.resp_port for s in servers} | {s.memcached_port for s in servers}) == 10
    for server in servers:
        server.stop()
        server.stop()


def test_a_start_that_fails_has_larders_message() -> None:
    with pytest.raises(larder_server.StartError, match="`64 melons` is not a size"):
        larder_server.Server(["--memory=64 melons"]).start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        with pytest.raises(larder_server.StartError, match="another process already does"):
            larder_server.Server(["--memcached", address]).start()


def test_a_program_that_is_missing_is_named(monkeypatch) -> None:
    monkeypatch.setenv("LARDER_PROGRAM", "/nowhere/larder")
    with pytest.raises(larder_server.StartError, match="/nowhere/larder"):
        larder_server.Server().start()


# It ran until the process with the tests ended.
def test_a_start_that_is_interrupted_leaves_no_server(monkeypatch) -> None:
    server = larder_server.Server()
    pids = []

    def interrupted() -> None:
        pids.append(server.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "_wait_until_ready", interrupted)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_options_and_listeners_can_be_chosen() -> None:
    with larder_server.Server(["--memcached", "off", "--memory", "8MiB"]) as server:
        assert resp(server).info("memory")["maxmemory"] == 8 << 20
        with pytest.raises(KeyError):
            server.memcached_port


def test_a_settings_file_beside_the_tests_is_not_read(tmp_path, monkeypatch) -> None:
    (tmp_path / "larder.toml").write_text("nonsense")
    monkeypatch.chdir(tmp_path)
    with larder_server.Server() as server:
        assert resp(server).ping()


def test_the_server_ends_when_its_parent_is_killed() -> None:
    parent = "import larder_server, time; s = larder_server.Server().start(); print(s.pid, s.resp_port, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        _, port = map(int, process.stdout.readline().split())
        assert not refuses(port)
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while not refuses(port):
        assert time.monotonic() < deadline, "it still listens"
        time.sleep(0.01)


# The pipe of the server was open in such a process, too, and `stop` there ended the parent's server.
def test_a_forked_process_neither_ends_the_server_nor_keeps_it() -> None:
    parent = """
import larder_server, os, time
with larder_server.Server() as server:
    child = os.fork()
    if child == 0:
        server.stop()
        time.sleep(600)
    print(child, server.resp_port, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child, port = map(int, process.stdout.readline().split())
        try:
            assert redis.Redis(port=port, socket_timeout=PATIENCE).ping()
            os.kill(process.pid, signal.SIGKILL)
            deadline = time.monotonic() + PATIENCE
            while not refuses(port):
                assert time.monotonic() < deadline, "it still listens"
                time.sleep(0.01)
        finally:
            os.kill(child, signal.SIGKILL)


# The address was read up to its first space.
def test_an_address_is_whole(tmp_path) -> None:
    path = str(tmp_path / "a socket")
    with larder_server.Server(["--unix", path, "--admin", "127.0.0.1:0"]) as server:
        assert server.address("unix") == path
        assert server.address("admin").startswith("127.0.0.1:")


def test_a_server_that_was_killed_can_be_stopped() -> None:
    server = larder_server.Server().start()
    os.kill(server.pid, signal.SIGKILL)
    server.stop()


def test_the_fixture_is_a_server(larder_server) -> None:
    assert resp(larder_server).ping()


def test_the_program_is_installed() -> None:
    out = subprocess.run([larder_server.program(), "--version"], check=True, capture_output=True)
    assert out.stdout.startswith(b"larder ")
