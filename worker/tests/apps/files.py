"""wsgi.file_wrapper."""

import gzip
import io
import os
import sys
import tempfile

from dispatch import by_path, ok

DATA = bytes(range(256)) * 4096  # 1 MiB
OPENED = []


def made(file, data=DATA):
    file.write(data)
    file.flush()
    file.seek(0)
    OPENED.append(file)
    return file


def wrapped(environ, start_response, file, *headers):
    ok(start_response, *headers)
    return environ["wsgi.file_wrapper"](file)


def plain(environ, start_response):
    return wrapped(environ, start_response, made(tempfile.TemporaryFile()))


def named(environ, start_response):
    return wrapped(environ, start_response, made(tempfile.NamedTemporaryFile()))


def unbuffered(environ, start_response):
    return wrapped(environ, start_response, made(tempfile.TemporaryFile(buffering=0)))


def from_position(environ, start_response):
    file = made(tempfile.TemporaryFile())
    file.read(1000)
    return wrapped(environ, start_response, file)


def with_length(environ, start_response):
    return wrapped(
        environ, start_response, made(tempfile.TemporaryFile()), ("Content-Length", "1000")
    )


def unflushed(environ, start_response):
    file = tempfile.TemporaryFile()
    file.write(b"not yet on disk")
    OPENED.append(file)
    size = file.tell()
    file.seek(0)
    assert size == 15
    return wrapped(environ, start_response, file)


def memory(environ, start_response):
    return wrapped(environ, start_response, made(io.BytesIO()))


def compressed(environ, start_response):
    """Has a fileno() whose bytes are not what read() returns."""
    packed = tempfile.TemporaryFile()
    packed.write(gzip.compress(DATA))
    packed.seek(0)
    OPENED.append(packed)
    return wrapped(environ, start_response, gzip.GzipFile(fileobj=packed))


def pipe(environ, start_response):
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    file = os.fdopen(reader, "rb")
    OPENED.append(file)
    return wrapped(environ, start_response, file)


def iterated(environ, start_response):
    """The wrapper as an ordinary iterable, inside another."""
    ok(start_response)
    wrapper = environ["wsgi.file_wrapper"](made(io.BytesIO(), b"abcdefg"), 3)
    chunks = list(wrapper)
    wrapper.close()
    return (chunk + b"|" for chunk in chunks)


def empty(environ, start_response):
    return wrapped(environ, start_response, made(tempfile.TemporaryFile(), b""))


def no_close(environ, start_response):
    class Source:
        parts = [b"", b"only read"]

        def read(self, size):
            return self.parts.pop()

    return wrapped(environ, start_response, Source())


def closed(environ, start_response):
    ok(start_response)
    states = [file.closed for file in OPENED]
    OPENED.clear()
    return [repr(states).encode()]


application = by_path(sys.modules[__name__])
