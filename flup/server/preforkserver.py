"""A server of forked processes."""

import atexit
import os
import select
import signal
import sys
import time
import traceback

from . import _native
from ._crew import Crew
from ._running import Running

__all__ = ["PreforkServer"]

# How long running requests may take once the server ends, in seconds.
FAREWELL = 10


class PreforkServer(Running):
    """Serves a listening socket with forked children.

    At least `minSpare` and at most `maxSpare` children are idle, and there are
    never more than `maxChildren`. With `maxRequests` a child is replaced after
    so many requests. A peer that says nothing for `sockTimeout` seconds is
    hung up on; 0 leaves that to the gateway.

    A gateway process stands in front of the children. It gives a request to
    whoever is idle; if nobody is, it waits.
    """

    # As flup: what is meant for the other servers is accepted.
    def __init__(self, minSpare=1, maxSpare=5, maxChildren=50, maxRequests=0, sockTimeout=0, **kw):
        if minSpare < 1:
            raise ValueError("minSpare must be at least 1!")
        if maxSpare < minSpare:
            raise ValueError("maxSpare must be greater than, or equal to, minSpare!")
        if type(sockTimeout) not in (int, float) or sockTimeout < 0:
            raise ValueError("sockTimeout must be an int or float, greater than or equal to 0")
        self._minSpare = minSpare
        self._maxSpare = maxSpare
        self._maxChildren = max(maxSpare, maxChildren)
        self._maxRequests = maxRequests
        self._sockTimeout = sockTimeout
        self._crew = None

    def run(self, sock):
        """Serves until a signal comes or somebody ends it; True after SIGHUP.

        What is running then has ten seconds to finish.
        """
        gateway = self._gateway(sock, self._maxChildren)
        crew = self._crew = Children(self, gateway, sock)
        self._begin()
        try:
            crew.open()
            self._loop(gateway, crew)
        finally:
            try:
                crew.close()
            finally:
                self._end()
                self._crew = None
        return self._hupReceived

    def _unheard(self):
        if (self._minSpare, self._maxSpare, self._maxChildren) != (1, 5, 50):
            yield "minSpare, maxSpare, maxChildren", "--workers"
        if self._maxRequests:
            yield "maxRequests", "--max-requests"
        if self._sockTimeout:
            yield "sockTimeout", "--read-timeout"

    def _hurry(self):
        """Those that run late are ended by `Children.close`."""

    def _loop(self, gateway, crew):
        while self._keepGoing:
            crew.bury()
            crew.adjust(at_least=self._maxSpare)
            descriptors = [gateway.fileno(), crew.board.fileno(), *crew.descriptors()]
            ready = self._wait(descriptors, self._seconds(crew.patience))
            if crew.board.fileno() in ready:
                crew.board.hear()
            if gateway.fileno() in ready:
                crew.heed(gateway.report())
            self._mainloopPeriodic()

    def _handlers(self):
        return {**super()._handlers(), signal.SIGUSR1: self._usr1Handler}

    def _usr1Handler(self, signum, frame):
        """Replaces all children, each when its request is done."""
        if self._crew is not None:
            self._crew.renew()
            self._rouse()


class Children(Crew):
    """App processes: children of this one. The gateway is one, too."""

    def __init__(self, server, gateway, sock):
        super().__init__(
            _native.library(), gateway, server._minSpare, server._maxSpare, server._maxChildren
        )
        self._server = server
        self._sock = sock
        self._gatekeeper = None  # The gateway's pidfd.
        self._parent = os.getpid()
        self._old = []

    def open(self):
        """Starts the gateway's process."""
        pid = _fork()
        if pid == 0:
            _child(self._be_gateway)
        self.gateway.runs_elsewhere()
        self._gatekeeper = (pid, os.pidfd_open(pid))

    def _be_gateway(self):
        self._become("flupd: gateway (flup)", self._ignore)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        # It must hold nothing of the app's open; its sockets come to it anew.
        kept = {2, self.gateway.control(), os.sysconf("SC_OPEN_MAX")}
        if self._server._lent is not None:
            kept.add(self._server._lent.log)
        kept = sorted(kept)
        for before, after in zip(kept, kept[1:]):
            os.closerange(before + 1, after)
        self.gateway.run(self._server._door())

    def _start(self, member):
        try:
            pid = _fork()
        except OSError:  # There can't be another process now.
            if not self.members:
                raise
            return False
        if pid == 0:
            _child(lambda: self._be_member(member))
        member.pid = pid
        member.pidfd = os.pidfd_open(pid)
        self.gateway.employ(member.number, pid, member.seat)
        member.seat = None  # The child has it.
        return True

    def _be_member(self, member):
        self._become("flupd: flup child %d" % member.number, self._server._restoreSignalHandlers)
        self.gateway.forget()
        self._sock.close()
        if self._server._lent is not None:
            self._server._lent.forget()
        for other in self.members:
            os.close(other.pidfd)
        self.members = []
        os.close(self._gatekeeper[1])
        server = self._server
        member.seat.serve(
            server._wsgi,
            multithread=False,
            multiprocess=server.multiprocess,
            max_requests=max(0, server._maxRequests),
            tick=lambda: True,
        )

    def _become(self, title, signals):
        # A wait of the parent's must not end by our signals.
        wake = (self._server._woken, self._server._wake)
        self._server._woken = self._server._wake = None
        self._server._watched.release()
        signals()
        for fd in wake:
            os.close(fd)
        _native.library().forked(title, self._parent)

    @staticmethod
    def _ignore():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)

    def descriptors(self):
        """Each is readable when its process has ended."""
        return [member.pidfd for member in self.members] + [self._gatekeeper[1]]

    def bury(self):
        """Sees who has ended."""
        for member in list(self.members):
            pid, status = os.waitpid(member.pid, os.WNOHANG)
            if pid:
                os.close(member.pidfd)
                code = os.waitstatus_to_exitcode(status)
                self._gone(member, _cause(code), code == 0)

    def heed(self, report):
        """Does what the gateway has asked for."""
        if report == "gone":
            raise RuntimeError("the gateway has ended; the log says why")
        for member in self.members:
            if member.number == report:
                os.kill(member.pid, signal.SIGKILL)

    def renew(self):
        """Has all that are there now replaced."""
        for member in self.members:
            if not member.leaves:
                member.leaves = True
                self.gateway.drain(member.number)

    def close(self):
        """Ends all, once they have finished what they do, or their time is over."""
        try:
            self.gateway.stop()
        except OSError:
            pass  # It has gone.
        lent = self._server._lent
        end = time.monotonic() + (FAREWELL if lent is None else lent.grace)
        poll = select.poll()
        waiting = {fd for fd in self.descriptors()} if self._gatekeeper else set()
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while waiting and time.monotonic() < end:
            for fd, _ in poll.poll(max(0, (end - time.monotonic()) * 1000)):
                poll.unregister(fd)
                waiting.discard(fd)
                if self._gatekeeper is not None and fd == self._gatekeeper[1]:
                    # Without it nobody has anything to do.
                    end = min(end, time.monotonic() + 1)
        everybody = [(member.pid, member.pidfd) for member in self.members]
        if self._gatekeeper is not None:
            everybody.append(self._gatekeeper)
        for pid, pidfd in everybody:
            if pidfd in waiting:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(pidfd)
        self.members = []
        self.gateway.forget()


def _fork():
    # What is in the buffers is written once.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    return os.fork()


def _child(work):
    """Does this in the child and ends it: the caller's frames are the parent's."""
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    try:
        # As at the end of any program; but threads are not waited for.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        pass
    os._exit(code)


def _cause(code):
    if code >= 0:
        return "exited with status %d" % code
    return "killed by signal %d (%s)" % (-code, signal.Signals(-code).name)
