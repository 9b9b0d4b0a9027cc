"""Apps that exit, fork, and hear of the end."""

import atexit
import os
import sys
import time

from dispatch import by_path, ok
from responses import CLOSED, Body, closed  # noqa: F401

atexit.register(lambda: print("atexit ran", flush=True))


def pid(environ, start_response):
    ok(start_response)
    return [str(os.getpid()).encode()]


def exits(environ, start_response):
    sys.exit(3)


def exits_plainly(environ, start_response):
    sys.exit()


def exits_with_text(environ, start_response):
    sys.exit("the reason")


def exits_in_body(environ, start_response):
    def chunks():
        yield b"begun"
        sys.exit(4)

    ok(start_response)
    return Body(chunks())


def exits_in_close(environ, start_response):
    class Exits(Body):
        def close(self):
            sys.exit(5)

    ok(start_response)
    return Exits([b"whole"])


def crashes(environ, start_response):
    import ctypes

    environ["wsgi.errors"].write("last words\n")
    ctypes.string_at(0)


def leaves_at_once(environ, start_response):
    os._exit(8)


def slow(environ, start_response):
    ok(start_response)
    time.sleep(0.5)
    yield b"slow "
    time.sleep(0.5)
    yield b"but whole"


def ticks(environ, start_response):
    def chunks():
        while True:
            yield b"tick"
            time.sleep(0.005)

    ok(start_response)
    return Body(chunks(), "ticks")


def writes(environ, start_response):
    write = ok(start_response)
    try:
        while True:
            write(b"tick")
            time.sleep(0.005)
    except OSError as error:
        CLOSED.append(type(error).__name__)
        raise


def child_stays(environ, start_response):
    """A child that lives on, with copies of all descriptors."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    ok(start_response)
    return [str(child).encode()]


def child(environ, start_response):
    """The child returns into the worker's loop like its parent."""
    child = os.fork()
    if child == 0:
        environ["wsgi.errors"].write("a child's word\n")
        ok(start_response)
        return [b"from the child"]
    _, status = os.waitpid(child, 0)
    ok(start_response)
    return [b"child left with %d" % os.WEXITSTATUS(status)]


def child_raises(environ, start_response):
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    _, status = os.waitpid(child, 0)
    ok(start_response)
    return [b"child left with %d" % os.WEXITSTATUS(status)]


def child_exits(environ, start_response):
    child = os.fork()
    if child == 0:
        sys.exit(7)
    _, status = os.waitpid(child, 0)
    ok(start_response)
    return [b"child left with %d" % os.WEXITSTATUS(status)]


def child_in_body(environ, start_response):
    def chunks():
        yield b"begun, "
        child = os.fork()
        if child == 0:
            yield b"from the child"
        _, status = os.waitpid(child, 0)
        yield b"child left with %d" % os.WEXITSTATUS(status)

    ok(start_response)
    return chunks()


def child_writes(environ, start_response):
    write = ok(start_response)
    child = os.fork()
    if child == 0:
        try:
            write(b"from the child")
        except OSError:
            sys.exit(9)
    _, status = os.waitpid(child, 0)
    return [b"child left with %d" % os.WEXITSTATUS(status)]


application = by_path(sys.modules[__name__])
