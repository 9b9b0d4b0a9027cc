"""An app that is imported once and run by several processes."""

import atexit
import gc
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from dispatch import by_path, ok

IMPORTED_BY = os.getpid()
CHILDREN = []

print("imported")  # buffered: stdout is a pipe
atexit.register(lambda: print("atexit ran"))
os.register_at_fork(after_in_child=lambda: CHILDREN.append(os.getpid()))
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(5))
signal.signal(signal.SIGUSR2, lambda *_: os.write(2, b"handled\n"))


def title(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0")


def process(environ, start_response):
    ok(start_response)
    seen = {
        "imported_by": IMPORTED_BY,
        "parent": os.getppid(),
        "own_group": os.getpgrp() == os.getpid(),
        "children": CHILDREN == [os.getpid()],
        "frozen": gc.get_freeze_count() > 1000,
        "title": title(os.getpid()),
        "parent_title": title(os.getppid()),
        "comm": Path("/proc/self/comm").read_text().strip(),
        "threads": [thread.name for thread in threading.enumerate()],
        "main_thread": threading.current_thread() is threading.main_thread(),
        "sockets": sum(is_packet_socket(name) for name in os.listdir("/proc/self/fd")),
    }
    return [json.dumps(seen).encode()]


def is_packet_socket(name):
    """Whether this is a socket to the supervisor: the only kind of its type."""
    import socket

    try:
        with socket.socket(fileno=os.dup(int(name))) as known:
            return known.type == socket.SOCK_SEQPACKET
    except OSError:
        return False


def number(environ, start_response):
    ok(start_response)
    return [str(random.random()).encode()]


def forks(environ, start_response):
    """A child that comes back into the worker's loop."""
    if os.fork() == 0:
        return [b"of the child"]
    os.wait()
    ok(start_response)
    return [b"of the parent"]


def sleeps(environ, start_response):
    ok(start_response)(b"begun")
    time.sleep(60)
    return []


application = by_path(sys.modules[__name__])
