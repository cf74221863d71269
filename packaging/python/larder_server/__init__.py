"""larder for tests: a cache server that speaks memcached and Redis, on free ports, for as long as a `with` block runs.

    import larder_server

    with larder_server.Server() as server:
        client = pymemcache.Client(("127.0.0.1", server.memcached_port))

The server is a process of its own. It ends with the block, and also if this process ends or is killed, because it
watches a pipe that the system closes then.
"""

from ._server import Server, StartError, program

__all__ = ["Server", "StartError", "program"]
