"""Answers, good and bad."""

import sys

from dispatch import by_path, ok

CLOSED = []


class Body:
    """An iterable that notes its close()."""

    def __init__(self, chunks, name="body"):
        self.chunks = iter(chunks)
        self.name = name

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)

    def close(self):
        CLOSED.append(self.name)


def closed(environ, start_response):
    """What has been closed since this was asked last."""
    ok(start_response)
    names = ",".join(CLOSED)
    CLOSED.clear()
    return [names.encode()]


def one(environ, start_response):
    ok(start_response)
    return [b"one"]


def several(environ, start_response):
    ok(start_response)
    return (b"a", b"", b"bc")


def empty(environ, start_response):
    ok(start_response)
    return []


def empty_generator(environ, start_response):
    ok(start_response)
    return Body([])


def large(environ, start_response):
    ok(start_response)
    return [b"x" * 300_000, b"y" * 10]


def generator(environ, start_response):
    ok(start_response)
    return Body([b"a", b"", b"bc"])


def lazy_start(environ, start_response):
    """start_response is called by the first next()."""
    ok(start_response)
    yield b"lazy"


def list_subclass(environ, start_response):
    class Chunks(list):
        def close(self):
            CLOSED.append("list")

    ok(start_response)
    return Chunks([b"sub", b"class"])


def bytes_subclass(environ, start_response):
    class Text(bytes):
        pass

    ok(start_response)
    return [Text(b"sub")]


def own_length(environ, start_response):
    ok(start_response, ("Content-Length", "3"))
    return Body([b"a", b"bc"])


def too_long(environ, start_response):
    def chunks():
        yield b"ab"
        yield b"cdef"
        CLOSED.append("went on")
        yield b"g"

    ok(start_response, ("Content-Length", "3"))
    return Body(chunks())


def too_long_list(environ, start_response):
    ok(start_response, ("Content-Length", "3"))
    return [b"ab", b"cdef", b"g"]


def too_short(environ, start_response):
    ok(start_response, ("Content-Length", "5"))
    return Body([b"abc"])


def too_short_list(environ, start_response):
    ok(start_response, ("Content-Length", "5"))
    return [b"abc"]


def nothing_of_some(environ, start_response):
    ok(start_response, ("Content-Length", "5"))
    return []


def no_content(environ, start_response):
    start_response("204 No Content", [("Content-Length", "4")])
    return Body([b"body"])


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"x"')])
    return [b"body"]


def endless(environ, start_response):
    def chunks():
        while True:
            yield b"x" * 1000

    ok(start_response)
    return Body(chunks())


def written(environ, start_response):
    write = ok(start_response)
    write(b"written ")
    write(b"")
    return [b"returned"]


def only_written(environ, start_response):
    write = ok(start_response, ("Content-Length", "7"))
    write(b"written, and more")
    return []


def replaced(environ, start_response):
    """An error after start_response, before any body: the head is replaced."""
    ok(start_response)
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("503 Sorry", [("X-Error", "yes")], sys.exc_info())
    return [b"sorry"]


def replaced_too_late(environ, start_response):
    write = ok(start_response)
    write(b"begun")
    try:
        raise ValueError("too late")
    except ValueError:
        start_response("500 No", [], exc_info=sys.exc_info())
    return [b"never"]


def headers(environ, start_response):
    start_response(
        "299 Caf\xe9",
        (
            ("X-Latin", "\xe9"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("Connection", "close"),
            ("transfer-encoding", "chunked"),
            ("Status", "500 forged"),
        ),
    )
    return [b"-"]


application = by_path(sys.modules[__name__])
