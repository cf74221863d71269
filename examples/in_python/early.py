"""A first try at a memcached server: `python3 early.py PORT`. It has faults, and chapter 4 explains them."""

import socketserver
import sys

ITEMS = {}


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            for line in self.rfile:
                self.wfile.write(self.answer(line.split()))
        except ConnectionError:
            pass  # the client has disconnected

    def answer(self, words):
        match words:
            case [b"set", key, flags, exptime, length, *_]:
                ITEMS[key] = (flags, self.rfile.readline().rstrip(b"\r\n"))
                return b"STORED\r\n"
            case [b"get", *keys]:
                found = [(key, *ITEMS[key]) for key in keys if key in ITEMS]
                values = [b"VALUE %s %s %d\r\n%s\r\n" % (key, flags, len(value), value)
                          for key, flags, value in found]
                return b"".join(values) + b"END\r\n"
            case [b"delete", key, *_]:
                return b"DELETED\r\n" if ITEMS.pop(key, None) else b"NOT_FOUND\r\n"
            case _:
                return b"ERROR\r\n"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1])), Connection) as server:
        print("listening on memcached %s:%d" % server.server_address, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
