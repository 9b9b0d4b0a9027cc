#!/usr/bin/env python3
"""How many instructions a request costs, and how many of them are for observing:
counts, flight recorder, and what each app thread does.

The instructions are callgrind's, which other programs on the machine do not
move. Gateway and app are in one process, as in a script that a web server starts:
valgrind knows no pidfds, which the supervisor needs. One client sends one request
after the other over a kept connection, first few and then many: the difference is the
requests' own. Timers still make some ten of them more or fewer. `make bench-micro` runs it.
"""

import argparse
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FEW, MANY = 500, 3500

# What nginx sends with its stock fastcgi_params for a browser's request.
PARAMS = {
    "QUERY_STRING": "page=2",
    "REQUEST_METHOD": "GET",
    "CONTENT_TYPE": "",
    "CONTENT_LENGTH": "",
    "SCRIPT_NAME": "/hello",
    "REQUEST_URI": "/hello?page=2",
    "DOCUMENT_URI": "/hello",
    "DOCUMENT_ROOT": "/usr/share/nginx/html",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REQUEST_SCHEME": "http",
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SERVER_SOFTWARE": "nginx/1.22.1",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "41234",
    "REMOTE_USER": "",
    "SERVER_ADDR": "127.0.0.1",
    "SERVER_PORT": "80",
    "SERVER_NAME": "localhost",
    "REDIRECT_STATUS": "200",
    "HTTP_HOST": "localhost",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "HTTP_ACCEPT_LANGUAGE": "en-US,en;q=0.5",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
    "HTTP_CONNECTION": "keep-alive",
    "HTTP_COOKIE": "session=0123456789abcdef0123456789abcdef",
}


def record(kind, content=b""):
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def request():
    pairs = b"".join(
        bytes([len(name), len(value)]) + name.encode() + value.encode() for name, value in PARAMS.items()
    )
    begin = record(1, struct.pack(">HB5x", 1, 1))
    return begin + record(4, pairs) + record(4) + record(5)


def answer(stream):
    """Reads to END_REQUEST."""
    while True:
        header = stream.read(8)
        _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", header)
        stream.read(length + padding)
        if kind == 3:
            return


def run(flupd, python, count, observe):
    """Instructions of so many requests, and of start and end."""
    with tempfile.TemporaryDirectory() as directory:
        log, out = Path(directory) / "log", Path(directory) / "out"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{directory}/app.sock")
        listener.listen()
        # Exec, not children: the interpreter takes the program's place.
        line = ["valgrind", "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={out}.%p"]
        line += [flupd, "run", "--python", python, ROOT / "benches/apps/plain.py"]
        with open(log, "w") as written:
            process = subprocess.Popen(
                line, env={**os.environ, "FLUPD_OBSERVE": observe, "PYTHONHASHSEED": "0"}, stdin=listener, stdout=written, stderr=written
            )
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(60)
            connection.connect(f"{directory}/app.sock")
            stream, text = connection.makefile("rb"), request()
            for _ in range(count):
                connection.sendall(text)
                answer(stream)
            connection.close()
        except (OSError, struct.error) as error:
            sys.exit(f"{error}\n{log.read_text()}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
        return max(total(told) for told in Path(directory).glob("out.*"))


def total(told):
    """The instructions that one process has run."""
    lines = told.read_text(errors="replace").splitlines()
    return max((int(line.split()[1]) for line in lines if line.startswith(("totals:", "summary:"))), default=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flupd", default=ROOT / "target/release/flupd")
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    costs = []
    for observe in ("on", "off"):
        few, many = (run(options.flupd, options.python, count, observe) for count in (FEW, MANY))
        costs.append((many - few) / (MANY - FEW))
    observed, alone = costs
    share = 100 * (observed - alone) / alone
    print(f"instructions a request: {observed:.0f} observed, {alone:.0f} not: {observed - alone:.0f} more, {share:.1f} %")


if __name__ == "__main__":
    main()
