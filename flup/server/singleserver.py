"""A server that runs one request at a time."""

import os
import threading

from . import _native
from ._running import Running

__all__ = ["SingleServer"]


class SingleServer(Running):
    """Serves a listening socket with the thread that calls `run`."""

    def __init__(self, **kw):
        # As flup: what is meant for the other servers is accepted.
        self._running = None

    def run(self, sock, timeout=1.0):
        """Serves until a signal comes or somebody ends it; True after SIGHUP.

        What is running or waits then is finished.
        """
        gateway = self._running = self._gateway(sock, 1)
        seat = gateway.seat(_native.library().Scoreboard(1), 0)
        gateway.employ(1, os.getpid(), seat)
        self._begin()
        gatekeeper = threading.Thread(
            target=gateway.run, args=(self._door(),), name="flup-gateway", daemon=True
        )
        gatekeeper.start()
        if not self._keepGoing:  # A signal has come already.
            self._rouse()
        try:
            # It ends when the gateway has nothing more to do.
            seat.serve(
                self._wsgi, multithread=False, multiprocess=self.multiprocess, tick=self._tick
            )
            gatekeeper.join()
        finally:
            self._end()
            self._running = None
            gateway.forget()
        return self._hupReceived

    def _tick(self):
        self._mainloopPeriodic()
        return True

    def _rouse(self):
        if self._running is not None:
            try:
                self._running.stop()
            except OSError:
                pass  # It has ended.
