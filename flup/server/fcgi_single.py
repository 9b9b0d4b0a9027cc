"""A FastCGI server that runs one request at a time.

    from flup.server.fcgi_single import WSGIServer
    WSGIServer(app).run()
"""

from .. import __version__
from .fcgi_base import FCGI_RESPONDER, BaseFCGIServer
from .singleserver import SingleServer

__all__ = ["WSGIServer"]


class WSGIServer(BaseFCGIServer, SingleServer):
    """Serves a WSGI app over FastCGI with the thread that calls `run`.

    For the arguments see `flup.server.fcgi`.
    """

    def __init__(
        self,
        application,
        environ=None,
        bindAddress=None,
        umask=None,
        multiplexed=False,
        debug=False,
        roles=(FCGI_RESPONDER,),
        forceCGI=False,
        **kw
    ):
        BaseFCGIServer.__init__(
            self, application, environ, False, False, bindAddress, umask, multiplexed, debug,
            roles, forceCGI,
        )
        SingleServer.__init__(self, **kw)

    def run(self):
        """Serves until SIGHUP, SIGINT or SIGTERM; True after SIGHUP."""
        return self._run(lambda sock: SingleServer.run(self, sock))
