"""One request from the environment, standard input and standard output (RFC 3875)."""

import io
import os
import sys
from wsgiref.handlers import BaseCGIHandler, read_environ


class Body(io.RawIOBase):
    """What CONTENT_LENGTH says of standard input: some web servers never close it."""

    def __init__(self, stream, length):
        self._stream = stream
        self._left = length

    def readable(self):
        """It is."""
        return True

    def readinto(self, buffer):
        """Reads at most what is left."""
        block = self._stream.read1(min(len(buffer), self._left))
        self._left -= len(block)
        buffer[: len(block)] = block
        return len(block)


def stdin(environ):
    """The request's body."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "") and length == "0":
        length = str(sys.maxsize)  # Then its end is the end.
    if sys.stdin is None or not length.isascii() or not length.isdigit():
        return io.BytesIO()
    return io.BufferedReader(Body(sys.stdin.buffer, int(length)))


class Handler(BaseCGIHandler):
    """Runs one WSGI request as a CGI program does."""

    wsgi_run_once = True
    # The process's environment is the request, and no more than that.
    os_environ = {}

    def __init__(self):
        environ = read_environ()
        stdout = sys.stdout.buffer if sys.stdout is not None else open(os.devnull, "wb")
        stderr = sys.stderr if sys.stderr is not None else open(os.devnull, "w")
        super().__init__(
            stdin(environ), stdout, stderr, environ, multithread=False, multiprocess=True
        )

    def setup_environ(self):
        """Adds what flupd's own environ has beyond PEP 3333."""
        super().setup_environ()
        self.environ["wsgi.input_terminated"] = True


def run(application):
    """Answers the request."""
    Handler().run(application)
