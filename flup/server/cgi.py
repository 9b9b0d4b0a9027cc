"""A WSGI server for CGI: one request from the environment and standard input."""

from .. import __version__
from . import _cgi, _hosted, _native
from .fcgi_base import BaseFCGIServer

__all__ = ["WSGIServer"]


class WSGIServer(BaseFCGIServer):
    """Answers the one CGI request for which this process was started."""

    def __init__(self, application):
        BaseFCGIServer.__init__(self, application, multithreaded=False, multiprocess=True)

    def run(self):
        """Calls the app and writes its answer to standard output."""
        host = _native.host()
        if host is not None:
            _hosted.run(self, host)
        else:
            _cgi.run(self._wsgi)
