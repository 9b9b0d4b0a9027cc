"""What the three kinds of servers share while they run: signals, the hooks of
their main loop, and the ways to end it."""

import select
import signal
import threading
import os

from . import _hosted


class Running:
    """The main loop of a server, as its subclasses and its users see it.

    `_keepGoing` may be set to False by anybody, in any thread: the loop ends.
    """

    _hupReceived = False
    _oldSIGs = ()
    # The read end and the write end of a pipe that ends a wait.
    _woken = _wake = None
    _watched = None
    _going = False
    # Ends the process when its time to finish is over.
    _late = None

    @property
    def _keepGoing(self):
        return self._going

    @_keepGoing.setter
    def _keepGoing(self, going):
        self._going = going
        if not going:
            self._rouse()
            self._hurry()

    def _rouse(self):
        """Ends a wait of the main loop. For any thread, and for signal handlers."""
        wake = self._wake
        if wake is not None:
            try:
                os.write(wake, b"\0")
            except OSError:
                pass  # It is full, and so ends the wait; or the loop has ended.

    def _mainloopPeriodic(self):
        """Called about once a second while the server runs. To be overridden."""

    def _hurry(self):
        """What runs has as long to finish as the flupd around gives it. Without one
        it has all its time."""
        if self._lent is not None and self._late is None:
            self._late = threading.Timer(self._lent.grace, self._lent.give_up)
            self._late.daemon = True
            self._late.start()

    def _exit(self, reload=False):
        """Ends the server from a subclass; `run` then returns `reload`."""
        if self._has_host:
            _hosted.say("_exit() ends nothing here: flupd has the workers")
        elif self._keepGoing:
            self._hupReceived = reload
            self._keepGoing = False

    # Signal handlers

    def _hupHandler(self, signum, frame):
        self._hupReceived = True
        self._keepGoing = False

    def _intHandler(self, signum, frame):
        self._keepGoing = False

    def _handlers(self):
        """Which signal is handled how."""
        return {
            signal.SIGINT: self._intHandler,
            signal.SIGTERM: self._intHandler,
            signal.SIGHUP: self._hupHandler,
        }

    def _installSignalHandlers(self):
        # Python lets the main thread alone handle signals; elsewhere somebody
        # else has to end the server.
        if threading.current_thread() is not threading.main_thread():
            self._oldSIGs = []
            return
        handlers = self._handlers()
        self._oldSIGs = [(number, signal.getsignal(number)) for number in handlers]
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def _restoreSignalHandlers(self):
        for number, handler in self._oldSIGs:
            # None: it was not installed by Python, and can't be put back.
            if handler is not None:
                signal.signal(number, handler)
        self._oldSIGs = []

    # The loop

    def _begin(self):
        """Handles signals from here on: to be called before anybody can connect."""
        if self._watched is not None:
            return
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._hupReceived = False
        self._keepGoing = True
        self._installSignalHandlers()
        self._watched = Watched(self._wake)

    def _done(self):
        """Nothing runs any more."""
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end(self):
        """Signals mean again what they meant before."""
        if self._watched is None:
            return
        self._watched.release()
        self._watched = None
        self._restoreSignalHandlers()
        woken, wake = self._woken, self._wake
        self._woken = self._wake = None
        os.close(woken)
        os.close(wake)

    def _seconds(self, patience):
        """How long the main loop may wait: for ever, unless the crew has something
        to do then, or someone wants to be called periodically."""
        return 1.0 if self._overrides("_mainloopPeriodic") or not self._watched.complete else patience

    def _wait(self, descriptors, seconds):
        """Waits until one of them is readable, or the loop is roused; says which
        are."""
        poll = select.poll()
        for fd in [self._woken, *descriptors]:
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)]
        if self._woken in ready:
            ready.remove(self._woken)
            try:
                os.read(self._woken, 4096)
            except BlockingIOError:
                pass
        return ready


class Watched:
    """Has signals end a wait of the main loop, also those that come just before
    it. Only the main thread may ask for that, and not if another has."""

    def __init__(self, wake):
        self.complete = False
        if threading.current_thread() is threading.main_thread():
            old = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
            if old == -1:
                self.complete = True
            else:
                signal.set_wakeup_fd(old)

    def release(self):
        if self.complete:
            signal.set_wakeup_fd(-1)
