"""A server with app threads."""

import sys
import threading
import traceback

from . import _listening, _native
from ._running import Running
from .threadpool import Threads, ThreadPool

__all__ = ["ThreadedServer"]


class ThreadedServer(Running):
    """Serves a listening socket with threads of this process.

    The gateway reads and writes on a thread of its own; app threads come and go
    within the pool's bounds. A request that finds none waits.
    """

    # As flup: what is meant for its own pool is accepted.
    def __init__(self, jobClass=None, jobArgs=(), **kw):
        self._threadPool = ThreadPool(**kw)

    def run(self, sock, timeout=1.0):
        """Serves until a signal comes or somebody ends it; True after SIGHUP.

        What is running then is finished.
        """
        limit = self._threadPool.limit() if self.multithreaded else 1
        gateway = self._gateway(sock, limit)
        crew = Threads(self, gateway, limit)
        self._threadPool._crew = crew
        self._begin()
        gatekeeper = threading.Thread(
            target=self._run_gateway, args=(gateway,), name="flup-gateway", daemon=True
        )
        gatekeeper.start()
        try:
            self._loop(gateway, crew)
        finally:
            # A second signal ends the process, as it would without a server.
            self._end()
            self._finish(gateway, gatekeeper, crew)
        return self._hupReceived

    def _unheard(self):
        if not self._threadPool.is_usual():
            yield "minSpare, maxSpare, maxThreads", "--threads"

    def _run_gateway(self, gateway):
        try:
            gateway.run(self._door())
        except BaseException:
            traceback.print_exc()
        finally:
            self._rouse()

    def _loop(self, gateway, crew):
        descriptors = [gateway.fileno(), crew.board.fileno()]
        while self._keepGoing:
            crew.bury()
            crew.adjust()
            ready = self._wait(descriptors, self._seconds(crew.patience))
            if crew.board.fileno() in ready:
                crew.board.hear()
            if gateway.fileno() in ready and gateway.report() == "gone":
                raise RuntimeError("the gateway has ended; the log says why")
            self._mainloopPeriodic()

    def _finish(self, gateway, gatekeeper, crew):
        try:
            gateway.stop()
        except OSError:
            pass  # It has ended.
        gatekeeper.join()
        for member in crew.members:
            member.thread.join()
        self._threadPool._crew = None
        gateway.forget()

    def shutdown(self):
        """Nothing is left to do: `run` returns when all has ended."""
