"""What is measured of one server at a time: its memory after load, and its start."""

import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import load
import measure
import peers
from peers import Size
from serving import Failed, Processes

# Alone, as the pages of a shared library count less when a neighbour has them too.
MEMORY = (
    ("hello, 1x1", "plain", Size(1, 1), ("/hello",)),
    ("Flask and Django, 4x1", "both", Size(4, 1), ("/json?flask", "/json?django")),
)
SERVERS = ("flupd", "flupd solo", "flupd preload", "uWSGI", "granian", "bjoern", "gunicorn", "flup")
SINGLE = ("flupd solo", "flup")
PATIENCE = 30


def memory(tools, rounds, quick, say):
    """PSS in MiB of the process tree after 20 000 requests or so: {what: {server: MiB}}."""
    found = {}
    for what, app, size, pages in MEMORY:
        found[what] = {}
        for name in able(tools, size, quick):
            say(f"memory: {what}, {name}")
            with tempfile.TemporaryDirectory(prefix="flupd-bench-") as directory, Processes() as processes:
                peer = peers.PEERS[name]
                server, path = peers.start(processes, tools, peer, app, size, Path(directory))
                for page in pages:
                    target = load.Target(peer.protocol, peer.keep, path, 0)
                    load.Direct(page, connections=8)(tools, target, 1)
                found[what][name] = measure.pss_mib(server.pid)
    return found


def start(tools, rounds, quick, say):
    """Milliseconds from the start to the first answer: {server: [ms]}; "python -c pass" beside them."""
    found = {}
    for _ in range(2 * rounds):
        begun = time.perf_counter()
        subprocess.run([tools.python, "-c", "pass"], check=True)
        found.setdefault("python -c pass", []).append((time.perf_counter() - begun) * 1e3)
        for name in able(tools, Size(1, 1), quick):
            say(f"start: {name}")
            found.setdefault(name, []).append(first_answer(tools, peers.PEERS[name]))
    return found


def able(tools, size, quick):
    """The servers that this build has, and that come in this size."""
    names = [name for name in SERVERS if peers.runs(name, tools) and (size.workers == 1 or name not in SINGLE)]
    return [name for name in names if name.startswith("flupd")] if quick else names


def first_answer(tools, peer):
    with tempfile.TemporaryDirectory(prefix="flupd-bench-") as directory, Processes() as processes:
        path = Path(directory) / "server.sock"
        command = peer.command(tools, "plain", Size(1, 1), path)
        begun = time.perf_counter()
        processes.start(peer.name, command, Path(directory) / "log", env=peers.environment())
        while time.perf_counter() < begun + PATIENCE:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                try:
                    client.connect(str(path))
                    client.sendall(request(peer.protocol))
                    if b"hello\n" in until_hello(client):
                        return (time.perf_counter() - begun) * 1e3
                except OSError:
                    pass
            processes.check()
            time.sleep(0.0005)
        raise Failed(f"{peer.name} gave no first answer")


def until_hello(client):
    got = b""
    while b"hello\n" not in got:
        part = client.recv(65536)
        if not part:
            break
        got += part
    return got


def request(protocol):
    """The shortest request for /hello."""
    if protocol == "http":
        return b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    pairs = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/hello",
        "REQUEST_URI": "/hello",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    params = b"".join(bytes((len(name), len(value))) + f"{name}{value}".encode() for name, value in pairs.items())
    begin = struct.pack(">HB5x", 1, 0)
    parts = ((1, begin), (4, params), (4, b""), (5, b""))
    return b"".join(struct.pack(">BBHHBx", 1, kind, 1, len(body), 0) + body for kind, body in parts)


def start_ms(figures, name):
    """The median, or None."""
    times = figures.once.get("start", {}).get(name)
    return median(times) if times else None


ALL = {"memory": memory, "start": start}
