"""Starts flupd and nginx for a demonstration, and stops them again."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NGINX = "/usr/sbin/nginx"


class Failed(Exception):
    """What went wrong, in words for the person who ran the command."""


class Processes:
    """Programs that are stopped, last first, when the `with` block ends.

    Within the block SIGINT and SIGTERM raise KeyboardInterrupt, so that either
    of them ends it in order.
    """

    def __init__(self):
        self.running = []

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(self, *exception):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for name, process, log in reversed(self.running):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name, command, log, **options):
        """Starts `command` with its output in the file `log`; returns the process."""
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C reaches this script alone, which then stops the rest in order.
                start_new_session=True,
                **options,
            )
        self.running.append((name, process, log))
        return process

    def check(self):
        """Raises Failed with the end of its log when a program has ended."""
        for name, process, log in self.running:
            if process.poll() is not None:
                tail = "".join(open(log, errors="replace").readlines()[-30:])
                raise Failed(f"{name} ended with status {process.returncode}. Its log, {log}:\n{tail}")

    def wait_until_accepting(self, family, address, seconds=30):
        """Returns once something accepts connections at `address`."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            with socket.socket(family) as probe:
                try:
                    probe.connect(address)
                    return
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise Failed(f"nothing accepts connections at {address}: {error}") from None
            time.sleep(0.02)


def free_ports(count, first=8080):
    """`count` ports of 127.0.0.1 that nobody listens on, from `first` upwards."""
    ports = []
    for port in range(first, first + 2000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise Failed(f"no {count} free ports from {first} on")


def example(name, port, unix_socket, site=None, uncomment=()):
    """An example of nginx-examples/, for this port and socket."""
    text = (ROOT / "nginx-examples" / name).read_text()
    changes = [("listen 80;", f"listen 127.0.0.1:{port};"), ("/run/flupd/app.sock", str(unix_socket))]
    changes += [("#" + line, line) for line in uncomment]
    if site:
        changes.append(("/srv/mysite", str(site)))
    for old, new in changes:
        if old not in text:
            raise Failed(f"nginx-examples/{name} no longer has the text {old!r}")
        text = text.replace(old, new)
    return text


def start_nginx(processes, directory, servers, ports):
    """nginx with these server blocks, everything it writes under `directory`; any user can run it."""
    if not os.access(NGINX, os.X_OK):
        raise Failed(f"{NGINX} is missing; `make demo` installs it")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    temp_paths = "".join(
        f"    {kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    config = directory / "nginx.conf"
    config.write_text(
        "daemon off;\n"
        # nginx warns about `user` when it is not root, and then needs none.
        + ("user root;\n" if os.geteuid() == 0 else "")
        + f"worker_processes 1;\npid {directory}/nginx.pid;\n"
        "events { worker_connections 1024; }\n"
        "http {\n    include /etc/nginx/mime.types;\n    access_log off;\n    keepalive_requests 1000000;\n"
        + temp_paths
        + "\n".join(servers)
        + "\n}\n"
    )
    for params in ("fastcgi_params", "scgi_params", "uwsgi_params"):
        (directory / params).write_text(Path("/etc/nginx", params).read_text())
    log = directory / "nginx.log"
    process = processes.start(
        "nginx", [NGINX, "-p", directory, "-c", config, "-e", directory / "error.log"], log
    )
    for port in ports:
        processes.wait_until_accepting(socket.AF_INET, ("127.0.0.1", port))
    return process


def until_interrupted(processes):
    """Returns after Ctrl-C or SIGTERM; raises Failed when a program ends by itself."""
    try:
        while True:
            processes.check()
            time.sleep(0.2)
    except KeyboardInterrupt:
        pass
