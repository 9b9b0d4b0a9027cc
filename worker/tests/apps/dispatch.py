"""Apps made of cases: the path names the function."""


def by_path(module):
    """An app that calls the function of `module` that the path names."""

    def application(environ, start_response):
        case = getattr(module, environ["PATH_INFO"].strip("/"))
        return case(environ, start_response)

    return application


def ok(start_response, *headers):
    """Starts a plain answer; returns `write`."""
    return start_response("200 OK", [("Content-Type", "text/plain"), *headers])
