"""An SCGI server with forked processes.

    from flup.server.scgi_fork import WSGIServer
    WSGIServer(app, bindAddress=("localhost", 4000)).run()
"""

import logging

from .. import __version__
from . import NoDefault
from .preforkserver import PreforkServer
from .scgi_base import BaseSCGIServer

__all__ = ["WSGIServer"]


class WSGIServer(BaseSCGIServer, PreforkServer):
    """Serves a WSGI app over SCGI with children of this process.

    timeout: after so many seconds a request is ended, with its stack in the log.
    minSpare, maxSpare, maxChildren, maxRequests, sockTimeout: see
    `PreforkServer`; for the others `flup.server.scgi`.
    """

    def __init__(
        self,
        application,
        scriptName=NoDefault,
        environ=None,
        bindAddress=("localhost", 4000),
        umask=None,
        allowedServers=None,
        loggingLevel=logging.INFO,
        debug=False,
        timeout=None,
        **kw
    ):
        BaseSCGIServer.__init__(
            self, application, scriptName, environ, False, True, bindAddress, umask,
            allowedServers, loggingLevel, debug,
        )
        PreforkServer.__init__(self, **kw)
        self._timeout = timeout

    def run(self):
        """Serves until SIGHUP, SIGINT or SIGTERM; True after SIGHUP."""
        return self._run(lambda sock: PreforkServer.run(self, sock))
