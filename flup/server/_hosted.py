"""A server whose script flupd runs with workers, or for one CGI request: flupd
serves in its place.

flup's hooks around a request count as ever. What is said of threads and
processes is flupd's to say there, and whoever says it is told.
"""

import os
import signal
import sys
import threading
import traceback

# `_mainloopPeriodic` is called so often, in seconds.
PERIOD = 1.0


def run(server, host):
    """Has the flupd that runs this script serve it; True after SIGHUP."""
    server._has_host = True
    app = server._wsgi
    if host.once:
        return host(app) == signal.SIGHUP
    if server._door() is not None:
        raise RuntimeError(
            "flupd's workers can't be asked who may connect, as allowedServers and "
            "_isClientAllowed want it: say it with --allow, or leave out --workers, "
            "--threads, --preload and --solo"
        )
    for arguments, option in unheard(server):
        say("%s: has no effect here, flupd's %s has" % (arguments, option))
    if not server.multithreaded:
        app = Serial(app)
    if server._overrides("_mainloopPeriodic"):
        app = Ticking(app, server._mainloopPeriodic, at_once=not host.forks)
    return host(app) == signal.SIGHUP


def unheard(server):
    """Pairs: arguments that have no effect here, and flupd's options that have."""
    for kind in type(server).__mro__:
        if "_unheard" in vars(kind):
            yield from kind._unheard(server)


def say(what):
    """Writes a line to flupd's log."""
    if sys.stderr is not None:
        sys.stderr.write("flup: %s (docs/flup.md)\n" % what)
        sys.stderr.flush()


class Serial:
    """An app that runs one request at a time, whatever threads there are."""

    def __init__(self, app):
        self._app = app
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        environ["wsgi.multithread"] = False
        self._lock.acquire()
        try:
            body = self._app(environ, start_response)
        except BaseException:
            self._lock.release()
            raise
        if type(body) is list or type(body) is tuple:
            self._lock.release()
            return body
        return Held(body, self._lock)


class Held:
    """A body during which no other request runs."""

    def __init__(self, body, lock):
        self._body = body
        self._lock = lock

    def __iter__(self):
        return iter(self._body)

    def close(self):
        """Closes the body; then it is another request's turn."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._lock.release()


class Ticking:
    """An app beside which something is called about once a second, in each process
    that runs it."""

    def __init__(self, app, tick, at_once):
        self._app = app
        self._tick = tick
        self._lock = threading.Lock()
        self._pid = None
        # A process that is to be forked begins with its first request: no thread
        # survives a fork.
        if at_once:
            self._begin()

    def __call__(self, environ, start_response):
        if self._pid != os.getpid():
            self._begin()
        return self._app(environ, start_response)

    def _begin(self):
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="flup-periodic", daemon=True).start()

    def _run(self):
        rest = threading.Event()
        while not rest.wait(PERIOD):
            try:
                self._tick()
            except BaseException:
                # It would have ended the server; here it only ends itself.
                traceback.print_exc()
                return
