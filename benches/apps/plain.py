"""The apps without a framework, by path. Imports nothing that costs memory."""

from time import perf_counter, sleep

TEXT = [("Content-Type", "text/plain")]
HELLO = TEXT + [("Content-Length", "6")]
LARGE = b"x" * (100 * 1024)
CHUNK = b"x" * (16 * 1024)
LARGE_HEAD = TEXT + [("Content-Length", str(len(LARGE)))]
CHUNKS_HEAD = TEXT + [("Content-Length", str(64 * len(CHUNK)))]


def hello(environ, start_response):
    start_response("200 OK", HELLO)
    return [b"hello\n"]


def table(environ, start_response):
    rows = [f"<tr><td>{name}<td>{value}\n" for name, value in environ.items()]
    body = "".join(rows).encode()
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))])
    return [body]


def large(environ, start_response):
    start_response("200 OK", LARGE_HEAD)
    return [LARGE]


def chunks(environ, start_response):
    """1 MiB, made as it is sent."""
    start_response("200 OK", CHUNKS_HEAD)
    for _ in range(64):
        yield CHUNK


def upload(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    answer = b"%d\n" % len(body)
    start_response("200 OK", TEXT + [("Content-Length", str(len(answer)))])
    return [answer]


def sleep10(environ, start_response):
    sleep(0.010)
    return hello(environ, start_response)


def sleep50(environ, start_response):
    sleep(0.050)
    return hello(environ, start_response)


def spin(environ, start_response):
    """70 µs of computing that never lets go of the GIL by itself."""
    end = perf_counter() + 70e-6
    while perf_counter() < end:
        pass
    return hello(environ, start_response)


PAGES = {f"/{page.__name__}": page for page in (hello, table, large, chunks, upload, sleep10, sleep50, spin)}


def application(environ, start_response):
    return PAGES[environ["PATH_INFO"]](environ, start_response)
