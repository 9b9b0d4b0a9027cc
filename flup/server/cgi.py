"""A WSGI server for CGI: one request from the environment and standard input."""

from .. import __version__
from . import _cgi

__all__ = ["WSGIServer"]


class WSGIServer:
    """Answers the one CGI request for which this process was started."""

    def __init__(self, application):
        self.application = application

    def run(self):
        """Calls the app and writes its answer to standard output."""
        _cgi.run(self.application)
