"""The app threads of a server that runs in one process."""

import os
import sys
import threading
import traceback

from . import _native
from ._crew import Crew


class ThreadPool:
    """The bounds of a pool of app threads.

    At least `minSpare` and at most `maxSpare` threads are idle; there are never
    more than `maxThreads`, nor more than `limit()` says. What is more waits. The
    bounds may be changed while the server runs.
    """

    def __init__(self, minSpare=1, maxSpare=5, maxThreads=sys.maxsize):
        self._minSpare = max(1, minSpare)
        self._maxSpare = max(self._minSpare, maxSpare)
        self._maxThreads = max(self._minSpare, maxThreads)
        self._crew = None

    @property
    def minSpare(self):
        """At least so many threads are idle."""
        return self._minSpare

    @property
    def maxSpare(self):
        """At most so many threads are idle."""
        return self._maxSpare

    @maxSpare.setter
    def maxSpare(self, most):
        self._maxSpare = most
        if self._crew is not None:
            self._crew.most = most

    @property
    def _idleCount(self):
        return self._crew.counts()[0] if self._crew else 0

    @property
    def _workerCount(self):
        return self._crew.counts()[1] if self._crew else 0

    def is_usual(self):
        """Whether it has the bounds that nobody has asked for."""
        return (self._minSpare, self._maxSpare, self._maxThreads) == (1, 5, sys.maxsize)

    def limit(self):
        """How many threads there can be: each needs a few descriptors."""
        import resource

        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if descriptors == resource.RLIM_INFINITY:
            descriptors = 65536
        return max(self._minSpare, min(self._maxThreads, 240, descriptors // 8))


class Threads(Crew):
    """App threads of this process."""

    def __init__(self, server, gateway, limit):
        pool = server._threadPool
        super().__init__(_native.library(), gateway, pool.minSpare, pool.maxSpare, limit)
        self._server = server
        self._ended = []

    def _start(self, member):
        name = "flup-%d" % member.number
        member.thread = threading.Thread(target=self._serve, args=(member,), name=name, daemon=True)
        self.gateway.employ(member.number, os.getpid(), member.seat)
        try:
            member.thread.start()
        except RuntimeError:  # There can't be another thread.
            if not self.members:
                raise
            self.gateway.exited(member.number, "no thread could be started", True)
            return False
        return True

    def _serve(self, member):
        server = self._server
        try:
            member.seat.serve(
                server._wsgi,
                multithread=server.multithreaded,
                multiprocess=server.multiprocess,
            )
        except BaseException:
            traceback.print_exc()
        finally:
            self._ended.append(member)
            server._rouse()

    def bury(self):
        """Sees who has ended."""
        while self._ended:
            self._gone(self._ended.pop(), "the thread has ended", True)
