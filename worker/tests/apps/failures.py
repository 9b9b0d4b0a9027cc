"""Apps that fail, each in its own way."""

import sys

from dispatch import by_path, ok
from responses import CLOSED, Body, closed  # noqa: F401


def raises(environ, start_response):
    raise ValueError("the app's own fault")


def raises_after_start(environ, start_response):
    ok(start_response)
    raise ValueError("after start_response")


def raises_at_first(environ, start_response):
    def chunks():
        raise ValueError("at the first chunk")
        yield b""

    ok(start_response)
    return Body(chunks())


def raises_later(environ, start_response):
    def chunks():
        yield b"begun"
        raise ValueError("in the middle")

    ok(start_response)
    return Body(chunks())


def raises_at_close(environ, start_response):
    class Bad(Body):
        def close(self):
            super().close()
            raise ValueError("in close")

    ok(start_response)
    return Bad([b"whole"])


def interrupt(environ, start_response):
    raise KeyboardInterrupt


def generator_exit(environ, start_response):
    raise GeneratorExit


def own_base_exception(environ, start_response):
    class Odd(BaseException):
        def __str__(self):
            raise RuntimeError("no text")

    raise Odd


def surrogates(environ, start_response):
    raise ValueError("lone \udcff surrogate")


def never_starts(environ, start_response):
    return [b"body"]


def never_starts_empty(environ, start_response):
    return []


def never_starts_generator(environ, start_response):
    return Body([b"body"])


def returns_none(environ, start_response):
    ok(start_response)


def returns_bytes(environ, start_response):
    ok(start_response)
    return b"body"


def returns_str(environ, start_response):
    ok(start_response)
    return "body"


def list_of_str(environ, start_response):
    ok(start_response)
    return ["body"]


def generator_of_str(environ, start_response):
    ok(start_response)
    return Body(["body"])


def str_later(environ, start_response):
    ok(start_response)
    return Body([b"begun", "body"])


def starts_twice(environ, start_response):
    ok(start_response)
    ok(start_response)
    return [b""]


def bad_status(environ, start_response):
    start_response("OK", [])
    return [b""]


def status_bytes(environ, start_response):
    start_response(b"200 OK", [])
    return [b""]


def split_header(environ, start_response):
    ok(start_response, ("X-A", "a\r\nX-Forged: b"))
    return [b""]


def bad_name(environ, start_response):
    ok(start_response, ("X A", "b"))
    return [b""]


def outside_latin1(environ, start_response):
    ok(start_response, ("X-A", "\u20ac"))
    return [b""]


def bytes_value(environ, start_response):
    ok(start_response, ("X-A", b"b"))
    return [b""]


def triple(environ, start_response):
    ok(start_response, ("X-A", "b", "c"))
    return [b""]


def dict_of_headers(environ, start_response):
    start_response("200 OK", {"X-A": "b"})
    return [b""]


def bad_length(environ, start_response):
    ok(start_response, ("Content-Length", "-1"))
    return [b""]


def two_lengths(environ, start_response):
    ok(start_response, ("Content-Length", "1"), ("content-length", "1"))
    return [b"a"]


def writes_str(environ, start_response):
    ok(start_response)("body")
    return []


application = by_path(sys.modules[__name__])
