"""An app with a path for flupd's probe, which answers as MODE says."""

import os
import sys
import time

MODE = "good"
VERSION = "1"


def healthz(environ):
    with open("asked", "a", encoding="utf-8") as asked:
        names = ["FLUPD_PROBE", "HTTP_HOST", "REMOTE_ADDR", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"]
        asked.write(" ".join(f"{name}={environ.get(name)}" for name in names) + f" {VERSION}\n")
    if MODE == "raises":
        raise RuntimeError("no such table: carts")
    if MODE == "stuck":
        time.sleep(600)  # stuck here
    if MODE == "dies":
        os._exit(3)
    if MODE == "leaves":
        sys.exit("no")
    if MODE == "bad":
        print("the cache is cold", file=environ["wsgi.errors"])
        return "503 Cold"
    return "302 Found" if MODE == "moved" else "204 No Content"


def application(environ, start_response):
    if environ["PATH_INFO"] == "/healthz":
        start_response(healthz(environ), [])
        return []
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {os.getpid()}".encode()]
