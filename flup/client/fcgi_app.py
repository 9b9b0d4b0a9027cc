"""A WSGI app that hands its requests to a FastCGI server."""

from .. import __version__
from ..server import _native
from ._backend import Backend, Exchange

__all__ = ["FCGIApp"]


class FCGIApp(Backend):
    """Hands each request to a FastCGI server, on a connection of its own.

    connect, host, port, filterEnviron: see `Backend`. Starting a server by a
    `command` is not done, as in flup.
    """

    def __init__(self, command=None, connect=None, host=None, port=None, filterEnviron=True):
        if command is not None:
            raise NotImplementedError(
                "FCGIApp starts no program: start it with spawn-fcgi or flupd, and give connect"
            )
        super().__init__(connect, host, port, filterEnviron)

    def _exchange(self, environ, params):
        return FastcgiExchange(self._getConnection(), environ, params)


class FastcgiExchange(Exchange):
    """In records."""

    def __init__(self, sock, environ, params):
        self._client = _native.library().FastcgiClient()
        super().__init__(sock, environ, self._client.begin(params))

    def _encode(self, part):
        return self._client.stdin(part)

    def _decode(self, data):
        if not data:
            raise OSError("the FastCGI server has closed the connection before its answer's end")
        for kind, part in self._client.receive(data):
            if kind == "stdout":
                yield part
            elif kind == "stderr":
                self._errors.write(part.decode("utf-8", "backslashreplace"))
            else:
                yield None
