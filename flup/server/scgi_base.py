"""SCGI, whichever kind of server speaks it."""

import logging
import time

from . import NoDefault, _hosted, _listening, _native
from ._base import BaseServer, TimeoutException, missing
from ._output import Output

__all__ = ["BaseSCGIServer"]

# All SCGI servers log under this name, one line a request.
LoggerName = "scgi-wsgi"

_console = logging.StreamHandler()
_console.setLevel(logging.DEBUG)
_console.setFormatter(logging.Formatter("%(asctime)s : %(message)s", "%Y-%m-%d %H:%M:%S"))
logging.getLogger(LoggerName).addHandler(_console)


class Request:
    """A request, as `handler` and `error` of a server get it."""

    def __init__(self, server, environ, start_response, exc_info=None):
        self.server = server
        self.environ = environ
        self.stdin = environ["wsgi.input"]
        self.stdout = Output(start_response, exc_info)
        self.logger = server.logger

    def say(self, text):
        """Writes to the log."""
        self.logger.error(text)


class BaseSCGIServer(BaseServer):
    """An SCGI server's arguments, its socket and its environ."""

    protocol = "scgi"

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
    ):
        self.application = application
        self.scriptName = scriptName
        self.environ = {} if environ is None else environ
        self.multithreaded = multithreaded
        self.multiprocess = multiprocess
        self.debug = debug
        self._bindAddress = bindAddress
        self._umask = umask
        self._allowedServers = allowedServers
        self.logger = logging.getLogger(LoggerName)
        self.logger.setLevel(loggingLevel)

    def _isClientAllowed(self, addr):
        """Whether `allowedServers` lets this peer connect. It is about hosts: who
        can open a unix socket may."""
        if self._allowedServers is None or not isinstance(addr, tuple):
            return True
        if addr[0] in self._allowedServers:
            return True
        self.logger.warning("Server connection from %s disallowed", addr[0])
        return False

    def _allowed(self):
        return self._allowedServers

    def _sanitizeEnv(self, environ):
        """Fills in what WSGI needs and a web server may have left out."""
        path, _, query = environ.get("REQUEST_URI", "").partition("?")
        if not environ.get("QUERY_STRING"):
            environ["QUERY_STRING"] = query
        script = self.scriptName
        if script is None:
            return
        if script is NoDefault:
            script = environ.setdefault("SCRIPT_NAME", "")
            if environ.get("PATH_INFO"):
                return
            whole = path
        else:
            whole = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if whole and not whole.startswith(script):
            self.logger.warning("SCRIPT_NAME does not match request URI")
        environ["SCRIPT_NAME"] = script
        environ["PATH_INFO"] = whole[len(script):]

    def _wsgi(self, environ, start_response):
        what = tuple(environ.get(n, "") for n in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO"))
        self.logger.info("%s %s%s", *what)
        if not self.logger.isEnabledFor(logging.DEBUG):
            return super()._wsgi(environ, start_response)
        begun = time.monotonic()
        try:
            return super()._wsgi(environ, start_response)
        finally:
            self.logger.debug("%s %s%s done (%.3f secs)", *what, time.monotonic() - begun)

    def _environ(self, request):
        return request.environ

    def _request(self, environ, start_response, exc_info=None):
        return Request(self, environ, start_response, exc_info)

    def _report(self, environ):
        self.logger.exception("Exception caught from handler")

    def _mount(self):
        if isinstance(self.scriptName, str):
            return self.scriptName
        return super()._mount()

    def _setupSocket(self):
        """The listening socket."""
        if self._bindAddress is not None:
            _native.library()  # Nobody shall connect before it is known to be there.
            return _listening.bind(self._bindAddress, self._umask)
        if self._lent is not None:
            return _listening.passed(self._lent.listener())
        sock = _listening.inherited()
        if sock is None:
            raise OSError("bindAddress is None, and the standard input is no listening socket")
        return sock

    def _cleanupSocket(self, sock):
        """Closes the listening socket."""
        sock.close()

    def _run(self, serve):
        """Serves with `serve(sock)`, or with the flupd that runs this script."""
        name = type(self).__name__
        self.logger.info("%s starting up", name)
        host = self._host()
        if host is not None:
            hangup = _hosted.run(self, host)
        else:
            self._begin()
            try:
                try:
                    sock = self._setupSocket()
                except OSError as error:
                    self.logger.error("Failed to bind socket (%s), exiting", error)
                    return False
                try:
                    hangup = serve(sock)
                finally:
                    self._cleanupSocket(sock)
            finally:
                self._end()
                self._done()
        self.logger.info("%s shutting down%s", name, " (reload requested)" if hangup else "")
        return hangup
