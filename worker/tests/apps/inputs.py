"""Every way to read the request body; each answers with a repr."""

import os
import sys
import threading

from dispatch import by_path, ok


def case(function):
    def answer(environ, start_response):
        ok(start_response)
        return [repr(function(environ["wsgi.input"])).encode()]

    return answer


@case
def read(body):
    return body.read(), body.read(), body.read(1)


@case
def sizes(body):
    return body.read(3), body.read(0), body.read(None)[:4], body.read(-1)


@case
def too_much(body):
    return body.read(10**18)


@case
def readline(body):
    lines = []
    while True:
        line = body.readline()
        lines.append(line)
        if not line:
            return lines


@case
def readline_sizes(body):
    return body.readline(2), body.readline(0), body.readline(100), body.readline(-1), body.read(1)


@case
def readlines(body):
    return body.readlines(), body.readlines()


@case
def readlines_hint(body):
    return body.readlines(1), body.readlines(4), body.readlines(0)


@case
def iterate(body):
    return next(body), list(body), iter(body) is body


@case
def readinto(body):
    buffer = bytearray(4)
    counts = [body.readinto(buffer), body.readinto(memoryview(buffer)[1:3])]
    try:
        body.readinto(b"    ")
    except TypeError:
        counts.append("TypeError")
    return counts, bytes(buffer), body.readinto(bytearray(0))


@case
def wrong(body):
    raised = []
    for call in (body.read, body.readline):
        try:
            call("1")
        except TypeError as error:
            raised.append(type(error).__name__)
    return raised, body.read(1)


@case
def shared(body):
    """Eight threads take the body apart; no byte is lost or read twice."""
    parts = []

    def take():
        while part := body.read(7):
            parts.append(part)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(len, parts)), sorted(b"".join(parts)) == sorted(b"0123456789" * 1000)


@case
def digest(body):
    import hashlib

    digest = hashlib.sha256()
    while block := body.read(100_000):
        digest.update(block)
    return digest.hexdigest()


kept = []


@case
def keep(body):
    kept.append(body)
    return body.read(4)


@case
def kept_reads(body):
    """What each way to read says of the inputs that were kept."""
    said = set()
    for old in kept:
        ways = (
            old.read,
            lambda: old.read(0),
            old.readline,
            old.readlines,
            lambda: next(old),
            lambda: old.readinto(bytearray(9)),
        )
        for way in ways:
            try:
                said.add(way())
            except ValueError as error:
                said.add(str(error))
    return len(kept), said, body.read()


@case
def in_a_child(body):
    """What a forked child can read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, body.read())
        except OSError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(reader, 100), body.read()


application = by_path(sys.modules[__name__])
