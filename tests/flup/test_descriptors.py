"""Standard streams that are closed, as the FastCGI specification (section 2.2)
leaves them, or that nobody reads."""

import os
import signal
import subprocess
import unittest

from support import FLUPD, Case, until

KINDS = ("fcgi", "fcgi_single", "fcgi_fork", "scgi", "scgi_fork")

APP = """
import os, sys
def app(environ, start_response):
    print("printed", environ["PATH_INFO"])
    if sys.stdout is not None:
        sys.stdout.flush()
    environ["wsgi.errors"].write("to the log\\n")
    read = sys.stdin.read() if sys.stdin is not None else ""
    start_response("200 OK", [])
    return ["%d " % os.getpid(), read, "body"]
"""


def closing(*numbers):
    """For a child: closes these."""

    def close():
        for number in numbers:
            os.close(number)

    return close


class Closed(Case):
    def test_closed_streams(self):
        # With flupd the first one is the web server's socket.
        cases = ((1,), (2,), (1, 2)) if FLUPD else ((0,), (1,), (2,), (1, 2), (0, 1, 2))
        for kind in KINDS:
            for closed in cases:
                with self.subTest(kind, closed=closed):
                    server = self.serve(kind, APP, preexec_fn=closing(*closed))
                    for _ in range(3):
                        answer = server.get("/a")
                        self.assertEqual(answer.status, 200)
                        self.assertTrue(answer.text.endswith(" body"), answer)
                    server.signal(signal.SIGTERM)
                    self.assertEqual(server.process.wait(30), 0)

    def test_a_pipe_that_nobody_reads(self):
        for kind in KINDS:
            with self.subTest(kind):
                reader, writer = os.pipe()
                server = self.serve(kind, APP.replace("print(", "0 and print("), stdout=writer, stderr=writer)
                os.close(writer)
                os.close(reader)
                for _ in range(3):
                    self.assertEqual(server.get("/a").status, 200)
                server.signal(signal.SIGTERM)
                server.process.wait(30)


if __name__ == "__main__":
    unittest.main()
