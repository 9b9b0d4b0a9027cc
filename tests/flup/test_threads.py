"""fcgi and scgi: one process, many threads."""

import contextlib
import os
import signal
import socket
import time
import unittest

from support import Case, at_once, fastcgi, scgi, until

# Says how many requests are inside at most, and which thread this is.
COUNTING = """
import threading, time
lock, now, most = threading.Lock(), 0, 0
def app(environ, start_response):
    global now, most
    with lock:
        now += 1
        most = max(now, most)
    time.sleep(float(environ["QUERY_STRING"] or 0))
    with lock:
        now -= 1
    start_response("200 OK", [])
    return ["%d %s %s" % (most, threading.current_thread().name, threading.active_count())]
"""

# Each request waits for eleven others.
MEETING = """
import threading
here = threading.Barrier(12)
def app(environ, start_response):
    here.wait(30)
    start_response("200 OK", [])
    return [b"all are here"]
"""


class Threads(Case):
    def test_requests_run_side_by_side_in_as_many_threads_as_they_need(self):
        for kind in ("fcgi", "scgi"):
            with self.subTest(kind):
                server = self.serve(kind, MEETING)
                answers = at_once(12, lambda _: server.get())
                self.assertEqual({answer.text for answer in answers}, {"all are here"})
                self.assertFalse(server.stop())

    def test_idle_threads_leave(self):
        server = self.serve("fcgi", COUNTING, "maxSpare=2")
        at_once(5, lambda _: server.get("/?0.3"))
        # The main thread, the gateway's, and those that are spare.
        until("threads leave", lambda: int(server.get().text.split()[2]) <= 4)

    def test_what_exceeds_maxThreads_waits_and_is_never_reset(self):
        server = self.serve("fcgi", COUNTING, "maxThreads=2")
        answers = at_once(10, lambda _: server.get("/?0.1"))
        self.assertEqual([answer.status for answer in answers], [200] * 10)
        self.assertEqual(max(int(answer.text.split()[0]) for answer in answers), 2)

    def test_multithreaded_false_runs_one_at_a_time(self):
        for kind in ("fcgi", "scgi"):
            with self.subTest(kind):
                server = self.serve(kind, COUNTING, "multithreaded=False")
                answers = at_once(4, lambda _: server.get("/?0.05"))
                self.assertEqual({answer.text.split()[0] for answer in answers}, {"1"})
                server.stop()

    def test_flags_in_the_environ(self):
        app = """
        def app(environ, start_response):
            start_response("200 OK", [])
            names = ("multithread", "multiprocess", "run_once", "input_terminated")
            return [repr([environ["wsgi." + name] for name in names])]
        """
        server = self.serve("fcgi", app)
        self.assertEqual(server.get().text, "[True, False, False, True]")
        server.stop()
        server = self.serve("fcgi", app, "multithreaded=False, multiprocess=True")
        self.assertEqual(server.get().text, "[False, True, False, True]")


class Ends(Case):
    def test_run_returns_true_after_sighup_and_false_after_others(self):
        for kind in ("fcgi", "fcgi_single", "fcgi_fork", "scgi", "scgi_fork"):
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                with self.subTest(kind, signal=number):
                    server = self.serve(kind, COUNTING)
                    server.get()
                    begun = time.monotonic()
                    self.assertEqual(server.stop(number), number == signal.SIGHUP)
                    # Soon, also while nobody asks for anything.
                    self.assertLess(time.monotonic() - begun, 20)

    def test_old_signal_handlers_come_back(self):
        for kind in ("fcgi", "fcgi_single", "fcgi_fork"):
            with self.subTest(kind):
                app = COUNTING + """
import signal, atexit
def mine(number, frame): pass
signal.signal(signal.SIGHUP, mine)
numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
before = [signal.getsignal(number) for number in numbers]
import os
pid = os.getpid()
atexit.register(lambda: os.getpid() == pid and print(
    "same", before == [signal.getsignal(number) for number in numbers],
    signal.set_wakeup_fd(-1)))
"""
                server = self.serve(kind, app)
                server.get()
                server.stop()
                server.until_logged("same True -1")

    def test_a_running_request_is_finished(self):
        for kind in ("fcgi", "fcgi_single", "fcgi_fork", "scgi", "scgi_fork"):
            with self.subTest(kind):
                server = self.serve(kind, COUNTING)
                server.get()

                def late(number):
                    if number == 0:
                        return server.get("/?1")
                    time.sleep(0.5)
                    server.signal(signal.SIGTERM)

                answer = at_once(2, late)[0]
                self.assertEqual(answer.status, 200)
                self.assertFalse(server.returned())

    def test_it_can_run_again(self):
        for kind in ("fcgi", "fcgi_single", "fcgi_fork"):
            with self.subTest(kind):
                text = COUNTING + """
from flup.server.%s import WSGIServer
server = WSGIServer(app, bindAddress=%r)
while server.run():
    print("again", flush=True)
print("returned", False)
""" % (kind, self.socket)
                server = self.script(text)
                for _ in range(2):
                    server.until_accepting(self.socket)
                    self.assertEqual(fastcgi(self.socket).status, 200)
                    again = server.log().count("again")
                    server.signal(signal.SIGHUP)
                    until("it runs again", lambda: server.log().count("again") > again)
                server.until_accepting(self.socket)
                self.assertFalse(server.stop())

    def test_it_runs_in_any_thread_and_is_ended_from_any(self):
        for kind in ("fcgi", "fcgi_single", "scgi", "fcgi_fork"):
            with self.subTest(kind):
                text = """
import sys, threading
from flup.server.%s import WSGIServer
server = WSGIServer(app, bindAddress=%r)
thread = threading.Thread(target=lambda: print("returned", server.run()))
thread.start()
input()
server.%s
thread.join()
"""
                for how, returned in (("_exit(reload=True)", True), ("_keepGoing = False", False)):
                    reader, writer = os.pipe()
                    server = self.script(COUNTING + text % (kind, self.socket, how), stdin=reader)
                    os.close(reader)
                    server.until_accepting(self.socket)
                    ask = scgi if kind == "scgi" else fastcgi
                    self.assertEqual(ask(self.socket).status, 200)
                    os.write(writer, b"\n")
                    os.close(writer)
                    self.assertEqual(server.returned(), returned)


# Each request says when its client has gone. What it is told by has an ever new
# channel: threads come and go.
WATCHING = """
import time
def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    if name != "wait":
        start_response("200 OK", [])
        return [b"fast"]
    gone = []
    environ["flupd.cancelled"].on_cancel(lambda: gone.append(time.monotonic()))
    open("begun", "w").close()
    while not gone:
        time.sleep(0.01)
    print("told", flush=True)
    start_response("200 OK", [])
    return []
"""


class Cancelled(Case):
    def test_callbacks_come_at_once_in_whichever_thread_or_child(self):
        for kind in ("fcgi", "fcgi_single", "fcgi_fork", "scgi", "scgi_fork"):
            with self.subTest(kind):
                server = self.serve(kind, WATCHING)
                for told in range(1, 6):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self.path("begun"))
                    sock = server.waits("/wait")
                    until("it waits", lambda: os.path.exists(self.path("begun")))
                    if kind in ("fcgi", "scgi"):
                        # Others work meanwhile, so that the next is another thread's.
                        at_once(4, lambda _: server.get("/fast"))
                    begun = time.monotonic()
                    sock.close()
                    until("it is told", lambda: server.log().count("told") == told)
                    # It was 60 seconds where another channel's request was watched.
                    self.assertLess(time.monotonic() - begun, 20)
                self.assertFalse(server.stop())

    def test_a_client_that_has_gone_before(self):
        app = WATCHING.replace("    gone = []", "    begun(); gone = []").replace("import time", """
import time
def begun():
    open("ready", "w").close()
    time.sleep(0.5)
""")
        server = self.serve("fcgi", app)
        for told in (1, 2, 3):
            sock = server.waits("/wait")
            until("it waits", lambda: os.path.exists(self.path("ready")))
            sock.close()
            os.unlink(self.path("ready"))
            until("it is told", lambda: server.log().count("told") == told)


class LikeCherryPy(Case):
    def test_the_handlers_are_left_out_and_the_pool_is_told_to_end(self):
        """What cherrypy.process.servers.FlupFCGIServer does."""
        text = COUNTING + """
import threading, time
from flup.server.fcgi import WSGIServer
server = WSGIServer(app, bindAddress=%r)
server._installSignalHandlers = lambda: None
server._oldSIGs = []
thread = threading.Thread(target=server.run)
thread.start()
input()
server._keepGoing = False
server._threadPool.maxSpare = server._threadPool._idleCount
thread.join()
print("returned", thread.is_alive())
""" % self.socket
        reader, writer = os.pipe()
        server = self.script(text, stdin=reader)
        os.close(reader)
        server.until_accepting(self.socket)
        self.assertEqual(fastcgi(self.socket).status, 200)
        os.write(writer, b"\n")
        os.close(writer)
        self.assertFalse(server.returned())


if __name__ == "__main__":
    unittest.main()
