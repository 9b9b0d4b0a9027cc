#!/usr/bin/env python3
"""Django and Flask on flupd behind nginx, each over FastCGI and over SCGI.

Fetches a page from each, prints the answers and the URLs, and keeps running
until Ctrl-C. With --check it stops after that look. `make demo` runs it.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import urllib.error
import urllib.request
from pathlib import Path

import serving
from serving import Failed, ROOT

DEMO = ROOT / "demo"
DATA = ROOT / "target" / "demo"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, default=ROOT / "target/venv", help="virtualenv with Django and Flask")
    parser.add_argument("--flupd", type=Path, default=ROOT / "target/release/flupd", help="the flupd to show")
    parser.add_argument("--check", action="store_true", help="stop after one look at each page")
    options = parser.parse_args()

    if not os.access(options.flupd, os.X_OK):
        raise Failed(f"{options.flupd} is missing; run `make demo`, which builds it")
    DATA.mkdir(parents=True, exist_ok=True)
    # Unix sockets allow about 100 bytes of path, so they live under the short /tmp.
    with tempfile.TemporaryDirectory(prefix="flupd-demo-") as sockets, serving.Processes() as processes:
        demonstrate(options, Path(sockets), processes)


def demonstrate(options, sockets, processes):
    names = ["django-fastcgi", "django-scgi", "flask-fastcgi", "flask-scgi"]
    ports = dict(zip(names, serving.free_ports(len(names))))
    urls = {name: f"http://127.0.0.1:{port}/" for name, port in ports.items()}

    environment = dict(os.environ, DEMO_DATA=str(DATA), PYTHONDONTWRITEBYTECODE="1")
    environment["DEMO_ORIGINS"] = " ".join(url.rstrip("/") for url in urls.values())
    prepare_django(options.python / "bin/python", environment)

    for name, app, directory in (
        ("django", "mysite.wsgi", DEMO / "djangosite"),
        ("flask", "app:app", DEMO / "flaskapp"),
    ):
        command = [options.flupd, "serve", app, "--chdir", directory, "--python", options.python]
        if os.geteuid() == 0:
            command += ["--user", "root"]
        command += ["--fastcgi", f"unix:{sockets}/{name}-fastcgi", "--scgi", f"unix:{sockets}/{name}-scgi"]
        processes.start(f"flupd ({name})", command, DATA / f"{name}.log", env=environment)
        for protocol in ("fastcgi", "scgi"):
            processes.wait_until_accepting(socket.AF_UNIX, f"{sockets}/{name}-{protocol}")

    static = ["location /static/ { alias /srv/mysite/static/; }"]
    servers = [
        serving.example("django.conf", ports["django-fastcgi"], sockets / "django-fastcgi", DATA),
        serving.example("scgi.conf", ports["django-scgi"], sockets / "django-scgi", DATA, uncomment=static),
        serving.example("fastcgi-keepconn.conf", ports["flask-fastcgi"], sockets / "flask-fastcgi"),
        serving.example("scgi.conf", ports["flask-scgi"], sockets / "flask-scgi"),
    ]
    serving.start_nginx(processes, DATA / "nginx", servers, ports.values())

    for name, url in urls.items():
        show(name, url, "Guestbook" if name.startswith("django") else "Flask on flupd", processes)
    fetch(urls["django-fastcgi"] + "static/guestbook/style.css", processes)

    print("\nAll four answer.\n")
    for name, url in urls.items():
        print(f"  {name:<16}{url}")
    print(f"\n  Django's admin: {urls['django-fastcgi']}admin/   user: admin   password: admin")
    print(f"  Logs: {DATA.relative_to(ROOT)}/*.log")
    if not options.check:
        print("\nCtrl-C stops everything.", flush=True)
        serving.until_interrupted(processes)
        print("\nStopping.")


def prepare_django(python, environment):
    """Database, collected static files and the admin's user, all under target/demo."""
    if not python.exists():
        raise Failed(f"{python} is missing; run `make demo`, which makes the virtualenv")
    manage = [str(python), str(DEMO / "djangosite/manage.py")]
    run(manage + ["migrate", "--verbosity", "0"], environment)
    run(manage + ["collectstatic", "--no-input", "--verbosity", "0"], environment)
    make_admin = (
        "from django.contrib.auth.models import User\n"
        "if not User.objects.filter(username='admin').exists():\n"
        "    User.objects.create_superuser('admin', '', 'admin')\n"
    )
    run(manage + ["shell", "-c", make_admin], environment)


def run(command, environment):
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")


def fetch(url, processes):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except (urllib.error.URLError, OSError) as error:
        processes.check()
        raise Failed(f"{url}: {error}. The logs are in {DATA}") from None


def show(name, url, expected, processes):
    status, headers, page = fetch(url, processes)
    if status != 200 or expected not in page:
        raise Failed(f"{url} answered {status} without {expected!r}:\n{page}")
    text = " ".join(re.sub(r"<head>.*?</head>|<[^>]*>", " ", page, flags=re.DOTALL).split())
    print(f"{name}: {url} -> {status} {headers['Content-Type']}, {len(page)} characters")
    print("   ", textwrap.shorten(text, 120, placeholder=" ..."))


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"demo: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
