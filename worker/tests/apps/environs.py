"""What an app sees of a request and of its process."""

import json
import os
import sys
import threading

from dispatch import by_path, ok


def environ(environ, start_response):
    ok(start_response)
    shown = {key: [type(value).__name__, repr(value)] for key, value in environ.items()}
    return [json.dumps([type(environ).__name__, shown]).encode()]


def process(environ, start_response):
    import __main__

    ok(start_response)
    return [
        json.dumps(
            {
                "argv": sys.argv,
                "path": sys.path,
                "cwd": os.getcwd(),
                "main": sorted(name for name in vars(__main__) if not name.startswith("__")),
                "ours": [name for name in sys.modules if "flupd" in name],
                "thread": threading.current_thread().name,
                "main_thread": threading.current_thread() is threading.main_thread(),
                "fds": inheritable(),
                "title": open("/proc/self/cmdline").read().rstrip("\0"),
                "comm": open("/proc/self/comm").read().strip(),
            }
        ).encode()
    ]


def inheritable():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # the one that lists
            pass
    return sorted(found)


application = by_path(sys.modules[__name__])
