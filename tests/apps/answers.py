"""Correct answers of every shape, one a path, all under wsgiref's validator."""

import io
from urllib.parse import parse_qs
from wsgiref.validate import validator

PLAIN = [("Content-Type", "text/plain")]


def query(environ, name):
    return parse_qs(environ["QUERY_STRING"])[name][0]


def hello(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello\n"]


def repeat(environ, start_response):
    """The query's token and the body, so that a mixed-up answer shows."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", PLAIN)
    return [query(environ, "token").encode("ascii"), b"|", body]


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return []


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"v1"')])
    return []


def created(environ, start_response):
    start_response("201 Created", PLAIN + [("Location", "/things/1"), ("X-Method", environ["REQUEST_METHOD"])])
    return [b"made\n"]


def redirect(environ, start_response):
    start_response("302 Found", PLAIN + [("Location", "/elsewhere?x=1")])
    return [b"over there\n"]


def moved(environ, start_response):
    start_response(query(environ, "status") + " Moved", PLAIN + [("Location", "/elsewhere")])
    return [b"over there\n"]


def status(environ, start_response):
    start_response(query(environ, "status") + " Said", PLAIN)
    return [b"said by the app\n"]


def accel(environ, start_response):
    start_response("200 OK", PLAIN + [("X-Accel-Redirect", query(environ, "file"))])
    return []


def sendfile(environ, start_response):
    start_response("200 OK", PLAIN + [("X-Sendfile", query(environ, "file"))])
    return []


def cookies(environ, start_response):
    start_response("200 OK", PLAIN + [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/")])
    return [environ.get("HTTP_COOKIE", "").encode("latin-1")]


def many_headers(environ, start_response):
    """`count` headers, and one long one: with 100 about 11 KiB of head."""
    count = int(query(environ, "count"))
    headers = [(f"X-Many-{n}", f"value {n} " + "v" * 50) for n in range(count)]
    start_response("200 OK", PLAIN + headers + [("X-Long", "l" * 3000)])
    return [b"look at the head\n"]


def download(environ, start_response):
    """`size` bytes: numbered lines of 16 bytes, made 64 KiB at a time."""
    size = int(query(environ, "size"))
    headers = [("Content-Type", "application/octet-stream")]
    if "known" in environ["QUERY_STRING"]:
        headers.append(("Content-Length", str(size)))
    start_response("200 OK", headers)
    for block in range(size // 65536):
        yield (b"%015d\n" % block) * 4096


def written(environ, start_response):
    """The old way of PEP 3333: the write() callable, then the rest returned."""
    write = start_response("200 OK", PLAIN)
    write(b"one ")
    write(b"two ")
    return [b"three\n"]


def file(environ, start_response):
    """A file-like object through wsgi.file_wrapper."""
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789" * 100_000), 8192)


class Closing:
    """An iterable that leaves a file behind when it is closed."""

    def __init__(self, path):
        self.path = path
        self.parts = iter([b"part one ", b"part two\n"])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.parts)

    def close(self):
        with open(self.path, "x"):
            pass


def closing(environ, start_response):
    start_response("200 OK", PLAIN)
    return Closing(query(environ, "closed"))


def generator(environ, start_response):
    """Calls start_response only when the first part is asked for."""
    start_response("200 OK", PLAIN)
    try:
        yield b""
        yield b"from a "
        yield b""
        yield b"generator\n"
    finally:
        with open(query(environ, "closed"), "x"):
            pass


def errors(environ, start_response):
    """Two lines to wsgi.errors, one of them in pieces."""
    stream = environ["wsgi.errors"]
    stream.write("the first line of ")
    stream.write("wsgi.errors\n")
    stream.writelines(["the second: gr\u00fc\u00dfe\n"])
    stream.flush()
    start_response("200 OK", PLAIN)
    return [b"told\n"]


def lines(environ, start_response):
    """The body as readline, readlines and iteration see it."""
    source = environ["wsgi.input"]
    parts = [source.readline(), source.readline(3), source.readline()]
    parts += source.readlines(1)
    parts += list(source)
    start_response("200 OK", PLAIN)
    return [b"|".join(parts)]


def late_start(environ, start_response):
    """A second start_response with exc_info replaces the head not yet sent."""
    start_response("200 OK", PLAIN)
    try:
        raise ValueError("found out late")
    except ValueError:
        import sys

        start_response("409 Conflict", PLAIN, sys.exc_info())
    return [b"replaced\n"]


@validator
def application(environ, start_response):
    handler = globals()[environ["PATH_INFO"].strip("/").replace("-", "_")]
    return handler(environ, start_response)
