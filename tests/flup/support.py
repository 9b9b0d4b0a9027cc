"""Scripts that serve with flup, started as their users start them, and a web
server's end of FastCGI and SCGI, written out by hand: the package's own client is
one of the things to be tested.

With FLUPD in the environment, which names flupd's program, scripts are run by that
unless they have an address of their own; they serve the socket that they are
started with.
"""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

# Far longer than anything takes; only a broken test gets to see it.
DEADLINE = 30

TERM = signal.SIGTERM

# What runs the scripts, if not Python itself.
FLUPD = os.environ.pop("FLUPD", None)

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, VALUES = range(1, 11)

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


class Case(unittest.TestCase):
    """A test with a directory of its own."""

    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="flup-")
        self.addCleanup(directory.cleanup)
        self.dir = directory.name
        self.socket = os.path.join(self.dir, "app.sock")

    def script(self, text, **options):
        """Starts a script in the directory; it ends with the test."""
        script = Script(self.dir, text, **options)
        self.addCleanup(script.end)
        return script

    def serve(self, kind, app, arguments="", **options):
        """Starts a script that serves `app`, the text of a module, with the server
        of this kind on a unix socket, and returns when that accepts."""
        text = "%s\nfrom flup.server.%s import WSGIServer\n" % (textwrap.dedent(app), kind)
        address = None if FLUPD else self.socket
        server = "WSGIServer(app, bindAddress=%r, %s)" % (address, arguments)
        with contextlib.ExitStack() as given:
            if FLUPD:
                protocol = "--scgi" if kind.startswith("scgi") else "--fastcgi"
                options.setdefault("flupd", [protocol, "fd:0"])
                options["stdin"] = given.enter_context(self.passed())
            script = self.script("%sprint('returned', %s.run())\n" % (text, server), **options)
        script.until_accepting(self.socket)
        script.ask = (scgi if kind.startswith("scgi") else fastcgi)
        script.address = self.socket
        return script

    def passed(self):
        """A listening socket, as web servers pass it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(self.socket)
        sock.listen(128)
        return sock

    def path(self, name):
        """A path in the directory."""
        return os.path.join(self.dir, name)


class Script:
    """A script that runs."""

    def __init__(self, directory, text, environ=None, arguments=(), flupd=(), **options):
        self.path = os.path.join(directory, "script.fcgi")
        with open(self.path, "w") as file:
            file.write(textwrap.dedent(text))
        self._log = open(os.path.join(directory, "log"), "w+b")
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", self._log)
        options.setdefault("stderr", self._log)
        command = [sys.executable, self.path, *arguments]
        if flupd:
            command = [FLUPD, "run", "--python", sys.executable, *flupd, *command[1:]]
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})}
        self.process = subprocess.Popen(command, env=environ, cwd=directory, **options)

    def log(self):
        """What it has written."""
        with open(self._log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def until_logged(self, text):
        """Waits until it has written this: its gateway does so in its own time."""
        until("the script writes %r" % text, lambda: text in self.log())

    def until_accepting(self, address):
        """Waits until it accepts connections."""

        def accepts():
            if self.process.poll() is not None:
                raise AssertionError("the script has ended: " + self.log())
            with contextlib.suppress(OSError), connect(address):
                return True

        until("the script accepts on %r" % (address,), accepts)

    def get(self, path="/", **options):
        """The answer to a GET."""
        return self.ask(self.address, path, **options)

    def waits(self, path):
        """A connection on which this was asked for."""
        return begun(self.address, path, self.ask)

    def signal(self, number):
        """Sends it a signal."""
        self.process.send_signal(number)

    def returned(self):
        """Waits for its end; what `run` returned."""
        self.process.wait(DEADLINE)
        found = re.search(r"returned (\w+)", self.log())
        if not found:
            raise AssertionError("run did not return: " + self.log())
        return {"True": True, "False": False}.get(found[1], found[1])

    def stop(self, number=TERM):
        """Ends it by a signal; what `run` returned."""
        self.signal(number)
        return self.returned()

    def children(self):
        """The process ids of its children and their titles."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, IndexError):
                with open("/proc/%s/stat" % pid) as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                if parent == self.process.pid:
                    with open("/proc/%s/cmdline" % pid) as file:
                        found[int(pid)] = file.read().strip("\0 ")
        return found

    def end(self):
        """Makes sure that it has ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


class Answer:
    """What a server answered."""

    def __init__(self, raw, stderr=b"", end=None):
        self.raw, self.stderr, self.end = raw, stderr, end
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines if ": " in line]
        self.headers = {name.title(): value for name, value in pairs}
        self.status = int(self.headers.get("Status", "0")[:3])
        self.text = self.body.decode("utf-8", "replace")

    def __repr__(self):
        return "%r (stderr %r, end %r)" % (self.raw, self.stderr, self.end)


def params(path="/", method="GET", body=None, **more):
    """What a web server says of a request."""
    path, _, query = path.partition("?")
    said = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "REQUEST_URI": path + ("?" + query if query else ""),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    if body is not None:
        said["CONTENT_LENGTH"] = str(len(body))
    said.update(more)
    return {name: value for name, value in said.items() if value is not None}


def connect(address, timeout=DEADLINE):
    """A connection to a path or to (host, port)."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock
    return socket.create_connection(address[:2], timeout)


def record(kind, content=b"", id=1):
    """One record."""
    return struct.pack("!BBHHBx", 1, kind, id, len(content), 0) + content


def pairs(said):
    """Name-value pairs as FastCGI has them."""
    out = b""
    for name, value in said.items():
        name, value = name.encode("latin-1"), value.encode("latin-1")
        for text in (name, value):
            size = len(text)
            out += bytes([size]) if size < 128 else struct.pack("!L", size | 1 << 31)
        out += name + value
    return out


def begin(id=1, role=1, keep=0):
    """The record that begins a request."""
    return record(BEGIN, struct.pack("!HB5x", role, keep), id)


def records(sock):
    """The records that come, until the connection ends."""
    with sock.makefile("rb") as file:
        while True:
            header = file.read(8)
            if len(header) < 8:
                return
            _, kind, id, length, padding = struct.unpack("!BBHHBx", header)
            content = file.read(length)
            file.read(padding)
            yield kind, id, content


def fastcgi_answer(sock):
    """The answer to the only request of a connection."""
    out, err, end = b"", b"", None
    for kind, _, content in records(sock):
        if kind == STDOUT:
            out += content
        elif kind == STDERR:
            err += content
        elif kind == END:
            end = struct.unpack("!LB3x", content)
            break
    return Answer(out, err, end)


def begun(address, path, protocol):
    """A connection with a request whose answer nobody reads."""
    sock = connect(address)
    if protocol is scgi:
        sock.sendall(netstring({"CONTENT_LENGTH": "0", "SCGI": "1", **params(path)}))
    else:
        sock.sendall(begin() + record(PARAMS, pairs(params(path))) + record(PARAMS) + record(STDIN))
    return sock


def fastcgi(address, path="/", body=b"", role=1, **said):
    """Asks a FastCGI server."""
    method = said.pop("method", "POST" if body else "GET")
    with connect(address) as sock:
        block = pairs(params(path, method, body, **said))
        stdin = b"".join(
            record(STDIN, body[at:at + 32768]) for at in range(0, len(body), 32768)
        )
        whole = begin(role=role) + record(PARAMS, block) + record(PARAMS) + stdin + record(STDIN)
        sender = threading.Thread(target=send, args=(sock, whole))
        sender.start()
        answer = fastcgi_answer(sock)
        sender.join()
        return answer


def send(sock, data):
    """Sends all, or what the other side takes."""
    with contextlib.suppress(OSError):
        sock.sendall(data)


def scgi(address, path="/", body=b"", **said):
    """Asks an SCGI server."""
    method = said.pop("method", "POST" if body else "GET")
    said = {"CONTENT_LENGTH": str(len(body)), "SCGI": "1", **params(path, method, body, **said)}
    with connect(address) as sock:
        sock.sendall(netstring(said) + body)
        return Answer(b"".join(iter(lambda: sock.recv(65536), b"")))


def netstring(said):
    """The params as SCGI has them."""
    block = "".join("%s\0%s\0" % pair for pair in said.items()).encode("latin-1")
    return b"%d:%s," % (len(block), block)


def at_once(count, work):
    """Does it so many times at the same time; the results."""
    results = [None] * count

    def run(number):
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    return results


def until(what, condition):
    """Returns what `condition` says, once that is true."""
    end = time.monotonic() + DEADLINE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("waited in vain: " + what)
        time.sleep(0.01)
