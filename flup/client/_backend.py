"""One request to a server behind this one: the body there, the answer back.

Both go at once, piece by piece: a server may answer before it has read all.
"""

import select
import socket
import sys

from ..server import _native

# How much of a body is read or received at once, in bytes.
BLOCK = 64 * 1024

# How long a response's head may be, in bytes.
LONGEST_HEAD = 128 * 1024


class Backend:
    """A WSGI app that hands its requests to another server.

    connect: its address: a str for a unix socket, (host, port) for TCP; or host
    and port. filterEnviron: True passes on what belongs to the request; False,
    all names in capitals.
    """

    # What is passed on with filterEnviron.
    _environPrefixes = ["SERVER_", "HTTP_", "REQUEST_", "REMOTE_", "PATH_", "CONTENT_"]
    _environCopies = ["SCRIPT_NAME", "QUERY_STRING", "AUTH_TYPE"]
    _environRenames = {}

    def __init__(self, connect=None, host=None, port=None, filterEnviron=True):
        if host is not None:
            if port is None:
                raise ValueError("host needs port, too")
            connect = (host, port)
        if connect is None:
            raise ValueError("connect is missing: where is the server?")
        self._connect = connect
        self._filterEnviron = filterEnviron

    def __call__(self, environ, start_response):
        if self._filterEnviron:
            params = self._defaultFilterEnviron(environ)
        else:
            params = self._lightFilterEnviron(environ)
        params = [(latin1(name), latin1(value)) for name, value in params.items()]
        exchange = self._exchange(environ, params)
        try:
            status, headers, first = exchange.head()
            start_response(status, headers)
        except BaseException:
            exchange.close()
            raise
        return Answer(exchange, first)

    def _exchange(self, environ, params):
        raise NotImplementedError

    def _getConnection(self):
        """A new connection to the server."""
        if isinstance(self._connect, (str, bytes)):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(self._connect)
            except BaseException:
                sock.close()
                raise
            return sock
        return socket.create_connection(self._connect)

    def _defaultFilterEnviron(self, environ):
        passed = {}
        for name, value in environ.items():
            if name in self._environRenames:
                passed[self._environRenames[name]] = value
            elif name in self._environCopies or name.startswith(tuple(self._environPrefixes)):
                passed[name] = value
        return {name: value for name, value in passed.items() if isinstance(value, str)}

    def _lightFilterEnviron(self, environ):
        return {
            name: value
            for name, value in environ.items()
            if name.upper() == name and isinstance(value, str)
        }


class Exchange:
    """A request on its way, and its answer."""

    def __init__(self, sock, environ, begin):
        self._sock = sock
        self._errors = environ["wsgi.errors"]
        self._input = environ["wsgi.input"]
        self._left = length(environ)
        self._out = memoryview(begin)
        self._sent = False  # The whole request.
        sock.setblocking(False)

    def parts(self):
        """The parts of the answer, as they come."""
        events = select.POLLIN | select.POLLOUT
        poll = select.poll()
        poll.register(self._sock, events)
        while True:
            ready = poll.poll()[0][1]
            if ready & select.POLLOUT and not self._send():
                poll.modify(self._sock, select.POLLIN)
            if ready & ~select.POLLOUT:
                data = self._receive()
                if data is None:
                    continue
                for part in self._decode(data):
                    if part is None:
                        return
                    yield part

    def _receive(self):
        try:
            return self._sock.recv(BLOCK)
        except BlockingIOError:
            return None

    def _send(self):
        """Sends what there is; False when there is no more."""
        if not self._out:
            self._out = memoryview(self._next())
            if not self._out:
                return False
        try:
            self._out = self._out[self._sock.send(self._out):]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            # It has seen enough of the body; its answer may be there.
            self._sent, self._out = True, memoryview(b"")
            return False
        return True

    def _next(self):
        """More of the request; nothing at its end."""
        if self._sent:
            return b""
        part = self._input.read(min(self._left, BLOCK)) if self._left else b""
        self._left -= len(part)
        if not part:
            self._left, self._sent = 0, True
        return self._encode(part)

    def head(self):
        """Status, headers, and what came of the body with them."""
        self._parts = self.parts()
        head = b""
        for part in self._parts:
            head += part
            parsed = _native.library().response_head(head)
            if parsed is not None:
                status, headers, body = parsed
                return status, headers, head[body:]
            if len(head) > LONGEST_HEAD:
                break
        raise OSError("the server's answer has no head")

    def body(self):
        """The next part of the body; None at its end."""
        return next(self._parts, None)

    def close(self):
        """Hangs up."""
        self._sock.close()


class Answer:
    """The body of an answer, received as it is wanted."""

    def __init__(self, exchange, first):
        self._exchange = exchange
        self._first = first

    def __iter__(self):
        return self

    def __next__(self):
        first, self._first = self._first, None
        if first:
            return first
        part = self._exchange.body()
        if part is None:
            raise StopIteration
        return part

    def close(self):
        """Hangs up, also when the answer has not been received whole."""
        self._exchange.close()


def length(environ):
    """How long the request's body is. Where nobody says, but the input ends by
    itself, as long as there is something."""
    text = environ.get("CONTENT_LENGTH") or ""
    if text:
        return int(text)
    return sys.maxsize if environ.get("wsgi.input_terminated") else 0


def latin1(text):
    """The bytes of a native string; what is none is sent as UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
