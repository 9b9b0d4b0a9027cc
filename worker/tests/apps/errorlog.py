"""wsgi.errors."""

import logging
import sys
import threading

from dispatch import by_path, ok

KEPT = []


def lines(environ, start_response):
    errors = environ["wsgi.errors"]
    written = errors.write("one\ntw")
    errors.flush()
    errors.writelines(["o\n", "three"])
    print(" and four", file=errors)
    errors.write("r\xe9st \udcff")
    ok(start_response)
    return [str(written).encode()]


def wrong(environ, start_response):
    errors = environ["wsgi.errors"]
    raised = []
    for call, argument in ((errors.write, b"bytes"), (errors.writelines, [1])):
        try:
            call(argument)
        except TypeError as error:
            raised.append(str(error))
    ok(start_response)
    return ["; ".join(raised).encode()]


def keep(environ, start_response):
    KEPT.append((environ["wsgi.errors"], start_response, ok(start_response)))
    return []


def use_kept(environ, start_response):
    errors, old_start_response, write = KEPT.pop()
    errors.write("a late word\n")
    raised = []
    for call in (lambda: old_start_response("200 OK", []), lambda: write(b"late")):
        try:
            call()
        except OSError as error:
            raised.append(str(error))
    ok(start_response)
    return ["; ".join(raised).encode()]


def threads(environ, start_response):
    def write(number):
        for _ in range(50):
            environ["wsgi.errors"].write(f"line of {number}\n")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ok(start_response)
    return []


def logged(environ, start_response):
    handler = logging.StreamHandler(environ["wsgi.errors"])
    logger = logging.getLogger("case")
    logger.addHandler(handler)
    logger.warning("a warning")
    logger.removeHandler(handler)
    ok(start_response)
    return []


def long_line(environ, start_response):
    for _ in range(3):
        environ["wsgi.errors"].write("x" * 50_000)
    ok(start_response)
    return []


application = by_path(sys.modules[__name__])
