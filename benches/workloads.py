"""What is measured: which app, of which size, under which load, beside whom."""

from dataclasses import dataclass, field
from typing import Callable

from load import Direct, Open, Wrk
from peers import Size

SMALL, PAIR = Size(1, 1), Size(2, 1)
PROCESSES = ("flupd", "uWSGI", "granian", "bjoern", "gunicorn")
THREADS = ("flupd", "uWSGI", "granian", "gunicorn")
ONE = ("flupd", "flupd solo", "uWSGI", "granian", "bjoern", "gunicorn")
QUICK = ("flupd", "uWSGI")
NOTHING_DOING = {"100 silent": ("--silent", 100), "2000 idle": ("--idle", 2000), "50 stalled": ("--stalled", 50)}


@dataclass(frozen=True)
class Workload:
    """`shown` are the figures of its table; a `quick` run takes only the peers named there.

    `beside` are further rounds on the same servers: the same load, while connections of these kinds
    do nothing. Each round is cut into so many `slices`, for what shall be told to a few per cent.
    """

    name: str
    title: str
    app: str
    size: Size
    peers: tuple
    load: Callable
    quick: tuple = QUICK
    shown: tuple = ("rate", "cpu", "p99")
    beside: dict = field(default_factory=dict)
    slices: int = 1

    def entries(self, peers):
        """What takes its turn in each round: (label, peer, what is held open beside the load)."""
        # A process that holds nothing, for what another process alone may change.
        nothing = ("--idle", 0) if self.beside else ()
        plain = [(name, name, nothing) for name in peers]
        return plain + [(f"{name} beside {what}", name, held) for what, held in self.beside.items() for name in peers]


WORKLOADS = (
    Workload(
        "hello-1x1",
        "Hello, 1 worker x 1 thread",
        "plain",
        SMALL,
        (
            "flupd",
            "flupd solo",
            "flupd SCGI",
            "uWSGI",
            "uWSGI SCGI",
            "uWSGI uwsgi",
            "granian",
            "bjoern",
            "gunicorn",
            "flup",
            "flup kept",
        ),
        Wrk("/hello"),
        quick=("flupd", "flupd solo", "uWSGI", "bjoern", "flup"),
    ),
    Workload("hello-2x1", "Hello, 2 x 1", "plain", PAIR, PROCESSES, Wrk("/hello")),
    Workload(
        "direct",
        "Hello, 1 x 1, no web server between, 8 connections",
        "plain",
        SMALL,
        ("flupd", "flupd SCGI", "uWSGI", "uWSGI SCGI", "flup"),
        Direct("/hello"),
    ),
    Workload(
        "observed",
        "Hello, observed and not, 1 x 1, no web server between",
        "plain",
        SMALL,
        ("flupd solo", "flupd solo unobserved", "flupd", "flupd unobserved"),
        Direct("/hello"),
        quick=("flupd solo", "flupd solo unobserved"),
        shown=("rate", "cpu"),
    ),
    Workload("environ", "A table of the whole environ, 1 x 1", "plain", SMALL, ONE, Wrk("/table")),
    Workload("large", "Body of 100 KiB, 1 x 1", "plain", SMALL, ONE, Wrk("/large")),
    Workload("chunks", "Body of 1 MiB, made in 64 chunks, 1 x 1", "plain", SMALL, ONE, Wrk("/chunks")),
    Workload(
        "upload",
        "Upload of 1 MiB, 1 x 1",
        "plain",
        SMALL,
        ONE,
        Wrk("/upload", upload=True),
        quick=("flupd", "uWSGI", "granian"),
    ),
    Workload(
        "sleep-4",
        "The app sleeps 10 ms, 1 x 4 (400/s is the ideal)",
        "plain",
        Size(1, 4),
        THREADS,
        Wrk("/sleep10"),
    ),
    Workload(
        "sleep-32",
        "The app sleeps 10 ms, 1 x 32 (3 200/s is the ideal)",
        "plain",
        Size(1, 32),
        THREADS,
        Wrk("/sleep10", connections=64),
    ),
    Workload("flask", "Flask, JSON, 2 x 1", "flaskjson", PAIR, PROCESSES, Wrk("/json")),
    Workload("django", "Django, JSON, 2 x 1", "djangojson", PAIR, PROCESSES, Wrk("/json")),
    Workload(
        "flask-2x4",
        "Flask, JSON, 2 x 4",
        "flaskjson",
        Size(2, 4),
        THREADS,
        Wrk("/json"),
    ),
    Workload(
        "mixed",
        "Fast requests while every 20th sleeps 50 ms, 300/s in all, 2 x 1",
        "plain",
        PAIR,
        PROCESSES,
        Open("/hello", 300, "/sleep50", 5, even=True),
        shown=("p50", "p99", "max"),
    ),
    Workload(
        "crowd",
        "The same, at random times: often both workers sleep",
        "plain",
        PAIR,
        PROCESSES,
        Open("/hello", 300, "/sleep50", 5),
        shown=("p50", "p99", "max"),
    ),
    Workload(
        "fairness",
        "8 clients of 70 µs of computing each, 1 x 4",
        "plain",
        Size(1, 4),
        THREADS,
        Direct("/spin"),
        shown=("rate", "p99", "max"),
    ),
    Workload(
        "beside",
        "8 active connections beside others that do nothing, 1 x 1, no web server between",
        "plain",
        SMALL,
        ("flupd",),
        Direct("/hello"),
        quick=("flupd",),
        beside=NOTHING_DOING,
        slices=6,
    ),
    Workload(
        "beside-uwsgi",
        "The same with uWSGI",
        "plain",
        SMALL,
        ("uWSGI",),
        Direct("/hello"),
        quick=(),
        beside=NOTHING_DOING,
    ),
    Workload(
        "low",
        "Hello at 2 000/s, 1 x 1",
        "plain",
        SMALL,
        ("flupd", "flupd solo", "uWSGI", "granian", "bjoern"),
        Open("/hello", 2000),
        shown=("cpu", "p50", "p99"),
    ),
)
