"""The runners for PasteDeploy and PasteScript."""

import signal
import socket
import unittest

from flup.server import paste_factory
from support import HELLO, Case, fastcgi, scgi


class Paste(Case):
    def test_each_runner_runs(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = str(sock.getsockname()[1])
        tcp = {"host": "127.0.0.1", "port": port}
        threads = {"minSpare": "1", "maxSpare": "2", "maxThreads": "3"}
        forks = {"minSpare": "1", "maxSpare": "2", "maxChildren": "3", "maxRequests": "9"}
        unix = {"socket": self.socket, "umask": "022", "multiplexed": "yes"}
        for name, options in (
            ("run_fcgi_thread", {**unix, **threads}),
            ("run_fcgi_fork", {**unix, **forks}),
            ("run_fcgi_thread", {**tcp, "debug": "off"}),
            ("run_scgi_thread", {**tcp, **threads, "allowedServers": "127.0.0.1 ::1"}),
            ("run_scgi_fork", {**tcp, **forks, "scriptName": "/a"}),
        ):
            with self.subTest(name, options=options):
                script = self.script("""%s
from flup.server.paste_factory import %s as run
run(app, {"debug": "true"}, **%r)
print("returned", None)
""" % (HELLO, name, options))
                address = options.get("socket") or ("127.0.0.1", int(port))
                script.until_accepting(address)
                ask = scgi if "scgi" in name else fastcgi
                self.assertEqual(ask(address).text, "hello")
                self.assertEqual(script.stop(signal.SIGHUP), "None")

    def test_their_arguments(self):
        self.assertEqual([paste_factory.mask(text) for text in ("022", "0", "18", None)], [18, 0, 18, None])
        self.assertTrue(paste_factory.debugs(paste_factory.NoDefault, {"debug": "On "}))
        self.assertFalse(paste_factory.debugs("no", {"debug": "true"}))
        self.assertEqual(paste_factory.aslist("a  b"), ["a", "b"])
        for wrong in (lambda: paste_factory.asbool("maybe"),
                      lambda: paste_factory.address("a", None, None),
                      lambda: paste_factory.address("a", "1", "/b")):
            with self.assertRaises(ValueError):
                wrong()

    def test_there_is_no_ajp(self):
        for name in ("ajp", "ajp_fork"):
            with self.assertRaisesRegex(ImportError, "use flup.server.fcgi"):
                __import__("flup.server." + name)


if __name__ == "__main__":
    unittest.main()
