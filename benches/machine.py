"""What was measured, where and when."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

NGINX = "/usr/sbin/nginx"


def describe(tools, rounds, seconds, quick):
    """The facts at a report's head."""
    return {
        "command": "make bench QUICK=1" if quick else "make bench",
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{os.cpu_count()} CPUs, {processor()}",
        "kernel": f"Linux {'.'.join(platform.release().split('.')[:2])}",
        "versions": versions(tools),
        "rounds": rounds,
        "seconds": seconds,
        "load": os.getloadavg()[0],
    }


def processor():
    found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def versions(tools):
    """Names and versions of all programs that take part."""
    python = first(r"Python (\S+)", tools.python, "--version")
    nginx = first(r"nginx/(\S+)", NGINX, "-v")
    listed = run(tools.python, "-m", "pip", "list", "--disable-pip-version-check", "--format", "freeze")
    peers = [line.replace("==", " ") for line in listed.splitlines()]
    names = ("bjoern", "Django", "Flask", "flup", "granian", "gunicorn", "uWSGI")
    own = first(r"flupd (\S+)", tools.flupd, "--version")
    return [f"flupd {own}", f"Python {python}", f"nginx {nginx}"] + [p for p in peers if p.split()[0] in names]


def first(pattern, *command):
    found = re.search(pattern, run(*command).strip(), re.M)
    return found[1] if found else "?"


def run(*command):
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
