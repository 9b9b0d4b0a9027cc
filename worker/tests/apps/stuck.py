"""Apps that don't come back, each in its own way, on a line marked HERE."""

import ctypes
import re
import socket
import sys
import threading
import time

import flupd

from dispatch import by_path, ok


def hello(environ, start_response):
    ok(start_response)
    return [b"hello"]


def busy(environ, start_response):
    total = 0
    for number in range(1000):
        total += number
        time.sleep(0)
    ok(start_response)
    return [str(total).encode()]


def in_loop(environ, start_response):
    number = 0
    while True:
        number = (number + 1) % 7; number *= 2  # HERE in_loop


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


def in_regex(environ, start_response):
    re.match("(a+)+$", "a" * 40 + "b")  # HERE in_regex


def in_c(environ, start_response):
    # Holds the interpreter; a signal ends the sleep early.
    while ctypes.PyDLL(None).sleep(600) > 0: pass  # HERE in_c


def in_recursion(environ, start_response):
    def deeper(depth):
        return deeper(depth - 1) if depth else time.sleep(600)  # HERE in_recursion

    deeper(150)


def in_body(environ, start_response):
    ok(start_response)
    yield b"begun"
    time.sleep(600)  # HERE in_body


def in_close(environ, start_response):
    class Body(list):
        def close(self):
            time.sleep(600)  # HERE in_close

    ok(start_response)
    return Body([b"whole"])


def catches_all(environ, start_response):
    try:
        time.sleep(600)
    except Exception:
        ok(start_response)
        return [b"caught"]


def answers(environ, start_response):
    try:
        for _ in range(6000):
            time.sleep(0.1)
    except flupd.RequestTimeout as error:
        ok(start_response)
        return [f"{type(error).__bases__[0].__name__}: {error}".encode()]


def refuses(environ, start_response):
    begun = time.monotonic()
    while time.monotonic() - begun < 0.5:
        try:
            time.sleep(0.01)
        except flupd.RequestTimeout:
            pass
    ok(start_response)
    return [b"refused"]


def counts(environ, start_response):
    told, begun = 0, time.monotonic()
    while time.monotonic() - begun < 0.3:
        try:
            time.sleep(0.01)
        except flupd.RequestTimeout:
            told += 1
    ok(start_response)
    return [str(told).encode()]


class Closing:
    """A body that says when it was closed."""

    def __init__(self, chunks):
        self.chunks = chunks

    def __iter__(self):
        return self.chunks

    def close(self):
        print("closed", flush=True)


def begins(environ, start_response):
    def chunks():
        yield b"begun"
        while True:
            time.sleep(0.01)

    ok(start_response)
    return Closing(chunks())


def short(environ, start_response):
    number = 0
    for _ in range(2000):
        number += 1
        if number % 500 == 0:
            time.sleep(0)
    ok(start_response)
    return [str(number).encode()]


application = by_path(sys.modules[__name__])
