"""What apps do with environ["flupd.cancelled"]."""

import os
import sys
import threading
import time

from dispatch import by_path, ok

called = []
kept = []


def threads():
    return sorted(thread.name for thread in threading.enumerate())


def asks(environ, start_response):
    """Says that it runs, and goes on until nobody waits for it."""
    cancelled = environ["flupd.cancelled"]
    write = ok(start_response)
    write(repr((cancelled(), threads())).encode())
    while not cancelled():
        time.sleep(0.001)
    return []


def waits(environ, start_response):
    """Is woken by its callbacks out of a wait that nothing else ends."""
    called.clear()
    over = threading.Event()
    cancelled = environ["flupd.cancelled"]

    @cancelled.on_cancel
    def first():
        called.append(("first", threading.current_thread().name, cancelled()))

    assert first() is None and called.pop()[0] == "first"  # it decorates
    cancelled.on_cancel(over.set)
    ok(start_response)(b"waiting")
    assert over.wait(60)
    late = threading.Event()
    cancelled.on_cancel(late.set)
    assert late.wait(60)
    called.append("over")
    return []


def fails(environ, start_response):
    over = threading.Event()
    environ["flupd.cancelled"].on_cancel(lambda: 1 / 0)
    environ["flupd.cancelled"].on_cancel(over.set)
    ok(start_response)(b"waiting")
    assert over.wait(60)
    return []


def leaves_one_running(environ, start_response):
    """Returns while its callback runs."""
    called.clear()
    begun = threading.Event()

    def slow():
        begun.set()
        time.sleep(0.3)
        called.append("slow")

    environ["flupd.cancelled"].on_cancel(slow)
    ok(start_response)(b"waiting")
    assert begun.wait(60)
    return []


def registers(environ, start_response):
    """Ends before its client goes."""
    environ["flupd.cancelled"].on_cancel(lambda: called.append("never"))
    called.clear()
    kept.append(environ["flupd.cancelled"])
    ok(start_response)
    return [b"registered"]


def keeps(environ, start_response):
    """What is kept past the request is of no use."""
    ok(start_response)
    try:
        kept[-1].on_cancel(print)
    except OSError as error:
        return [repr((kept[-1](), str(error), environ["flupd.cancelled"]())).encode()]


def wrong(environ, start_response):
    ok(start_response)
    try:
        environ["flupd.cancelled"].on_cancel(1)
    except TypeError as error:
        return [str(error).encode()]


def child(environ, start_response):
    cancelled = environ["flupd.cancelled"]
    pid = os.fork()
    if pid == 0:
        said = []
        for ask in (cancelled, lambda: cancelled.on_cancel(print)):
            try:
                ask()
            except OSError as error:
                said.append(str(error))
        os._exit(said != ["the request belongs to the parent process"] * 2)
    ok(start_response)
    return [repr(os.waitpid(pid, 0)[1]).encode()]


def exits(environ, start_response):
    environ["flupd.cancelled"].on_cancel(lambda: sys.exit(6))
    ok(start_response)(b"waiting")
    while not environ["flupd.cancelled"]():
        time.sleep(0.001)
    time.sleep(0.1)
    return []


def what_was_called(environ, start_response):
    ok(start_response)
    return [repr((called, threads())).encode()]


application = by_path(sys.modules[__name__])
