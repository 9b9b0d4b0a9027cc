"""An app that keeps the interpreter while it works."""

import ctypes
from urllib.parse import parse_qs

# Called without letting go of the interpreter, unlike what CDLL does.
python = ctypes.PyDLL(None)


def keep(environ):
    open(parse_qs(environ["QUERY_STRING"])["started"][0], "w").close()
    python.usleep(800_000)
    return b"kept\n"


def quick(environ):
    return b"quick\n"


def application(environ, start_response):
    body = {"/keep": keep, "/quick": quick}[environ["PATH_INFO"]](environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
