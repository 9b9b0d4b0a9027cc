"""An app that needs more memory with each request below /grow, and tells its process."""

import os

KEPT = []


def application(environ, start_response):
    if environ["PATH_INFO"] == "/grow":
        KEPT.append(b"x" * (1 << 20))
    body = str(os.getpid()).encode("ascii")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
