"""Signal handlers that were set at import."""

import os
import signal
import sys
import traceback

from dispatch import by_path, ok

HANDLED = []


def on_usr1(number, frame):
    HANDLED.append(number)
    os.write(2, b"handled\n")


def on_usr2(number, frame):
    sys.exit(6)


def on_hup(number, frame):
    raise ValueError("from a handler")


def on_alarm(number, frame):
    """Raises, and has another signal come while that is being formatted."""
    original = traceback.format_exception

    def interrupted(*arguments):
        traceback.format_exception = original
        os.kill(os.getpid(), signal.SIGUSR2)
        return original(*arguments)

    traceback.format_exception = interrupted
    raise ValueError("interrupted while it is told")


signal.signal(signal.SIGALRM, on_alarm)
signal.signal(signal.SIGUSR1, on_usr1)
signal.signal(signal.SIGUSR2, on_usr2)
signal.signal(signal.SIGHUP, on_hup)


def handled(environ, start_response):
    ok(start_response)
    return [str(len(HANDLED)).encode()]


application = by_path(sys.modules[__name__])
