"""FastCGI itself, and the arguments of its servers."""

import os
import socket
import stat
import struct
import unittest

from support import (
    ABORT, BEGIN, END, GET_VALUES, HELLO, PARAMS, STDIN, STDOUT, VALUES, Case, begin, connect,
    fastcgi, fastcgi_answer, pairs, params, record, records,
)

KINDS = ("fcgi", "fcgi_single", "fcgi_fork")

ENVIRON = """
def app(environ, start_response):
    start_response("200 OK", [])
    name = environ["QUERY_STRING"]
    if name:
        return [repr(environ.get(name))]
    return [repr((environ["SCRIPT_NAME"], environ["PATH_INFO"]))]
"""


def port():
    """A TCP port that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Addresses(Case):
    def listening(self, address, arguments=""):
        """Serves there with each kind of server."""
        for kind in KINDS:
            with self.subTest(kind):
                script = self.script("""
                    %s
                    from flup.server.%s import WSGIServer
                    print("returned", WSGIServer(app, bindAddress=%r, %s).run())
                """.replace("\n                    ", "\n") % (HELLO, kind, address, arguments))
                script.until_accepting(address)
                self.assertEqual(fastcgi(address).text, "hello")
                yield script
                script.stop()

    def test_two_items_are_ipv4(self):
        for _ in self.listening(("127.0.0.1", port())):
            pass

    def test_more_items_are_ipv6(self):
        for _ in self.listening(("::1", port(), 0, 0)):
            pass

    def test_a_path_is_a_unix_socket_and_an_old_one_is_replaced(self):
        old = socket.socket(socket.AF_UNIX)
        old.bind(self.socket)
        old.close()
        for _ in self.listening(self.socket, "umask=0o117"):
            self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o660)
        for _ in self.listening(self.socket, "umask=0"):
            self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o777)

    def test_the_umask_is_put_back(self):
        app = """
import os
os.umask(0o027)
def app(environ, start_response):
    start_response("200 OK", [])
    return [oct(os.umask(0o027))]
"""
        server = self.serve("fcgi", app, "umask=0")
        self.assertEqual(server.get().text, "0o27")

    def test_a_file_that_is_no_socket_is_not_deleted(self):
        with open(self.socket, "w") as file:
            file.write("mine")
        script = self.script("""
            from flup.server.fcgi import WSGIServer
            WSGIServer(None, bindAddress=%r).run()
        """ % self.socket)
        self.assertNotEqual(script.process.wait(30), 0)
        self.assertIn("can't listen on unix:" + self.socket, script.log())
        with open(self.socket) as file:
            self.assertEqual(file.read(), "mine")

    def test_none_is_the_socket_with_which_the_web_server_starts_it(self):
        for kind in KINDS:
            with self.subTest(kind):
                listening = socket.socket(socket.AF_UNIX)
                path = self.path(kind)
                listening.bind(path)
                listening.listen()
                text = "%s\nfrom flup.server.%s import WSGIServer\n" % (HELLO, kind)
                text += "print('returned', WSGIServer(app).run())\n"
                script = self.script(text, stdin=listening)
                self.assertEqual(fastcgi(path).text, "hello")
                self.assertFalse(script.stop())
                # It is the web server's: it goes on listening.
                listening.settimeout(1)
                connect(path).close()
                listening.accept()[0].close()
                listening.close()


class Environ(Case):
    def test_what_the_script_says_overrides_what_the_web_server_says(self):
        extra = {"REMOTE_USER": "me", "HTTPS": "on", "own.key": 5, "wsgi.run_once": True}
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, ENVIRON, "environ=%r" % extra)
                ask = lambda name: server.get("/?" + name, REMOTE_USER="you").text
                self.assertEqual(ask("REMOTE_USER"), "'me'")
                self.assertEqual(ask("own.key"), "5")
                self.assertEqual(ask("wsgi.url_scheme"), "'https'")
                self.assertEqual(ask("wsgi.run_once"), "False")
                server.stop()

    def test_a_script_name_of_the_script_moves_the_mount_point(self):
        for mount, expected in (("", "('', '/a/b')"), ("/a", "('/a', '/b')")):
            server = self.serve("fcgi", ENVIRON, "environ={'SCRIPT_NAME': %r}" % mount)
            # As nginx says it with its stock file.
            said = {"SCRIPT_NAME": "/a/b", "PATH_INFO": None, "SERVER_SOFTWARE": "nginx/1.22"}
            self.assertEqual(server.get("/a/b", **said).text, expected)
            server.stop()

    def test_what_pep_3333_has_and_flup_had_not(self):
        app = """
import io
def app(environ, start_response):
    start_response("200 OK", [])
    assert environ["wsgi.input_terminated"] is True
    return environ["wsgi.file_wrapper"](io.BytesIO(environ["wsgi.input"].read() * 2))
"""
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, app)
                self.assertEqual(server.get(body=b"x" * 100000).body, b"x" * 200000)
                server.stop()

    def test_text_and_bytes_in_each_others_places(self):
        """flup takes str for a chunk of a body, and bytes for status and headers."""
        app = """
def app(environ, start_response):
    write = start_response(b"201 Made", [(b"X-A", b"b\\xe9"), ("X-B", "c\\xe9")])
    path = environ["PATH_INFO"]
    if path == "/write":
        write("text \\xe9")
        return []
    if path == "/list":
        return ["text ", b"\\xe9"]
    def chunks():
        yield "text "
        yield b"\\xe9"
    return chunks()
"""
        for kind in ("fcgi", "scgi"):
            server = self.serve(kind, app)
            for path in ("/write", "/list", "/chunks"):
                with self.subTest(kind, path=path):
                    answer = server.get(path)
                    self.assertEqual((answer.status, answer.body), (201, b"text \xe9"))
                    self.assertEqual(answer.headers["X-A"], "b\xe9")
                    self.assertEqual(answer.headers["X-B"], "c\xe9")
            server.stop()


class Protocol(Case):
    def test_roles_that_it_does_not_play_are_refused(self):
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, HELLO)
                for role in (2, 3, 9):
                    self.assertEqual(server.get(role=role).end, (0, 3))
                server.stop()

    def test_roles_that_it_plays(self):
        app = """
from flup.server.fcgi_base import FCGI_AUTHORIZER, FCGI_FILTER
class Body(list):
    pass
def app(environ, start_response):
    # An authorizer's 200 would go out without its body.
    start_response("403 Forbidden", [])
    data = environ.get("flupd.data")
    return [repr((environ["flupd.role"], data and data.read()))]
"""
        handler = """
import flup.server.fcgi as module
class Mine(module.WSGIServer):
    def handler(self, req):
        print("role", req.role, req.data.read())
        return super().handler(req)
module.WSGIServer = Mine
"""
        for text in (app, app + handler):
            server = self.serve("fcgi", text, "roles=(FCGI_AUTHORIZER, FCGI_FILTER)")
            self.assertEqual(server.get(role=2).text, "('authorizer', None)")
            self.assertEqual(server.get(role=1).end, (0, 3))
            server.stop()
        self.assertIn("role 2 b''", server.log())

    def test_get_values_is_answered(self):
        names = ("FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS", "FCGI_OTHER")
        for arguments, multiplexes in (("", b"0"), ("multiplexed=True", b"1")):
            server = self.serve("fcgi", HELLO, arguments)
            with connect(self.socket) as sock:
                sock.sendall(record(GET_VALUES, pairs(dict.fromkeys(names, "")), id=0))
                kind, id, content = next(records(sock))
            self.assertEqual((kind, id), (VALUES, 0))
            self.assertIn(b"FCGI_MPXS_CONNS" + multiplexes, content)
            self.assertRegex(content, rb"FCGI_MAX_CONNS[1-9]")
            self.assertRegex(content, rb"FCGI_MAX_REQS[1-9]")
            self.assertNotIn(b"OTHER", content)
            server.stop()

    def test_a_connection_carries_as_many_requests_as_it_says(self):
        app = """
import time
def app(environ, start_response):
    time.sleep(0.3)
    start_response("200 OK", [])
    return [b"hello"]
"""
        block = record(PARAMS, pairs(params())), record(PARAMS), record(STDIN)
        for arguments, statuses in (("", [0, 1]), ("multiplexed=True", [0, 0])):
            server = self.serve("fcgi", app, arguments)
            with connect(self.socket) as sock:
                for id in (1, 2):
                    sock.sendall(begin(id, keep=1))
                for id in (1, 2) if statuses[1] == 0 else (1,):
                    whole = (PARAMS, pairs(params())), (PARAMS, b""), (STDIN, b"")
                    sock.sendall(b"".join(record(kind, content, id) for kind, content in whole))
                ends = {}
                for kind, id, content in records(sock):
                    if kind == END:
                        ends[id] = content[4]
                    if len(ends) == 2:
                        break
            self.assertEqual([ends[1], ends[2]], statuses)
            server.stop()

    def test_a_pair_may_cross_records(self):
        server = self.serve("fcgi", ENVIRON)
        block = pairs(params("/?HTTP_X", HTTP_X="x" * 300))
        for cut in (1, 7, len(block) // 2, len(block) - 1):
            with connect(self.socket) as sock:
                sock.sendall(begin() + record(PARAMS, block[:cut]) + record(PARAMS, block[cut:]))
                sock.sendall(record(PARAMS) + record(STDIN))
                self.assertEqual(fastcgi_answer(sock).text, repr("x" * 300))

    def test_a_large_upload_and_a_large_answer(self):
        app = """
def app(environ, start_response):
    start_response("200 OK", [])
    return iter(lambda: environ["wsgi.input"].read(10000), b"")
"""
        body = os.urandom(3_000_000)
        for kind in KINDS:
            with self.subTest(kind):
                server = self.serve(kind, app)
                self.assertEqual(server.get(body=body).body, body)
                server.stop()

    def test_a_kept_connection_holds_no_child(self):
        """In flup a fork server's child belongs to a connection as long as that lives."""
        server = self.serve("fcgi_fork", HELLO, "maxSpare=1, maxChildren=1")
        kept = [connect(self.socket) for _ in range(3)]
        whole = begin(keep=1) + record(PARAMS, pairs(params())) + record(PARAMS) + record(STDIN)
        for _ in range(2):
            for sock in kept:
                sock.sendall(whole)
                self.assertEqual(fastcgi_answer(sock).text, "hello")
        for sock in kept:
            sock.close()


if __name__ == "__main__":
    unittest.main()
