"""A FastCGI server with forked processes.

    from flup.server.fcgi_fork import WSGIServer
    WSGIServer(app).run()
"""

from .. import __version__
from .fcgi_base import FCGI_RESPONDER, BaseFCGIServer
from .preforkserver import PreforkServer

__all__ = ["WSGIServer"]


class WSGIServer(BaseFCGIServer, PreforkServer):
    """Serves a WSGI app over FastCGI with children of this process.

    timeout: after so many seconds a request is ended, with its stack in the log.
    minSpare, maxSpare, maxChildren, maxRequests, sockTimeout: see
    `PreforkServer`; for the others `flup.server.fcgi`.
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
        timeout=None,
        **kw
    ):
        BaseFCGIServer.__init__(
            self, application, environ, False, True, bindAddress, umask, multiplexed, debug,
            roles, forceCGI,
        )
        PreforkServer.__init__(self, **kw)
        self._timeout = timeout

    def run(self):
        """Serves until SIGHUP, SIGINT or SIGTERM; True after SIGHUP."""
        return self._run(lambda sock: PreforkServer.run(self, sock))
