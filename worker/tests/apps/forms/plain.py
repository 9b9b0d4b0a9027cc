"""Callables under several names."""


def application(environ, start_response):
    start_response("200 OK", [])
    return [("%s application" % __name__).encode()]


def app(environ, start_response):
    start_response("200 OK", [])
    return [b"app"]


def make():
    return app


def make_with(argument):
    return app


def make_none():
    return None


def make_broken():
    raise ValueError("the factory's own fault")


class Holder:
    inner = staticmethod(app)


number = 1
