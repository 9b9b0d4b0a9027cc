"""Tells the client what it was given: the environ, and the body's length and hash."""

import hashlib
import json
from wsgiref.validate import validator


def echo(environ, start_response):
    length = 0
    digest = hashlib.sha256()
    while block := environ["wsgi.input"].read(65536):
        length += len(block)
        digest.update(block)

    told = {
        "environ": {
            name: value
            for name, value in environ.items()
            if isinstance(value, (str, bool, tuple))
        },
        "body_length": length,
        "body_sha256": digest.hexdigest(),
    }
    body = json.dumps(told).encode("ascii")
    start_response(
        "200 OK",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]


application = validator(echo)
