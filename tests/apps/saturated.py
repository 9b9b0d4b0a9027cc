"""Apps that keep their thread busy, each in another way, until a file exists, or
for a given time."""

import ctypes
import os
import time
from urllib.parse import parse_qs

# Unlike CDLL, PyDLL does not give the interpreter away during a call.
HOLDING = ctypes.PyDLL(None)


def in_python():
    for _ in range(10_000):
        pass


def in_sleep():
    time.sleep(0.02)


def in_c():
    HOLDING.usleep(300_000)


def nap(query, start_response):
    time.sleep(float(query["seconds"][0]))
    start_response(query["status"][0] + " As Asked", [("Content-Type", "text/plain")])
    return [b"slept\n"]


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    if environ["PATH_INFO"] == "/nap":
        return nap(query, start_response)
    work = {"/python": in_python, "/sleep": in_sleep, "/c": in_c}[environ["PATH_INFO"]]
    with open(query["started"][0], "a"):
        pass
    while not os.path.exists(query["gate"][0]):
        work()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done\n"]
