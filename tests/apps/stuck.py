"""Apps that don't come back, each in its own way, on a line marked HERE."""

import os
import socket
import sys
import threading
import time

from waiting import HEAD, query, touch, wait_for


def in_loop(environ, start_response):
    number = 0
    while True: number = (number + 1) % 7  # HERE in_loop


def in_calls(environ, start_response):
    # Frames come and go all the time.
    while True: sorted(range(50), key=lambda n: -n)  # HERE in_calls


def in_sleep(environ, start_response):
    time.sleep(600)  # HERE in_sleep


def in_recv(environ, start_response):
    ours, theirs = socket.socketpair()
    ours.recv(1)  # HERE in_recv
    theirs.close()


def in_lock(environ, start_response):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()  # HERE in_lock


def in_c(environ, start_response):
    # Keeps the interpreter, and looks for no signal.
    sum(range(10**13))  # HERE in_c


def burns(environ, start_response):
    """Has used CPU time, and waits: how much, and for what, the query says."""
    end = time.thread_time() + float(query(environ, "seconds"))
    while time.thread_time() < end:
        pass
    return hold(environ, start_response)


def catches_all(environ, start_response):
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass


def begun(environ, start_response):
    start_response("200 OK", HEAD)
    yield b"begun\n"
    time.sleep(600)


def hold(environ, start_response):
    """Waits for a gate, then says which process it was."""
    touch(query(environ, "started"))
    wait_for(query(environ, "gate"))
    return pid(environ, start_response)


def segfault(environ, start_response):
    import ctypes

    ctypes.string_at(0)


def endless(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    while True:
        yield b"x" * 65536


def pid(environ, start_response):
    start_response("200 OK", HEAD)
    return [str(os.getpid()).encode()]


def application(environ, start_response):
    case = getattr(sys.modules[__name__], environ["PATH_INFO"].strip("/"))
    return case(environ, start_response)
