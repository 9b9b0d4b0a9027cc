"""A WSGI app that hands its requests to an SCGI server."""

import contextlib
import tempfile

from .. import __version__
from ..server import _native
from ._backend import BLOCK, Backend, Exchange, length

__all__ = ["SCGIApp"]


class SCGIApp(Backend):
    """Hands each request to an SCGI server. For the arguments see `Backend`."""

    def _exchange(self, environ, params):
        with contextlib.ExitStack() as spool:
            environ = measured(environ, spool)
            begin = _native.library().scgi_request(params, length(environ))
            exchange = ScgiExchange(self._getConnection(), environ, begin)
            exchange.spool = spool.pop_all()
        return exchange


class ScgiExchange(Exchange):
    """As it is; the end of the connection is the end of the answer."""

    def close(self):
        """Hangs up, and lets go of the body."""
        super().close()
        self.spool.close()

    def _encode(self, part):
        return part

    def _decode(self, data):
        yield data or None


def measured(environ, spool):
    """SCGI says a body's length first: one of unknown length is received whole,
    into a file that `spool` closes."""
    if environ.get("CONTENT_LENGTH") or not environ.get("wsgi.input_terminated"):
        return environ
    body = spool.enter_context(tempfile.SpooledTemporaryFile(1 << 20))
    for part in iter(lambda: environ["wsgi.input"].read(BLOCK), b""):
        body.write(part)
    size = body.tell()
    body.seek(0)
    return {**environ, "wsgi.input": body, "CONTENT_LENGTH": str(size)}
