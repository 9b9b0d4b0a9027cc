"""Calls the app as flup does, on top of a server that calls it as PEP 3333 says.

What flup takes beyond the PEP is taken here: text and bytes in either place. An
exception becomes the server's error page as long as nothing has been sent; later
it ends the answer, and only a Content-Length tells that something is missing.
"""

import sys
import traceback


def answer(server, environ, start_response):
    """What the app returns, made fit to be sent."""
    try:
        result = server.application(environ, lenient(start_response))
        kind = type(result)
        if kind is list or kind is tuple:
            if any(type(chunk) is str for chunk in result):
                return [encoded(chunk) for chunk in result]
            return result
        # The server sends files without Python.
        if kind is environ.get("wsgi.file_wrapper"):
            return result
        return Body(server, environ, start_response, result)
    except BaseException:
        return failed(server, environ, start_response)


def lenient(start_response):
    """A start_response that takes bytes for text, and whose write takes text."""

    def start(status, response_headers, exc_info=None):
        headers = [(decoded(name), decoded(value)) for name, value in response_headers]
        write = start_response(decoded(status), headers, exc_info)
        return lambda data: write(encoded(data))

    return start


class Body:
    """The chunks of a body, and what to do when there is an exception instead."""

    def __init__(self, server, environ, start_response, result):
        self._server = server
        self._environ = environ
        self._start_response = start_response
        self._result = result
        self._chunks = iter(result)

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return encoded(next(self._chunks))
        except StopIteration:
            raise
        except BaseException:
            self._chunks = iter(failed(self._server, self._environ, self._start_response))
            return b""

    def close(self):
        """Closes what the app returned, as PEP 3333 says."""
        close = getattr(self._result, "close", None)
        if close is not None:
            try:
                close()
            except BaseException:
                traceback.print_exc(file=self._environ["wsgi.errors"])


def failed(server, environ, start_response):
    """Logs the exception that is being handled, and answers with the error page,
    unless too much has been sent already."""
    info = sys.exc_info()
    server._report(environ)
    request = server._request(environ, start_response, info)
    try:
        server.error(request)
    except BaseException as error:
        # This is how start_response says that the head has been sent.
        if error is not info[1]:
            raise
    finally:
        info = None  # A traceback that holds this frame is never freed.
    return ()


def encoded(data):
    """A chunk of a body; a str has characters for bytes."""
    return data.encode("latin-1") if type(data) is str else data


def decoded(text):
    """A native string; bytes are taken as latin-1."""
    return text.decode("latin-1") if type(text) is bytes else text


def respond(application, environ, output):
    """Calls the app and writes its answer to a file as a CGI response."""
    head = []
    sent = []

    def write(data):
        data = encoded(data)
        if not sent:
            if not head:
                raise AssertionError("write() before start_response()")
            sent.append(True)
            status, headers = head
            lines = ["Status: " + decoded(status)]
            lines += ["%s: %s" % (decoded(name), decoded(value)) for name, value in headers]
            output.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        if data:
            output.write(data)
            output.flush()

    def start_response(status, response_headers, exc_info=None):
        if exc_info:
            try:
                if sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif head:
            raise AssertionError("Headers already set!")
        head[:] = [status, list(response_headers)]
        return write

    result = application(environ, start_response)
    try:
        for data in result:
            if data:
                write(data)
        if not sent:
            write(b"")
    finally:
        if hasattr(result, "close"):
            result.close()
