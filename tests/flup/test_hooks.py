"""What people put in the place of flup's own methods."""

import os
import signal
import socket
import unittest

from support import HELLO, Case, fastcgi, scgi

KINDS = ("fcgi", "fcgi_single", "fcgi_fork", "scgi", "scgi_fork")

RAISES = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/late":
        start_response("200 OK", [("Content-Length", "6")])
        def late():
            yield b"abc"
            raise ValueError("too late")
        return late()
    if environ["PATH_INFO"] == "/first":
        start_response("200 OK", [])
        def first():
            raise ValueError("at first")
            yield b"never"
        return first()
    if environ["PATH_INFO"] == "/exit":
        raise SystemExit(3)
    password = "hunter2"
    raise ValueError("no <way>")
"""


def subclass(kind, body):
    """The text of a module in which `flup.server.KIND.WSGIServer` is a subclass."""
    return """
import flup.server.KIND as module
class Mine(module.WSGIServer):
BODY
module.WSGIServer = Mine
""".replace("KIND", kind).replace("BODY", body)


def is_let_in(server, address):
    """Whether a connection to the server is answered."""
    try:
        return server.ask(address).text == "hello"
    except ConnectionError:
        return False


class Hooks(Case):
    def test_handler(self):
        body = """
    def handler(self, request):
        if self.protocol == "fastcgi":
            path = request.params["PATH_INFO"]
        else:
            path = request.environ["PATH_INFO"]
        if path == "/own":
            request.stdout.write("Status: 404 Mine\\r\\nX-Me: yes\\r\\n\\r\\nown ")
            request.stdout.write(request.stdin.read())
            return 0, 0
        return super().handler(request)
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, HELLO + subclass(kind, body))
                answer = server.get("/own", body=b"body")
                self.assertEqual((answer.status, answer.headers["X-Me"]), (404, "yes"))
                self.assertEqual(answer.text, "own body")
                self.assertEqual(server.get("/").text, "hello")
                server.stop()

    def test_handler_with_an_app_that_writes_raises_and_closes(self):
        app = """
class Body:
    def __iter__(self):
        yield b"b"
    def close(self):
        print("closed", flush=True)
def app(environ, start_response):
    write = start_response("200 OK", [("X-A", "b")])
    write("a")
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("after a")
    if environ["PATH_INFO"] == "/again":
        start_response("500 Again", [])
    return Body()
"""
        body = "    def handler(self, req): return super().handler(req)\n"
        server = self.serve("fcgi", app + subclass("fcgi", body))
        answer = server.get()
        self.assertEqual((answer.headers["X-A"], answer.text), ("b", "ab"))
        server.until_logged("closed")
        # What has been sent can't be taken back.
        for path in ("/raise", "/again"):
            answer = server.get(path)
            self.assertEqual((answer.text, answer.end), ("a", (0, 0)))
            self.assertIn(b"Error", answer.stderr)

    def test_error(self):
        body = """
    def error(self, request):
        import sys
        request.stdout.write(b"Status: 503 Sorry\\r\\nContent-Type: text/plain\\r\\n\\r\\n")
        request.stdout.write(sys.exc_info()[0].__name__.encode())
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, RAISES + subclass(kind, body))
                for path, name in (("/", "ValueError"), ("/first", "ValueError"), ("/exit", "SystemExit")):
                    answer = server.get(path)
                    self.assertEqual((answer.status, answer.text), (503, name))
                server.stop()

    def test_sanitizeEnv(self):
        body = """
    def _sanitizeEnv(self, environ):
        super()._sanitizeEnv(environ)
        environ["PATH_INFO"] += "!"
"""
        app = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["SCRIPT_NAME"] + "|" + environ["PATH_INFO"]]
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, app + subclass(kind, body))
                self.assertEqual(server.get("/a").text, "|/a!")
                server.stop()

    def test_isClientAllowed(self):
        body = """
    def _isClientAllowed(self, addr):
        import os
        print("asked", addr)
        return not os.path.exists("closed")
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, HELLO + subclass(kind, body))
                self.assertEqual(server.get().text, "hello")
                with open(self.path("closed"), "w"):
                    pass
                self.assertFalse(is_let_in(server, self.socket))
                os.unlink(self.path("closed"))
                self.assertEqual(server.get().text, "hello")
                server.stop()

    def test_the_lists_of_those_who_may_connect(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            address = sock.getsockname()
        for kind in KINDS:
            for listed, lets_in in (("10.0.0.1", False), ("10.0.0.1, 127.0.0.1", True)):
                with self.subTest(kind, listed=listed):
                    if kind.startswith("scgi"):
                        options = {"allowedServers": listed.split(", ")}
                        environ = {}
                    else:
                        options = {}
                        environ = {"FCGI_WEB_SERVER_ADDRS": listed}
                    text = "%s\nfrom flup.server.%s import WSGIServer\nimport sys\n" % (HELLO, kind)
                    text += "address = sys.argv[1:] or %r\n" % (address,)
                    text += "if type(address) is list: address = address[0]\n"
                    text += "WSGIServer(app, bindAddress=address, **%r).run()\n" % options
                    server = self.script(text, environ=environ)
                    server.ask = scgi if kind.startswith("scgi") else fastcgi
                    server.until_accepting(address)
                    self.assertEqual(is_let_in(server, address), lets_in)
                    server.end()
                    # It is about hosts: who can open a unix socket may.
                    server = self.script(text, environ=environ, arguments=[self.socket])
                    server.ask = scgi if kind.startswith("scgi") else fastcgi
                    server.until_accepting(self.socket)
                    self.assertTrue(is_let_in(server, self.socket))
                    server.end()

    def test_mainloopPeriodic_and_exit(self):
        body = """
    ticks = 0
    def _mainloopPeriodic(self):
        self.ticks += 1
        if self.ticks == 3:
            self._exit(reload=True)
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, HELLO + subclass(kind, body))
                self.assertTrue(server.returned())

    def test_exit_from_the_app(self):
        app = """
def app(environ, start_response):
    start_response("200 OK", [])
    server._exit()
    return [b"last"]
"""
        body = """
    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        global server
        server = self
"""
        for kind in ("fcgi", "fcgi_single", "scgi"):
            with self.subTest(kind):
                server = self.serve(kind, app + subclass(kind, body))
                self.assertEqual(server.get().text, "last")
                self.assertFalse(server.returned())

    def test_installSignalHandlers(self):
        body = """
    def _installSignalHandlers(self):
        super()._installSignalHandlers()
        import signal
        signal.signal(signal.SIGUSR2, self._hupHandler)
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, HELLO + subclass(kind, body))
                server.get()
                self.assertTrue(server.stop(signal.SIGUSR2))


    def test_hooks_put_into_flups_own_class(self):
        """No subclass, but flup's class changed from outside."""
        app = """
import flup.server.KIND as module
module.WSGIServer._isClientAllowed = lambda self, addr: print("asked") or True
module.WSGIServer._mainloopPeriodic = lambda self: print("tick")
module.WSGIServer._sanitizeEnv = lambda self, environ: environ.update(PATH_INFO="/mine")
def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"]]
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, app.replace("KIND", kind))
                self.assertEqual(server.get("/a").text, "/mine")
                server.until_logged("asked")
                server.until_logged("tick")
                server.stop()


class Errors(Case):
    def test_a_page_that_tells_nothing(self):
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, RAISES)
                for path in ("/", "/first", "/exit"):
                    answer = server.get(path)
                    self.assertEqual(answer.status, 500)
                    self.assertTrue(answer.headers["Content-Type"].startswith("text/html"))
                    self.assertIn("Unhandled Exception", answer.text)
                    for word in ("ValueError", "way", "hunter2", "Traceback", "script", "first"):
                        self.assertNotIn(word, answer.text)
                server.until_logged("ValueError: no <way>")
                server.stop()

    def test_a_page_with_the_traceback(self):
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, RAISES, "debug=True")
                answer = server.get()
                self.assertEqual(answer.status, 500)
                self.assertIn("ValueError: no &lt;way&gt;", answer.text)
                self.assertIn("script.fcgi", answer.text)
                self.assertIn("hunter2", answer.text)
                self.assertNotIn("<way>", answer.text)
                server.stop()

    def test_the_web_servers_error_log_gets_the_traceback(self):
        server = self.serve("fcgi", RAISES)
        answer = server.get()
        self.assertIn(b"Traceback", answer.stderr)
        self.assertIn(b"ValueError: no <way>", answer.stderr)

    def test_an_answer_that_has_begun_ends_where_the_app_raises(self):
        """As the demo of Python's HOWTO does, whose last row raises."""
        app = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    yield "<table>"
    yield None.replace("a", "b")
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, app)
                answer = server.get()
                self.assertEqual((answer.status, answer.text), (200, "<table>"))
                if not kind.startswith("scgi"):
                    self.assertEqual(answer.end, (0, 0))
                    self.assertIn(b"AttributeError", answer.stderr)
                server.until_logged("AttributeError")
                server.stop()

    def test_an_answer_that_is_shorter_than_it_says_is_cut(self):
        for kind in ("fcgi", "fcgi_single", "fcgi_fork"):
            with self.subTest(kind):
                server = self.serve(kind, RAISES)
                answer = server.get("/late")
                self.assertEqual((answer.status, answer.body, answer.end), (200, b"abc", None))
                self.assertNotIn("Unhandled", answer.text)
                server.stop()


if __name__ == "__main__":
    unittest.main()
