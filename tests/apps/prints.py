"""Apps that print: line by line, in pieces, from C and from children, in floods and
in their last moments."""

import ctypes
import os
import subprocess
import sys
from urllib.parse import parse_qs


def numbered(environ, start_response, query):
    """`count` lines on each stream, each with the mark of the request. Not by `print`,
    which writes line and line end apart: threads may come in between."""
    for number in range(int(query["count"])):
        sys.stdout.write(f"out {query['mark']} {number} end\n")
        sys.stderr.write(f"err {query['mark']} {number} end\n")
    return "printed\n"


def from_c(environ, start_response, query):
    libc = ctypes.CDLL(None)
    libc.puts(b"printed by a library")
    libc.fflush(None)
    os.write(2, b"written to the descriptor\n")
    return "printed\n"


def from_child(environ, start_response, query):
    subprocess.run(["sh", "-c", "echo out of a child; echo error of a child >&2"], check=True)
    return "printed\n"


def partial(environ, start_response, query):
    sys.stderr.write("no end of line")
    sys.stderr.flush()
    return "printed\n"


def long(environ, start_response, query):
    print("<" + "x" * int(query["length"]) + ">")
    return "printed\n"


def raw(environ, start_response, query):
    """Bytes that no terminal should see, and lines that look like flupd's."""
    os.write(2, b"\x1b[2J\rERROR worker died \xff\n2026-01-01T00:00:00Z  INFO ready\n")
    return "printed\n"


def flood(environ, start_response, query):
    line = b"flood " + b"x" * 92 + b"\n"
    for _ in range(int(query["count"]) // 1000):
        os.write(1, line * 1000)
    return "printed\n"


def crash(environ, start_response, query):
    print("last words")
    ctypes.string_at(0)


def hello(environ, start_response, query):
    return "hello\n"


APPS = {
    "/numbered": numbered,
    "/from-c": from_c,
    "/from-child": from_child,
    "/partial": partial,
    "/long": long,
    "/raw": raw,
    "/flood": flood,
    "/crash": crash,
    "/hello": hello,
}

print("printed at import")


def application(environ, start_response):
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    text = APPS[environ["PATH_INFO"]](environ, start_response, query)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
