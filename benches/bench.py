#!/usr/bin/env python3
"""flupd beside uWSGI, behind the same nginx, under the same load.

Prints requests a second, and the CPU time a request costs: of the server
processes alone, and with nginx's share, which a gateway that closes every
connection makes larger. A few seconds each, so look at large differences only.
`make bench` runs it.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))

import serving  # noqa: E402
from serving import Failed  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
UWSGI_SERVER = """
server {{
    listen 127.0.0.1:{port};
    location / {{
        include uwsgi_params;
        uwsgi_pass unix:{socket};
    }}
}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="virtualenv for the app")
    parser.add_argument("--uwsgi", type=Path, required=True)
    parser.add_argument("--flupd", type=Path, default=ROOT / "target/release/flupd")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()

    print(f"hello app, {options.workers} workers x 1 thread, {options.connections} connections, {options.seconds} s each")
    print(f"{'':<22}{'req/s':>10}{'CPU-us a request':>20}{'with nginx':>14}")
    results = {}
    for name, measure in (
        ("flupd, keep-conn", lambda *a: flupd(*a, "fastcgi-keepconn.conf", "fastcgi")),
        ("flupd, FastCGI", lambda *a: flupd(*a, "fastcgi.conf", "fastcgi")),
        ("flupd, SCGI", lambda *a: flupd(*a, "scgi.conf", "scgi")),
        ("uWSGI", uwsgi),
    ):
        with tempfile.TemporaryDirectory(prefix="flupd-bench-") as directory, serving.Processes() as processes:
            rate, cpu, with_nginx = results[name] = measure(options, Path(directory), processes)
        print(f"{name:<22}{rate:>10.0f}{cpu:>20.1f}{with_nginx:>14.1f}", flush=True)

    base = results["uWSGI"]
    print("\nbeside uWSGI (req/s: more is better, CPU: less is better)")
    for name, (rate, cpu, with_nginx) in results.items():
        print(f"{name:<22}{rate / base[0]:>9.2f}x{cpu / base[1]:>19.2f}x{with_nginx / base[2]:>13.2f}x")


def flupd(options, directory, processes, example, protocol):
    path = directory / "app.sock"
    command = [options.flupd, "serve", ROOT / "benches/hello.py", f"--{protocol}", f"unix:{path}"]
    command += ["--workers", options.workers, "--threads", 1, "--python", options.python]
    server = processes.start("flupd", command, directory / "flupd.log")
    [port] = serving.free_ports(1)
    text = serving.example(example, port, path)
    return load(options, directory, processes, server, path, port, text)


def uwsgi(options, directory, processes):
    path = directory / "app.sock"
    # Threads enabled, as flupd's apps always have them.
    command = [options.uwsgi, "--master", "--need-app", "--processes", options.workers, "--enable-threads"]
    command += ["--disable-logging", "--socket", path, "--chmod-socket=666", "--wsgi-file", ROOT / "benches/hello.py"]
    # SIGTERM means reload to uWSGI otherwise.
    server = processes.start("uWSGI", command + ["--die-on-term"], directory / "uwsgi.log")
    [port] = serving.free_ports(1)
    text = UWSGI_SERVER.format(port=port, socket=path)
    return load(options, directory, processes, server, path, port, text)


def load(options, directory, processes, server, path, port, text):
    """Requests a second, CPU-us a request of the server's tree, and with nginx's tree."""
    processes.wait_until_accepting(socket.AF_UNIX, str(path))
    nginx = serving.start_nginx(processes, directory / "nginx", [text], [port])
    wrk(options, port, 1)
    before = [cpu_seconds(server.pid), cpu_seconds(nginx.pid)]
    requests, rate = wrk(options, port, options.seconds)
    processes.check()
    spent = [cpu_seconds(pid) - start for pid, start in zip((server.pid, nginx.pid), before)]
    return rate, spent[0] / requests * 1e6, sum(spent) / requests * 1e6


def wrk(options, port, seconds):
    command = ["wrk", "-t", "1", "-c", str(options.connections), "-d", f"{seconds}s", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise Failed(f"not every request was answered:\n{said}")
    requests = int(re.search(r"(\d+) requests in", said)[1])
    return requests, float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])


def cpu_seconds(root):
    """User and system time of a process and all its living descendants."""
    parents, times = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            times[int(entry.name)] = int(fields[11]) + int(fields[12])

    def below(pid):
        while pid and pid != root:
            pid = parents.get(pid)
        return pid == root

    return sum(ticks for pid, ticks in times.items() if below(pid)) / TICKS


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"bench: {failure}")
