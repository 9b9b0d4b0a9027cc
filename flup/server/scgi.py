"""An SCGI server with threads.

    from flup.server.scgi import WSGIServer
    WSGIServer(app, bindAddress=("localhost", 4000)).run()
"""

import logging

from .. import __version__
from . import NoDefault
from .scgi_base import BaseSCGIServer
from .threadedserver import ThreadedServer

__all__ = ["WSGIServer"]


class WSGIServer(BaseSCGIServer, ThreadedServer):
    """Serves a WSGI app over SCGI with threads of this process.

    scriptName: where the app is mounted; None leaves what the web server sends.
    environ: added to each request's environ. multithreaded: False runs one
    request at a time. multiprocess: what `wsgi.multiprocess` shall say.
    bindAddress: where to listen: a str for a unix socket (made with `umask`), a
    tuple for TCP, None for the socket with which the web server started this
    process. allowedServers: the IP addresses that may connect. loggingLevel:
    that of the logger "scgi-wsgi". debug: True shows tracebacks to the client.
    minSpare, maxSpare, maxThreads: see `ThreadPool`.
    """

    def __init__(
        self,
        application,
        scriptName=NoDefault,
        environ=None,
        multithreaded=True,
        multiprocess=False,
        bindAddress=("localhost", 4000),
        umask=None,
        allowedServers=None,
        loggingLevel=logging.INFO,
        debug=False,
        **kw
    ):
        BaseSCGIServer.__init__(
            self, application, scriptName, environ, multithreaded, multiprocess, bindAddress,
            umask, allowedServers, loggingLevel, debug,
        )
        ThreadedServer.__init__(self, **kw)

    def run(self):
        """Serves until SIGHUP, SIGINT or SIGTERM; True after SIGHUP."""
        return self._run(lambda sock: ThreadedServer.run(self, sock))
