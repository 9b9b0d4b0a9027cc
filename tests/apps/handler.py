"""Counts a signal that the app itself has a handler for."""

import os
import signal

heard = 0


def hear(number, frame):
    global heard
    heard += 1


signal.signal(signal.SIGUSR2, hear)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid() if environ["PATH_INFO"] == "/pid" else heard).encode("ascii")]
