"""The standard library's validator around apps that use all of WSGI."""

import io
import sys
from wsgiref.validate import validator

from dispatch import by_path, ok


def reads(environ, start_response):
    body = environ["wsgi.input"]
    parts = [body.readline(), body.read(3), *body.readlines(), *body]
    environ["wsgi.errors"].write("a word\n")
    environ["wsgi.errors"].writelines(["a ", "line\n"])
    environ["wsgi.errors"].flush()
    ok(start_response)
    return [b"|".join(parts)]


def generator(environ, start_response):
    ok(start_response)
    yield b"a"
    yield b"b"


def writes(environ, start_response):
    ok(start_response)(b"written")
    return []


def file(environ, start_response):
    ok(start_response)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))


application = validator(by_path(sys.modules[__name__]))
