"""SCGI itself, and the arguments of its servers."""

import logging
import socket
import unittest

from support import HELLO, Answer, Case, connect, scgi

KINDS = ("scgi", "scgi_fork")

SPLIT = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [repr((environ.get("SCRIPT_NAME"), environ.get("PATH_INFO")))]
"""


class Scgi(Case):
    def test_without_a_length_it_says_so(self):
        server = self.serve("scgi", HELLO)
        with connect(self.socket) as sock:
            sock.sendall(b"24:REQUEST_METHOD\0GET\0SCGI\x00,")
            self.assertEqual(Answer(sock.recv(4096)).status, 400)
        self.assertEqual(server.get().text, "hello")

    def test_the_input_ends_where_the_body_ends(self):
        """Also when the web server keeps its side open."""
        app = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, app)
                self.assertEqual(server.get(body=b"body").text, "body")
                server.stop()

    def test_scriptName(self):
        # As nginx's stock file says it: no SCRIPT_NAME, no PATH_INFO.
        nginx = {"SCRIPT_NAME": None, "PATH_INFO": None}
        # As a web server says it that knows the mount point.
        knows = {"SCRIPT_NAME": "/a", "PATH_INFO": "/b"}
        for arguments, said, expected in (
            ("", nginx, "('', '/a/b')"),
            ("", knows, "('/a', '/b')"),
            ("scriptName='/a'", nginx, "('/a', '/b')"),
            ("scriptName=''", knows, "('', '/a/b')"),
            ("scriptName=None", knows, "('/a', '/b')"),
        ):
            with self.subTest(arguments, said=said):
                server = self.serve("scgi", SPLIT, arguments)
                self.assertEqual(server.get("/a/b", **said).text, expected)
                server.stop()

    def test_loggingLevel(self):
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, HELLO)
                server.get("/seen")
                server.stop()
                server.until_logged("GET /seen")
                server.until_logged("WSGIServer shutting down")
                app = "import logging\n" + HELLO
                server = self.serve(kind, app, "loggingLevel=logging.WARNING")
                server.get("/unseen")
                server.stop()
                self.assertNotIn("unseen", server.log())
                server = self.serve(kind, app, "loggingLevel=logging.DEBUG")
                server.get("/timed")
                server.stop()
                self.assertRegex(server.log(), r"GET /timed done \(\d\.\d\d\d secs\)")

    def test_an_address_that_is_taken(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            for kind in KINDS:
                script = self.script("""
                    from flup.server.%s import WSGIServer
                    print("returned", WSGIServer(None, bindAddress=%r).run())
                """ % (kind, sock.getsockname()))
                self.assertFalse(script.returned())
                script.until_logged("Failed to bind socket")

    def test_none_is_the_socket_with_which_the_web_server_starts_it(self):
        for kind in KINDS:
            with self.subTest(kind), socket.socket(socket.AF_UNIX) as listening:
                path = self.path(kind)
                listening.bind(path)
                listening.listen()
                text = "%s\nfrom flup.server.%s import WSGIServer\n" % (HELLO, kind)
                text += "print('returned', WSGIServer(app, bindAddress=None).run())\n"
                script = self.script(text, stdin=listening)
                self.assertEqual(scgi(path).text, "hello")
                self.assertFalse(script.stop())


if __name__ == "__main__":
    unittest.main()
