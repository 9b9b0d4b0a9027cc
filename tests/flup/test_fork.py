"""fcgi_fork and scgi_fork: a process that forks others."""

import os
import signal
import time
import unittest

from support import BEGIN, Case, at_once, begin, connect, fastcgi, until

PID = """
import os, time
def app(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [])
    return [str(os.getpid())]
"""

# Each request waits for five others.
MEETING = PID + """
import glob
def app(environ, start_response, answer=app):
    name = environ["PATH_INFO"].strip("/")
    open("here." + name, "w").close()
    while len(glob.glob("here." + name[:-1] + "*")) < 6:
        time.sleep(0.01)
    return answer(environ, start_response)
"""


def alive(pid):
    """Whether this process runs."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Fork(Case):
    def members(self, server):
        """The app processes."""
        return {pid for pid, title in server.children().items() if "child" in title}

    def test_it_grows_past_maxSpare_and_shrinks_again(self):
        for kind in ("fcgi_fork", "scgi_fork"):
            with self.subTest(kind):
                server = self.serve(kind, MEETING, "minSpare=1, maxSpare=2, maxChildren=6")
                answers = at_once(6, lambda n: server.get("/%s%d" % (kind, n)))
                self.assertEqual([answer.status for answer in answers], [200] * 6)
                self.assertEqual(len({answer.text for answer in answers}), 6)
                until("children leave", lambda: len(self.members(server)) == 2)
                server.stop()

    def test_what_exceeds_maxChildren_waits(self):
        server = self.serve("fcgi_fork", PID, "maxSpare=1, maxChildren=2")
        answers = at_once(8, lambda _: server.get("/?0.1"))
        self.assertEqual([answer.status for answer in answers], [200] * 8)
        self.assertLessEqual(len({answer.text for answer in answers}), 2)

    def test_a_child_is_replaced_after_maxRequests(self):
        server = self.serve("fcgi_fork", PID, "maxSpare=1, maxChildren=1, maxRequests=3")
        pids = [server.get().text for _ in range(9)]
        self.assertEqual([pids.count(pid) for pid in dict.fromkeys(pids)], [3, 3, 3], pids)

    def test_sigusr1_replaces_the_children(self):
        server = self.serve("fcgi_fork", PID, "maxSpare=1, maxChildren=1")
        old = server.get().text
        server.signal(signal.SIGUSR1)
        until("another child answers", lambda: server.get().text != old)
        self.assertTrue(server.stop(signal.SIGHUP))

    def test_a_dead_child_costs_its_request_only(self):
        app = PID + """
def app(environ, start_response, app=app):
    if environ["PATH_INFO"] == "/die":
        os.kill(os.getpid(), 9)
    return app(environ, start_response)
"""
        server = self.serve("fcgi_fork", app, "maxSpare=1, maxChildren=1")
        # The first one waits in the child, the second behind it.
        answers = at_once(2, lambda n: server.get("/?0.3" if n else "/die", method="POST"))
        self.assertEqual(answers[0].status, 502)
        self.assertEqual(answers[1].status, 200)
        server.until_logged("killed by signal 9")

    def test_nobody_outlives_a_killed_master(self):
        server = self.serve("fcgi_fork", PID)
        server.get()
        # Five children, and the gateway.
        until("all are there", lambda: len(server.children()) == 6)
        until("they have titles", lambda: "python" not in "".join(server.children().values()))
        children = server.children()
        self.assertIn("flupd: gateway (flup)", children.values())
        server.process.kill()
        server.process.wait()
        until("all have gone", lambda: not any(map(alive, children)))

    def test_nobody_is_left_after_the_end(self):
        server = self.serve("fcgi_fork", PID)
        server.get()
        children = list(server.children())
        server.stop()
        self.assertEqual([pid for pid in children if alive(pid)], [])

    def test_a_request_over_its_time_is_ended(self):
        for kind in ("fcgi_fork", "scgi_fork"):
            with self.subTest(kind):
                server = self.serve(kind, PID, "timeout=1, maxSpare=1")
                begun = time.monotonic()
                answer = server.get("/?20")
                self.assertEqual(answer.status, 500)
                self.assertLess(time.monotonic() - begun, 10)
                server.until_logged("Timeout Exceeded")
                server.until_logged("in app")
                self.assertEqual(server.get().status, 200)
                server.stop()

    def test_a_silent_peer_is_hung_up_on_after_sockTimeout(self):
        server = self.serve("fcgi_fork", PID, "sockTimeout=0.5")
        with connect(self.socket) as sock:
            sock.sendall(begin())
            self.assertIn(b"408", sock.recv(4096))
            while sock.recv(4096):
                pass
        self.assertEqual(server.get().status, 200)

    def test_wrong_bounds_are_refused(self):
        server = self.script("""
            from flup.server.fcgi_fork import WSGIServer
            for wrong in ({"minSpare": 0}, {"minSpare": 3, "maxSpare": 2}, {"sockTimeout": -1}):
                try:
                    WSGIServer(None, **wrong)
                except ValueError as error:
                    print(error)
            print("returned", True)
        """)
        self.assertTrue(server.returned())
        self.assertEqual(len(server.log().splitlines()), 4)

    def test_what_is_printed_before_is_printed_once(self):
        app = PID + "print('once', end='')\nimport atexit\natexit.register(print, 'bye')\n"
        server = self.serve("fcgi_fork", app, "maxSpare=3", environ={"PYTHONUNBUFFERED": ""})
        server.get()
        server.stop()
        self.assertEqual(server.log().count("once"), 1)
        # Each process has its exit functions called, the gateway's own included.
        self.assertEqual(server.log().count("bye"), 5)


if __name__ == "__main__":
    unittest.main()
