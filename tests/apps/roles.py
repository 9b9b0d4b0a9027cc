"""An app for each role of FastCGI."""

import base64
import json
from wsgiref.validate import validator


def authorizer(environ, start_response):
    """Lets in who knows the word; tells the web server who that is."""
    assert environ["wsgi.input"].read(1) == b"" and "CONTENT_LENGTH" not in environ
    assert environ["SCRIPT_NAME"] == ""
    word = environ.get("REMOTE_PASSWD")
    if "HTTP_AUTHORIZATION" in environ:
        given = environ["HTTP_AUTHORIZATION"].partition("Basic ")[2]
        word = base64.b64decode(given).decode().partition(":")[2]
    if word == "sesame" or environ.get("HTTP_COOKIE") == "word=sesame":
        headers = [("Variable-REMOTE_USER", "alice"), ("Variable-ASKED", environ["PATH_INFO"])]
        start_response("200 OK", [("Content-Type", "text/plain"), *headers])
        return [b"this goes nowhere\n"]
    headers = [("WWW-Authenticate", 'Basic realm="cave"')]
    start_response("401 Unauthorized", [("Content-Type", "text/plain"), *headers])
    return [b"say the word\n"]


def responder(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    return [json.dumps(told).encode()]


def filter(environ, start_response):
    """Shows both streams in all ways in which they can be read."""
    data, body = environ["flupd.data"], environ["wsgi.input"]
    line = data.readline()
    rest = b"".join(data)
    assert data.read() == b"" and len(line + rest) == int(environ["FCGI_DATA_LENGTH"])
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body.read(-1), b"|", environ["FCGI_DATA_LAST_MOD"].encode(), b"|", (line + rest).upper()]


@validator
def application(environ, start_response):
    return globals()[environ["flupd.role"]](environ, start_response)
