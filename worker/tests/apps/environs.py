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


kept = []


def keep(environ, start_response):
    """Keeps one of the objects that it was given."""
    given = [environ, start_response, ok(start_response), environ["wsgi.errors"]]
    kept.append(given[int(environ["HTTP_X_WHICH"])])
    return [b"kept"]


def kept_ones(environ, start_response):
    """Whether it is given any of those, and what they still do."""
    given = [environ, start_response, ok(start_response), environ["wsgi.errors"]]
    said = []
    for old in kept:
        if callable(old):
            try:
                old(b"x") if type(old).__name__ == "write" else ok(old)
            except OSError as error:
                said.append(str(error))
    again = sum(old is new for old in kept for new in given)
    path = [old["HTTP_X_WHICH"] for old in kept if type(old) is dict]
    return [repr((len(kept), again, said, path)).encode()]


def spoil(environ, start_response):
    """Does to its environ what it may, and shows what it was."""
    ok(start_response)
    shown = repr(sorted((k, v) for k, v in environ.items() if k.startswith("HTTP_X")))
    environ["HTTP_X_OURS"] = "ours"
    environ["wsgi.version"] = environ["wsgi.url_scheme"] = None
    for key in [key for key in environ if key.startswith("HTTP")]:
        del environ[key]
    if "clear" in shown:
        environ.clear()
    return [shown.encode()]


application = by_path(sys.modules[__name__])
