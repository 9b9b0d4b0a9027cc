"""One request from the environment and standard input."""

import os
import socket
import subprocess
import sys
import tempfile
import unittest

from support import HELLO, Answer, Case, params

BODY = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    flags = [environ["wsgi." + name] for name in ("multithread", "multiprocess", "run_once")]
    print("to the error log", file=environ["wsgi.errors"])
    return [repr((flags, environ["PATH_INFO"], environ["wsgi.input"].read())).encode()]
"""


class Cgi(Case):
    def run_cgi(self, app, kind="fcgi", arguments="", stdin=b"", body=None, environ=None, said=None):
        text = app + "\nfrom flup.server.%s import WSGIServer\nWSGIServer(app%s).run()\n"
        path = self.path("script.cgi")
        with open(path, "w") as file:
            file.write(text % (kind, arguments))
        keep = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME")
        env = {name: os.environ[name] for name in keep if name in os.environ}
        env.update(params("/a", body=body) if said is None else said)
        env.update(environ or {})
        given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        done = subprocess.run([sys.executable, path], env=env, capture_output=True, timeout=30, **given)
        self.assertEqual(done.returncode, 0, done.stderr)
        return Answer(done.stdout, done.stderr)

    def test_a_standard_input_that_is_no_socket(self):
        for kind in ("fcgi", "fcgi_single", "fcgi_fork", "cgi"):
            with self.subTest(kind):
                answer = self.run_cgi(BODY, kind, stdin=b"body and more", body=b"body")
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["Content-Type"], "text/plain")
                self.assertEqual(answer.text, "([False, True, True], '/a', b'body')")
                self.assertEqual(answer.stderr, b"to the error log\n")

    def test_a_standard_input_that_never_ends(self):
        reader, writer = os.pipe()
        os.write(writer, b"body")
        answer = self.run_cgi(BODY, stdin=reader, body=b"body")
        os.close(writer)
        os.close(reader)
        self.assertIn("b'body'", answer.text)

    def test_forced_although_there_is_a_socket(self):
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(self.socket)
        listening.listen()
        said = params("/forced")
        answer = self.run_cgi(HELLO, arguments=", forceCGI=True", stdin=listening, said=said)
        self.assertEqual(answer.text, "hello")
        environ = {"FCGI_FORCE_CGI": "y"}
        self.assertEqual(self.run_cgi(HELLO, stdin=listening, environ=environ).text, "hello")

    def test_a_standard_input_that_is_a_connected_socket(self):
        """Some web servers hand over the body so."""
        ours, theirs = socket.socketpair()
        ours.sendall(b"body")
        answer = self.run_cgi(BODY, stdin=theirs, body=b"body")
        ours.close()
        theirs.close()
        self.assertIn("b'body'", answer.text)

    def test_what_the_web_server_leaves_out(self):
        """Also how a script is tried in a shell."""
        app = """
def app(environ, start_response):
    start_response("200 OK", [])
    names = ("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME", "PATH_INFO")
    return [repr([environ[name] for name in names])]
"""
        answer = self.run_cgi(app, said={})
        self.assertEqual(answer.text, "['GET', 'localhost', '80', '', '']")
        self.assertIn(b"missing param SERVER_NAME", answer.stderr)

    def test_an_app_that_raises(self):
        app = "def app(environ, start_response):\n    raise ValueError('no')\n"
        answer = self.run_cgi(app)
        self.assertEqual(answer.status, 500)
        self.assertIn("Unhandled Exception", answer.text)
        self.assertNotIn("ValueError", answer.text)
        self.assertIn(b"ValueError: no", answer.stderr)
        self.assertIn("ValueError: no", self.run_cgi(app, arguments=", debug=True").text)

    def test_write_text_and_close(self):
        app = """
class Body:
    def __iter__(self):
        return iter(["\\xe9", b"c"])
    def close(self):
        import sys
        sys.stderr.write("closed")
def app(environ, start_response):
    start_response("200 OK", [(b"X-A", b"b")])("a")
    return Body()
"""
        answer = self.run_cgi(app)
        self.assertEqual((answer.body, answer.headers["X-A"]), (b"a\xe9c", "b"))
        self.assertIn(b"closed", answer.stderr)

    def test_what_follows_run_is_not_reached(self):
        answer = self.run_cgi(HELLO, arguments=").run(); print('more'")
        self.assertTrue(answer.text.endswith("hello"))


if __name__ == "__main__":
    unittest.main()
