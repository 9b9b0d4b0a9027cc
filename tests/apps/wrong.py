"""Apps that break a rule or break down. wsgiref's validator would step in first,
so it is not used here: what counts is what flupd itself makes of them."""

import ctypes
import os
import sys
import time
from urllib.parse import parse_qs

PLAIN = [("Content-Type", "text/plain")]


class Mishap(Exception):
    """A name that a test can look for in a log."""


def wait_for_gate(environ):
    """Returns once the test has created the file that the query names."""
    gate = parse_qs(environ["QUERY_STRING"]).get("gate")
    while gate and not os.path.exists(gate[0]):
        time.sleep(0.005)


def hello(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello\n"]


def raises(environ, start_response):
    raise Mishap("before the head")


def raises_in_iteration(environ, start_response):
    """start_response was called, but nothing has been sent yet."""
    start_response("200 OK", PLAIN)
    raise Mishap("before the first part")
    yield b"never"


def raises_late(environ, start_response):
    start_response("200 OK", PLAIN + [("X-Accel-Buffering", "no")])
    yield b"begun\n" * 5000
    wait_for_gate(environ)
    raise Mishap("after the head")


def raises_late_with_length(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "1000000"), ("X-Accel-Buffering", "no")])
    yield b"begun\n" * 5000
    wait_for_gate(environ)
    raise Mishap("after the head")


def longer(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "5")])
    return [b"123", b"456", b"789"]


def shorter(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "100000")])
    return [b"123"]


def no_start(environ, start_response):
    return [b"who am I?"]


def started_twice(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("200 OK", PLAIN)
    return [b"twice"]


def restart_after_output(environ, start_response):
    """exc_info after the head has gone must raise that very exception."""
    write = start_response("200 OK", PLAIN + [("X-Accel-Buffering", "no")])
    write(b"begun\n" * 5000)
    wait_for_gate(environ)
    try:
        raise Mishap("after the head")
    except Mishap:
        start_response("500 Oh No", PLAIN, sys.exc_info())
    return [b"not reached"]


def split_value(environ, start_response):
    start_response("200 OK", PLAIN + [("X-Split", "a\r\nSet-Cookie: stolen=1")])
    return [b"split"]


def split_name(environ, start_response):
    start_response("200 OK", PLAIN + [("X-Split: a\r\nX-Other", "b")])
    return [b"split"]


def nul_value(environ, start_response):
    start_response("200 OK", PLAIN + [("X-Nul", "a\0b")])
    return [b"nul"]


def split_status(environ, start_response):
    start_response("200 OK\r\nX-Split: 1", PLAIN)
    return [b"split"]


def bad_status(environ, start_response):
    start_response("OK", PLAIN)
    return [b"no number"]


def wide_header(environ, start_response):
    """Not latin-1, so not a native string in the sense of PEP 3333."""
    start_response("200 OK", PLAIN + [("X-Wide", "\u20ac")])
    return [b"wide"]


def text_body(environ, start_response):
    start_response("200 OK", PLAIN)
    return ["str, not bytes"]


def none_body(environ, start_response):
    start_response("200 OK", PLAIN)
    return None


def body_with_204(environ, start_response):
    start_response("204 No Content", [])
    return [b"nobody must see this"]


def sys_exit(environ, start_response):
    sys.exit(3)


def keyboard_interrupt(environ, start_response):
    raise KeyboardInterrupt


def os_exit(environ, start_response):
    os._exit(7)


def segfault(environ, start_response):
    ctypes.string_at(0)


def file(environ, start_response):
    """A real file through wsgi.file_wrapper, from its present position on."""
    source = open(__file__, "rb")
    source.seek(3)
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](source)


def pid(environ, start_response):
    start_response("200 OK", PLAIN)
    return [str(os.getpid()).encode("ascii")]


def request_id(environ, start_response):
    start_response("200 OK", PLAIN)
    return [environ.get("REQUEST_ID", "none").encode("ascii")]


def application(environ, start_response):
    handler = globals()[environ["PATH_INFO"].strip("/").replace("-", "_")]
    return handler(environ, start_response)
