"""The smallest app."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, " + environ["PATH_INFO"].encode("latin-1") + b"\n"]
