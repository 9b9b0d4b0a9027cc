"""An app in versions: what the new one does wrong stands in MODE."""

import os
import threading
import time

VERSION = "1"
MODE = "good"
ANSWERED = 0
LOCK = threading.Lock()


def application(environ, start_response):
    global ANSWERED
    with LOCK:
        ANSWERED += 1
        number = ANSWERED
    time.sleep(0.05 if MODE == "slow" else 0.002)
    if MODE == "stuck":
        time.sleep(600)
    if MODE == "dies" and number == 3:
        os._exit(3)
    if MODE == "fails":
        raise RuntimeError("no such table: carts")
    body = VERSION.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
