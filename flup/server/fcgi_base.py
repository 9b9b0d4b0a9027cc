"""FastCGI, whichever kind of server speaks it."""

import io
import os

from . import _cgi, _hosted, _listening, _native
from ._base import BaseServer, TimeoutException, exit_after_cgi, missing
from ._output import Output

__all__ = ["BaseFCGIServer"]

FCGI_LISTENSOCK_FILENO = _listening.FCGI_LISTENSOCK_FILENO

FCGI_RESPONDER = 1
FCGI_AUTHORIZER = 2
FCGI_FILTER = 3

FCGI_REQUEST_COMPLETE = 0
FCGI_CANT_MPX_CONN = 1
FCGI_OVERLOADED = 2
FCGI_UNKNOWN_ROLE = 3

ROLES = {"responder": FCGI_RESPONDER, "authorizer": FCGI_AUTHORIZER, "filter": FCGI_FILTER}


class Request:
    """A request, as `handler` and `error` of a server get it."""

    requestId = 1
    flags = 0

    def __init__(self, server, environ, start_response, exc_info=None):
        self.server = server
        self.params = environ
        self.stdin = environ["wsgi.input"]
        self.stderr = environ["wsgi.errors"]
        self.stdout = Output(start_response, exc_info)
        self.data = environ.get("flupd.data") or io.BytesIO()
        self.role = ROLES[environ.get("flupd.role", "responder")]

    @property
    def aborted(self):
        """Whether the web server has given the request up."""
        cancelled = self.params.get("flupd.cancelled")
        return bool(cancelled is not None and cancelled())

    def say(self, text):
        """Writes to the error log."""
        self.stderr.write(text)


class BaseFCGIServer(BaseServer):
    """A FastCGI server's arguments, its socket and its environ."""

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
    ):
        self.application = application
        self.environ = {} if environ is None else environ
        self.multithreaded = multithreaded
        self.multiprocess = multiprocess
        self.debug = debug
        self.roles = roles
        self.forceCGI = forceCGI
        self._bindAddress = bindAddress
        self._umask = umask
        self._multiplexed = bool(multiplexed)
        self._web_server_addrs = None

    def handler(self, req):
        """Handles one request: calls the app and writes its answer. Returns the
        protocol's and the app's status."""
        if req.role not in self.roles:
            return FCGI_UNKNOWN_ROLE, 0
        super().handler(req)
        return FCGI_REQUEST_COMPLETE, 0

    def _isClientAllowed(self, addr):
        """Whether FCGI_WEB_SERVER_ADDRS lets this peer connect. It is about
        hosts: who can open a unix socket may."""
        if self._web_server_addrs is None or not isinstance(addr, tuple):
            return True
        return addr[0] in self._web_server_addrs

    def _allowed(self):
        return self._web_server_addrs

    def _sanitizeEnv(self, environ):
        """Fills in what WSGI needs and a web server may have left out."""
        environ.setdefault("SCRIPT_NAME", "")
        path, _, query = environ.get("REQUEST_URI", "").partition("?")
        if not environ.get("PATH_INFO"):
            script = environ["SCRIPT_NAME"]
            if "REQUEST_URI" in environ and not path.startswith(script):
                environ["wsgi.errors"].write("WARNING: SCRIPT_NAME does not match REQUEST_URI\n")
            environ["PATH_INFO"] = path[len(script):]
        if not environ.get("QUERY_STRING"):
            environ["QUERY_STRING"] = query
        missing(environ, self, [
            ("REQUEST_METHOD", "GET"),
            ("SERVER_NAME", "localhost"),
            ("SERVER_PORT", "80"),
            ("SERVER_PROTOCOL", "HTTP/1.0"),
        ])

    def _environ(self, request):
        return request.params

    def _request(self, environ, start_response, exc_info=None):
        return Request(self, environ, start_response, exc_info)

    def _setupSocket(self):
        """The listening socket. Without one this is CGI: the request is answered,
        and the process ends."""
        if self._bindAddress is not None:
            _native.library()  # Nobody shall connect before it is known to be there.
            return _listening.bind(self._bindAddress, self._umask)
        if self._lent is not None:
            return _listening.passed(self._lent.listener())
        sock = None if self._forcesCGI() else _listening.inherited()
        if sock is None:
            _cgi.run(self._wsgi)
            exit_after_cgi()
        return sock

    def _unheard(self):
        if any(role != FCGI_RESPONDER for role in self.roles):
            yield "roles", "--role"

    def _forcesCGI(self):
        return self.forceCGI or os.environ.get("FCGI_FORCE_CGI", "N").upper().startswith("Y")

    def _forced(self):
        if not self._forcesCGI():
            return False
        sock = _listening.inherited()
        if sock is not None:
            sock.close()
        return sock is not None

    def _cleanupSocket(self, sock):
        """Closes the listening socket."""
        sock.close()

    def _run(self, serve):
        """Serves with `serve(sock)`, or with the flupd that runs this script."""
        host = self._host()
        if host is not None:
            return _hosted.run(self, host)
        self._web_server_addrs = _listening.allowed_servers()
        if self._bindAddress is not None:
            self._begin()
        try:
            sock = self._setupSocket()
            try:
                return serve(sock)
            finally:
                self._cleanupSocket(sock)
        finally:
            self._end()
            self._done()
