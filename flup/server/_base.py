"""What FastCGI and SCGI servers have in common: from a request to its answer."""

import signal
import sys
import threading
import traceback

from . import _errorpage, _native
from ._answer import answer, respond

WSGI_KEYS = (
    "wsgi.version",
    "wsgi.input",
    "wsgi.errors",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
)


class TimeoutException(Exception):
    """A request has taken longer than `timeout` seconds."""


class BaseServer:
    """The hooks that subclasses of flup's servers have, and what calls them."""

    protocol = "fastcgi"

    # Of a fork server: after so many seconds a request is ended.
    _timeout = None
    # A peer that says nothing for so many seconds is hung up on; 0: the usual.
    _sockTimeout = 0

    # Hooks

    def handler(self, request):
        """Handles one request: calls the app and writes its answer.

        For subclasses that do something else around it, or instead of it.
        """
        environ = self._environ(request)
        self._complete(environ)
        respond(self.application, environ, request.stdout)

    def error(self, request):
        """Writes the page for the exception that is being handled."""
        request.stdout.write(_errorpage.page(self.debug))

    def _isClientAllowed(self, addr):
        """Whether a peer with this address may connect."""
        return True

    def _sanitizeEnv(self, environ):
        """Changes an environ before the app sees it."""

    # From the bridge to the hooks

    def _wsgi(self, environ, start_response):
        """The WSGI app that the bridge calls."""
        if self._timeout or self._overrides("handler"):
            return self._handle(environ, start_response)
        self._complete(environ)
        return answer(self, environ, start_response)

    def _handle(self, environ, start_response):
        request = self._request(environ, start_response)
        try:
            with Alarm(self._timeout, request):
                self.handler(request)
        except BaseException:
            self._report(environ)
            if not request.stdout.dataWritten:
                self.error(request)
        return ()

    def _complete(self, environ):
        """Makes an environ what this server says it shall be."""
        if self._has_host and self._mount() is not None:
            remount(environ, self._mount())
        if self.environ:
            kept = {name: environ[name] for name in WSGI_KEYS if name in environ}
            environ.update(self.environ)
            environ.update(kept)
            if "HTTPS" in self.environ:
                secure = environ["HTTPS"] in ("on", "1")
                environ["wsgi.url_scheme"] = "https" if secure else "http"
        # The gateway has done what flup does here.
        if environ["wsgi.run_once"] or self._overrides("_sanitizeEnv"):
            self._sanitizeEnv(environ)

    def _overrides(self, name):
        """Whether a subclass has a hook of its own, or somebody has put one in the
        place of flup's, in this object or in flup's class."""
        hook = getattr(self, name)
        return not (getattr(hook, "__module__", None) or "").startswith("flup.server.")

    def _report(self, environ):
        """Logs the exception that is being handled."""
        traceback.print_exc(file=environ["wsgi.errors"])

    # The gateway

    # Whether a flupd around the script has the gateway.
    _has_host = False
    # What that flupd has lent if it leaves serving to this server: the listening
    # socket, and its own options.
    _lent = None

    def _host(self):
        """The flupd that runs this script, if it serves in this server's place."""
        host = _native.host()
        if host is None:
            return None
        if self._bindAddress is not None or self._forced():
            host.forgo()
            return None
        self._lent = host.lend()
        return host if self._lent is None else None

    def _forced(self):
        """Whether the script wants CGI although the web server does not."""
        return False

    def _gateway(self, sock, concurrency):
        """A gateway on this listening socket, in front of so many at once."""
        from ._listening import shown

        return _native.library().Gateway(
            sock.fileno(),
            protocol=self.protocol,
            address=shown(self._bindAddress),
            concurrency=concurrency,
            multiplexed=self._multiplexed,
            roles=list(self.roles),
            script_name=self._mount(),
            patience=float(self._sockTimeout),
            lent=self._lent,
        )

    def _door(self):
        """What the gateway asks whether a peer may connect; None if all may."""
        if self._overrides("_isClientAllowed") or self._allowed() is not None:
            return self._isClientAllowed
        return None

    def _allowed(self):
        """The peers that may connect; None for all."""
        raise NotImplementedError

    def _mount(self):
        """Where the app is mounted, if the script says so."""
        mount = self.environ.get("SCRIPT_NAME") if self.environ else None
        return mount if isinstance(mount, str) else None

    # What SCGI has only one of.
    _multiplexed = False
    roles = (1,)


class Alarm:
    """Raises TimeoutException in the main thread when a request takes too long."""

    def __init__(self, seconds, request):
        self._seconds = seconds
        self._request = request

    def __enter__(self):
        # Elsewhere Python lets nobody handle signals: then flupd's own limits hold.
        if threading.current_thread() is not threading.main_thread():
            self._seconds = None
        if self._seconds:
            self._old = signal.signal(signal.SIGALRM, self._expired)
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *info):
        if self._seconds:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._old)

    def _expired(self, signum, frame):
        stack = "".join(traceback.format_stack(frame))
        self._request.say("Timeout Exceeded\n" + stack)
        raise TimeoutException("the request has taken longer than %s s" % self._seconds)


def remount(environ, mount):
    """Moves the border between SCRIPT_NAME and PATH_INFO."""
    whole = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    if whole.startswith(mount):
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = mount, whole[len(mount):]


def missing(environ, server, names):
    """Fills in what a web server must send and has not."""
    for name, default in names:
        if name not in environ:
            environ["wsgi.errors"].write(
                "%s: missing param %s required by WSGI!\n" % (type(server).__name__, name)
            )
            environ[name] = default


def exit_after_cgi():
    """One CGI request is one process: what follows `run` is not for it."""
    sys.exit(0)
