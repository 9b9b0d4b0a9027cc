"""Requests that run at the same time."""

import sys
import threading
import time

from dispatch import by_path, ok

BARRIER = threading.Barrier(4, timeout=20)


def together(environ, start_response):
    """Returns only when four of them run."""
    BARRIER.wait()
    ok(start_response)
    return [threading.current_thread().name.encode()]


def flags(environ, start_response):
    ok(start_response)
    flags = [environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"]]
    return [repr(flags).encode()]


def echo(environ, start_response):
    time.sleep(0.001)
    ok(start_response)
    return [environ["HTTP_X_NUMBER"].encode() + b":" + environ["wsgi.input"].read()]


application = by_path(sys.modules[__name__])
