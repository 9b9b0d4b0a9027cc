"""Apps that go on only when the test lets them: no test of order needs a clock.

A gate is a file that the test creates. The long deadline only keeps a broken
test from hanging.
"""

import os
import threading
import time
from urllib.parse import parse_qs
from wsgiref.validate import validator

# Tells nginx to pass each part on at once; lighttpd does so by configuration.
HEAD = [("Content-Type", "text/plain"), ("X-Accel-Buffering", "no")]


def query(environ, name):
    return parse_qs(environ["QUERY_STRING"])[name][0]


def touch(path):
    with open(path, "a"):
        pass


def wait_for(path):
    deadline = time.monotonic() + 60
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.005)


def order(environ, start_response):
    """Says in a file that its turn has come."""
    with open(query(environ, "file"), "a") as file:
        file.write(query(environ, "n") + "\n")
    time.sleep(0.01)
    start_response("200 OK", HEAD)
    return [b"in order\n"]


def stream(environ, start_response):
    """The second part comes only after the client has told that it saw the first."""
    start_response("200 OK", HEAD)
    yield b"first\n"
    wait_for(query(environ, "gate"))
    yield b"second\n"


def hold(environ, start_response):
    """Says that it runs, then waits, then answers."""
    if "started=" in environ["QUERY_STRING"]:
        touch(query(environ, "started"))
    wait_for(query(environ, "gate"))
    start_response("200 OK", HEAD)
    return [b"held\n"]


class Endless:
    """Never ends by itself; leaves a file behind when it is closed."""

    def __init__(self, closed):
        self.closed = closed

    def __iter__(self):
        return self

    def __next__(self):
        time.sleep(0.002)
        return b"endless\n" * 4096

    def close(self):
        touch(self.closed)


def endless(environ, start_response):
    start_response("200 OK", HEAD)
    return Endless(query(environ, "closed"))


class Lingering:
    """Has said all that it promised, and works on when it is closed."""

    def __init__(self, body, started, gate):
        self.body, self.started, self.gate = body, started, gate

    def __iter__(self):
        return iter(self.body)

    def close(self):
        touch(self.started)
        wait_for(self.gate)


def linger(environ, start_response):
    start_response("200 OK", HEAD + [("Content-Length", "4")])
    return Lingering([b"all\n"], query(environ, "started"), query(environ, "gate"))


def beside(environ, start_response):
    """Answers; a thread of the app's own goes on and leaves a file."""
    gate, left = query(environ, "gate"), query(environ, "left")

    def work():
        wait_for(gate)
        touch(left)

    threading.Thread(target=work, daemon=True).start()
    start_response("200 OK", HEAD)
    return [b"beside\n"]


def pid(environ, start_response):
    start_response("200 OK", HEAD)
    return [str(os.getpid()).encode("ascii")]


@validator
def application(environ, start_response):
    handler = globals()[environ["PATH_INFO"].strip("/")]
    return handler(environ, start_response)
