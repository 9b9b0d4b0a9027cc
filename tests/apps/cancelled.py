"""Apps that care whether somebody still waits for their answer."""

import os
import threading
import time
from urllib.parse import parse_qs
from wsgiref.validate import validator

# Tells nginx to pass each part on at once; lighttpd does so by configuration.
HEAD = [("Content-Type", "text/plain"), ("X-Accel-Buffering", "no")]


def touch(path):
    with open(path, "a"):
        pass


def query(environ):
    return {name: value for name, (value,) in parse_qs(environ["QUERY_STRING"]).items()}


class Closed:
    """Is closed once."""

    def __init__(self, parts, path):
        self.parts, self.path = parts, path

    def __iter__(self):
        return iter(self.parts)

    def close(self):
        os.mkdir(self.path)  # fails the second time


def callback(environ, start_response):
    """Computes nothing, sends nothing: only the callback can end it."""
    asked = query(environ)
    gone = threading.Event()
    environ["flupd.cancelled"].on_cancel(gone.set)
    touch(asked["started"])
    told = gone.wait(60)
    touch(asked["told" if told else "untold"])
    start_response("200 OK", HEAD)
    return Closed([b"too late\n"], asked["closed"])


def asking(environ, start_response):
    """Works in small steps."""
    asked = query(environ)
    touch(asked["started"])
    deadline = time.monotonic() + 60
    while not environ["flupd.cancelled"]():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)
    touch(asked["told"])
    start_response("200 OK", HEAD)
    return Closed([b"too late\n"], asked["closed"])


def streaming(environ, start_response):
    """Sends until nobody waits for it, and would send for a minute."""
    start_response("200 OK", HEAD)
    cancelled = environ["flupd.cancelled"]
    deadline = time.monotonic() + 60
    try:
        while not cancelled() and time.monotonic() < deadline:
            yield b"streaming\n" * 4096
            time.sleep(0.002)
    finally:
        if cancelled():
            touch(query(environ)["told"])


def late(environ, start_response):
    """Sends nothing until the gate opens, then until nobody waits for it."""
    asked = query(environ)
    touch(asked["started"])
    while not os.path.exists(asked["gate"]):
        if environ["flupd.cancelled"]():
            touch(asked["early"])
            break
        time.sleep(0.005)
    yield from streaming(environ, start_response)


def counts(environ, start_response):
    """Leaves a mark, and waits."""
    asked = query(environ)
    touch(asked["mark"])
    while not os.path.exists(asked["gate"]):
        time.sleep(0.005)
    start_response("200 OK", HEAD)
    return [b"counted\n"]


def ready(environ, start_response):
    start_response("200 OK", HEAD)
    return [b"ready\n"]


@validator
def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
