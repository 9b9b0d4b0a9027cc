"""flup.client: WSGI apps that hand their requests on."""

import io
import os
import socket
import threading
import time
import unittest
from wsgiref.validate import validator

from flup.client.fcgi_app import FCGIApp
from flup.client.scgi_app import SCGIApp
from support import END, HELLO, STDERR, STDOUT, Case, params, record, records, until

BACKEND = """
import time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/environ":
        start_response("200 OK", [])
        return [repr(sorted(name for name in environ if name.isupper()))]
    if path == "/echo":
        start_response("200 Fine", [("X-Length", environ.get("CONTENT_LENGTH", "?"))])
        return iter(lambda: environ["wsgi.input"].read(65536), b"")
    if path == "/slowly":
        def slowly():
            yield b"first"
            time.sleep(1)
            yield b"last"
        start_response("200 OK", [])
        return slowly()
    if path == "/errors":
        environ["wsgi.errors"].write("from the backend\\n")
    start_response("302 Away", [("Content-Type", "text/plain"), ("Location", "/x"), ("Set-Cookie", "a"), ("Set-Cookie", "b")])
    return [b"away"]
"""

APPS = {"fcgi": FCGIApp, "scgi": SCGIApp}


def call(app, path="/", body=b"", **said):
    """Calls a WSGI app as a server does; status, headers, the iterable."""
    method = "POST" if body else "GET"
    environ = {**params(path, method, body), **said}
    environ.update({
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    })
    environ = {name: value for name, value in environ.items() if value is not None}
    got = []

    def start_response(status, headers, exc_info=None):
        got[:] = [status, headers]
        return lambda data: None

    result = app(environ, start_response)
    return got[0], got[1], result, environ


def whole(answer):
    """The body."""
    status, headers, result, _ = answer
    try:
        return b"".join(result)
    finally:
        result.close()


class Client(Case):
    def each(self):
        """Each client with its backend."""
        for kind, app in APPS.items():
            with self.subTest(kind):
                server = self.serve(kind, BACKEND)
                yield app(connect=self.socket)
                server.stop()

    def test_status_and_headers(self):
        for app in self.each():
            answer = call(validator(app), "/?a=b", HTTP_X="y")
            status, headers = answer[:2]
            self.assertEqual(status, "302 Away")
            self.assertIn(("Location", "/x"), headers)
            self.assertEqual([v for n, v in headers if n == "Set-Cookie"], ["a", "b"])
            self.assertEqual(whole(answer), b"away")

    def test_bodies_of_any_size(self):
        for app in self.each():
            for size in (0, 1, 65535, 65536, 3_000_000):
                body = os.urandom(size)
                answer = call(app, "/echo", body)
                self.assertEqual(whole(answer), body)
                self.assertIn(("X-Length", str(size)), answer[1])

    def test_a_body_of_unknown_length(self):
        for app in self.each():
            said = {"CONTENT_LENGTH": None, "wsgi.input_terminated": True}
            self.assertEqual(whole(call(app, "/echo", b"x" * 200000, **said)), b"x" * 200000)
            # Nobody has said that it ends: there is none.
            self.assertEqual(whole(call(app, "/echo", b"x", CONTENT_LENGTH=None)), b"")

    def test_an_answer_comes_as_it_is_made(self):
        for app in self.each():
            begun = time.monotonic()
            _, _, result, _ = call(app, "/slowly")
            self.assertEqual(next(result), b"first")
            self.assertLess(time.monotonic() - begun, 0.9)
            self.assertEqual(next(result), b"last")
            with self.assertRaises(StopIteration):
                next(result)
            result.close()

    def test_what_is_passed_on(self):
        said = {"HTTP_X": "1", "DOCUMENT_ROOT": "/", "AUTH_TYPE": "a", "own": "no"}
        for kind, app in APPS.items():
            with self.subTest(kind):
                server = self.serve(kind, BACKEND)
                names = whole(call(app(connect=self.socket), "/environ", **said)).decode()
                self.assertIn("HTTP_X", names)
                self.assertIn("AUTH_TYPE", names)
                self.assertNotIn("DOCUMENT_ROOT", names)
                light = app(connect=self.socket, filterEnviron=False)
                names = whole(call(light, "/environ", **said)).decode()
                self.assertIn("DOCUMENT_ROOT", names)
                self.assertNotIn("own", names)
                server.stop()

    def test_error_text_reaches_our_own_log(self):
        server = self.serve("fcgi", BACKEND)
        *_, result, environ = call(FCGIApp(connect=self.socket), "/errors")
        b"".join(result)
        result.close()
        self.assertIn("from the backend", environ["wsgi.errors"].getvalue())

    def test_tcp_by_host_and_port(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        script = self.script("""%s
from flup.server.fcgi import WSGIServer
WSGIServer(app, bindAddress=("127.0.0.1", %d)).run()
""" % (HELLO, port))
        script.until_accepting(("127.0.0.1", port))
        for app in (FCGIApp(host="127.0.0.1", port=port), FCGIApp(connect=("127.0.0.1", port))):
            self.assertEqual(whole(call(app)), b"hello")

    def test_wrong_arguments(self):
        for wrong in ({}, {"host": "a"}):
            with self.assertRaises(ValueError):
                FCGIApp(**wrong)
            with self.assertRaises(ValueError):
                SCGIApp(**wrong)
        with self.assertRaises(NotImplementedError):
            FCGIApp(command="php-cgi")


class Backends(Case):
    """Servers that are not as they should be, played by hand."""

    def backend(self, play):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self.socket)
        listening.listen()
        self.addCleanup(listening.close)

        def serve():
            sock, _ = listening.accept()
            with sock:
                play(sock)

        threading.Thread(target=serve, daemon=True).start()

    def test_an_answer_before_the_whole_body_was_read(self):
        def play(sock):
            sock.recv(100)
            sock.sendall(record(STDOUT, b"Status: 413 Too much\n\nno") + record(END, bytes(8)))

        self.backend(play)
        answer = call(FCGIApp(connect=self.socket), body=b"x" * 5_000_000)
        self.assertEqual((answer[0], whole(answer)), ("413 Too much", b"no"))

    def test_records_in_pieces_and_other_line_ends(self):
        def play(sock):
            raw = record(STDERR, b"oops\n") + record(STDOUT, b"Content-Type: a/b\n\nbo")
            raw += record(STDOUT, b"dy") + record(STDOUT) + record(END, bytes(8))
            for at in range(len(raw)):
                sock.sendall(raw[at:at + 1])
            sock.recv(1)

        self.backend(play)
        answer = call(FCGIApp(connect=self.socket))
        self.assertEqual((answer[0], whole(answer)), ("200 Status", b"body"))
        self.assertEqual(answer[3]["wsgi.errors"].getvalue(), "oops\n")

    def test_what_is_no_answer_is_an_error(self):
        for raw in (b"", b"HTTP/1.1 200", record(STDOUT, b"Content-Type: a/b\n\nbo"),
                    record(END, bytes(4) + b"\2" + bytes(3)), record(STDOUT, b"x" * 60000) * 3):
            with self.subTest(raw[:20]):
                self.backend(lambda sock: sock.sendall(raw))
                with self.assertRaises((OSError, ValueError)):
                    whole(call(FCGIApp(connect=self.socket)))
            os.unlink(self.socket)

    def test_nobody_there(self):
        for app in (FCGIApp, SCGIApp):
            with self.assertRaises(FileNotFoundError):
                call(app(connect=self.path("nobody")))


if __name__ == "__main__":
    unittest.main()
