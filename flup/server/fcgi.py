"""A FastCGI server with threads.

    from flup.server.fcgi import WSGIServer
    WSGIServer(app).run()
"""

from .. import __version__
from .fcgi_base import FCGI_RESPONDER, BaseFCGIServer
from .threadedserver import ThreadedServer

__all__ = ["WSGIServer"]


class WSGIServer(BaseFCGIServer, ThreadedServer):
    """Serves a WSGI app over FastCGI with threads of this process.

    environ: added to each request's environ. multithreaded: False runs one
    request at a time. multiprocess: what `wsgi.multiprocess` shall say.
    bindAddress: where to listen: None for the socket with which the web server
    started this process, a str for a unix socket (made with `umask`), a tuple
    for TCP. multiplexed: whether a connection may carry several requests at
    once. debug: True shows tracebacks to the client. roles: those of FastCGI
    that are accepted. forceCGI: answer one CGI request. minSpare, maxSpare,
    maxThreads: see `ThreadPool`.
    """

    def __init__(
        self,
        application,
        environ=None,
        multithreaded=True,
        multiprocess=False,
        bindAddress=None,
        umask=None,
        multiplexed=False,
        debug=False,
        roles=(FCGI_RESPONDER,),
        forceCGI=False,
        **kw
    ):
        BaseFCGIServer.__init__(
            self, application, environ, multithreaded, multiprocess, bindAddress, umask,
            multiplexed, debug, roles, forceCGI,
        )
        ThreadedServer.__init__(self, **kw)

    def run(self):
        """Serves until SIGHUP, SIGINT or SIGTERM; True after SIGHUP."""
        return self._run(lambda sock: ThreadedServer.run(self, sock))
