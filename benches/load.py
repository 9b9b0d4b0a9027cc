"""What drives a server: wrk through nginx, or flupd-load. Each call is one measured round."""

import json
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving import Failed

UPLOAD = Path(__file__).resolve().parent / "upload.lua"
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Target:
    """A server under load: its own socket, and nginx's port in front of it."""

    protocol: str
    keep: bool
    path: Path
    port: int


@dataclass(frozen=True)
class Wrk:
    """As many requests as `connections` clients get answered, through nginx."""

    page: str
    connections: int = 32
    upload: bool = False

    def __call__(self, tools, target, seconds):
        command = ["wrk", "-t1", "-c", self.connections, "-d", f"{seconds:.0f}s", "--timeout", "10s", "--latency"]
        command += ["-s", UPLOAD] if self.upload else []
        said = run(command + [f"http://127.0.0.1:{target.port}{self.page}"])
        if "Non-2xx" in said:
            raise Failed(f"not every answer was good:\n{said}")
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
        return {
            "errors": sum(map(int, errors.groups())) if errors else 0,
            "requests": int(re.search(r"(\d+) requests in", said)[1]),
            "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
            "p50": milliseconds(re.search(r"^\s+50%\s+(\S+)", said, re.M)[1]),
            "p99": milliseconds(re.search(r"^\s+99%\s+(\S+)", said, re.M)[1]),
        }


@dataclass(frozen=True)
class Direct:
    """As many requests as `connections` clients get answered, straight on the server's socket."""

    page: str
    connections: int = 8

    def __call__(self, tools, target, seconds):
        command = [tools.load, "closed", "--protocol", target.protocol, "--connections", self.connections]
        command += ["--seconds", seconds, "--page", self.page]
        command += ["--keep"] if target.keep else []
        return json.loads(run(command + [f"unix:{target.path}"]))


@dataclass(frozen=True)
class Open:
    """Requests at a fixed rate through nginx, whether or not the server keeps up.

    They come independently of each other (Poisson), or evenly spaced. Of them
    `share` per cent go to `slow`. Latencies are of the others, from the moment
    each was due.
    """

    page: str
    rate: int
    slow: str = ""
    share: int = 0
    even: bool = False

    def __call__(self, tools, target, seconds):
        command = [tools.load, "open", "--rate", self.rate, "--seconds", seconds, "--page", self.page]
        command += ["--slow-page", self.slow, "--slow-percent", self.share] if self.slow else []
        command += ["--even"] if self.even else []
        return json.loads(run(command + [f"127.0.0.1:{target.port}"]))


@contextmanager
def held(tools, target, what):
    """Connections of another process that are open meanwhile and do nothing, such as ("--idle", 2000)."""
    if not what:
        yield
        return
    command = [tools.load, "hold", "--protocol", target.protocol, *what, f"unix:{target.path}"]
    command += ["--keep"] if target.keep else []
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([str(part) for part in command], text=True, **pipes) as holder:
        if not holder.stdout.readline():
            raise Failed(f"{' '.join(map(str, command))}: {holder.stderr.read()}")
        yield


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(number) * UNITS[unit]
