"""flupd and the servers it is measured beside: how each is started."""

import os
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Callable

APPS = Path(__file__).resolve().parent / "apps"


@dataclass(frozen=True)
class Tools:
    """Where the programs are: flupd, flupd's load generator, and a virtualenv with the peers."""

    flupd: Path
    load: Path
    venv: Path

    def bin(self, name):
        return self.venv / "bin" / name

    @property
    def python(self):
        return self.bin("python")


@dataclass(frozen=True)
class Size:
    """Worker processes, and app threads in each."""

    workers: int
    threads: int

    def __str__(self):
        return f"{self.workers}x{self.threads}"


@dataclass(frozen=True)
class Peer:
    """A server in one of its protocols.

    `command(tools, app, size, path)` is its command line. `keep` says whether
    it keeps the web server's connections.
    """

    name: str
    protocol: str
    keep: bool
    command: Callable


def flupd(protocol, *extra):
    def command(tools, app, size, path):
        line = [tools.flupd, "serve", f"{app}:application", f"--{protocol}", f"unix:{path}", "--path", APPS]
        if os.geteuid() == 0:
            line += ["--user", "root"]
        sizes = [] if "--solo" in extra else ["--workers", size.workers, "--threads", size.threads]
        return line + sizes + ["--python", tools.venv, "--log-level", "warn", *extra]

    return command


def unobserved(*extra):
    """Without counts, flight recorder and what threads do: to see what those cost."""

    def command(tools, app, size, path):
        return ["env", "FLUPD_OBSERVE=off", *flupd("fastcgi", *extra)(tools, app, size, path)]

    return command


def uwsgi(option):
    def command(tools, app, size, path):
        line = [tools.bin("uwsgi"), "--master", "--need-app", "--die-on-term", "--disable-logging"]
        line += [f"--{option}", path, "--processes", size.workers, "--home", tools.venv]
        # One thread without --enable-threads is uWSGI's default, and its fastest.
        line += ["--threads", size.threads] if size.threads > 1 else []
        return line + ["--chdir", APPS, "--module", f"{app}:application"]

    return command


def gunicorn(tools, app, size, path):
    line = [tools.bin("gunicorn"), "--bind", f"unix:{path}", "--workers", size.workers, "--chdir", APPS]
    return line + ["--threads", size.threads, "--log-level", "warning", f"{app}:application"]


def granian(tools, app, size, path):
    line = [tools.bin("granian"), "--interface", "wsgi", "--http", "1", "--no-ws", "--log-level", "warning"]
    line += ["--uds", path, "--workers", size.workers, "--blocking-threads", size.threads]
    return line + ["--working-dir", APPS, f"{app}:application"]


def bjoern(tools, app, size, path):
    return [tools.python, APPS / "serve_bjoern.py", app, path, size.workers]


def flup(tools, app, size, path):
    return [tools.python, APPS / "serve_flup.py", app, path]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("flupd", "fastcgi", True, flupd("fastcgi")),
        Peer("flupd SCGI", "scgi", False, flupd("scgi")),
        Peer("flupd solo", "fastcgi", True, flupd("fastcgi", "--solo")),
        Peer("flupd preload", "fastcgi", True, flupd("fastcgi", "--preload")),
        Peer("flupd unobserved", "fastcgi", True, unobserved()),
        Peer("flupd solo unobserved", "fastcgi", True, unobserved("--solo")),
        Peer("uWSGI", "fastcgi", False, uwsgi("fastcgi-socket")),
        Peer("uWSGI SCGI", "scgi", False, uwsgi("scgi-socket")),
        Peer("uWSGI uwsgi", "uwsgi", False, uwsgi("socket")),
        Peer("flup", "fastcgi", False, flup),
        Peer("flup kept", "fastcgi", True, flup),
        Peer("gunicorn", "http", True, gunicorn),
        Peer("granian", "http", True, granian),
        Peer("bjoern", "http", True, bjoern),
    )
}


def runs(name, tools):
    """Whether this build of flupd has what the entry needs."""
    options = [option for option in ("solo", "preload") if option in name]
    return all(f"--{option}" in serve_help(tools.flupd) for option in options)


@cache
def serve_help(program):
    return subprocess.run([program, "serve", "--help"], capture_output=True, text=True, check=True).stdout


def start(processes, tools, peer, app, size, directory):
    """Starts it; returns the process and its socket, which accepts connections by then."""
    name = peer.name.replace(" ", "-")
    path = directory / f"{name}.sock"
    command = peer.command(tools, app, size, path)
    process = processes.start(peer.name, command, directory / f"{name}.log", env=environment())
    processes.wait_until_accepting(socket.AF_UNIX, str(path))
    return process, path


def environment():
    """The environment of all servers."""
    return {**os.environ, "PYTHONPATH": str(APPS)}
