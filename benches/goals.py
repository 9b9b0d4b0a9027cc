"""What flupd's speed has to reach, and whether a run shows it."""

from dataclasses import dataclass
from typing import Callable

import once

LESS, MORE = "≤", "≥"
UNITS = {"rate": "req/s", "cpu": "CPU", "p99": "p99", "max": "worst case"}


@dataclass(frozen=True)
class Goal:
    """`value(figures)` is what was measured, or None; it has to stay on the right side of `limit`."""

    text: str
    value: Callable
    side: str
    limit: float
    unit: str = "x"

    def met(self, figures):
        """True, False, or None where nothing was measured."""
        value = self.value(figures)
        if value is None:
            return None
        return value <= self.limit if self.side == LESS else value >= self.limit

    def asked(self):
        return f"{self.side} {self.limit:g} {self.unit}"

    def measured(self, figures):
        value = self.value(figures)
        return "not measured" if value is None else f"{value:.2f} {self.unit}"


def beside(title, workload, figure, side, limit, other="uWSGI", server="flupd"):
    """A goal for the ratio of `server` to `other`, the median of the rounds."""

    def value(figures):
        spread = figures.ratio(workload, figure, server, other)
        return spread and spread.middle

    return Goal(f"{title}: {UNITS[figure]} of {server} to {other}", value, side, limit)


def alone(title, workload, figure, side, limit, unit):
    """A goal for a figure of flupd itself: the median, or the worst of all rounds for a worst case."""

    def value(figures):
        spread = figures.spread(workload, "flupd", figure)
        return spread and (spread.high if figure == "max" else spread.middle)

    return Goal(f"{title}: {UNITS[figure]}", value, side, limit, unit)


def best(title, workload):
    """A goal for requests a second beside the best of all peers."""

    def value(figures):
        others = [label for label in figures.labels(workload) if not label.startswith("flupd")]
        ratios = [figures.ratio(workload, "rate", "flupd", other) for other in others]
        return min((ratio.middle for ratio in ratios if ratio), default=None)

    return Goal(f"{title}: req/s of flupd to the best peer", value, MORE, 1.0)


def memory(title, what, server, limit):
    return Goal(title, lambda figures: figures.once.get("memory", {}).get(what, {}).get(server), LESS, limit, "MiB")


def start_over_python(figures):
    ours, bare = once.start_ms(figures, "flupd"), once.start_ms(figures, "python -c pass")
    return ours - bare if ours and bare else None


GOALS = (
    beside("Hello, 1x1", "hello-1x1", "rate", MORE, 2),
    beside("Hello, 1x1", "hello-1x1", "cpu", LESS, 0.45),
    beside("Hello, 1x1", "hello-1x1", "rate", MORE, 18, other="flup"),
    beside("Hello, 2x1", "hello-2x1", "rate", MORE, 2),
    beside("Hello, 2x1", "hello-2x1", "cpu", LESS, 0.45),
    beside("Hello, solo", "hello-1x1", "rate", MORE, 1, other="bjoern", server="flupd solo"),
    beside("Hello, solo", "hello-1x1", "cpu", LESS, 1, other="bjoern", server="flupd solo"),
    beside("Body of 100 KiB", "large", "cpu", LESS, 0.8),
    beside("Body of 1 MiB in 64 chunks", "chunks", "cpu", LESS, 0.8),
    beside("Upload of 1 MiB", "upload", "cpu", LESS, 0.25),
    beside("Upload of 1 MiB", "upload", "cpu", LESS, 1, other="granian"),
    beside("Flask, 2x1", "flask", "rate", MORE, 1.4),
    beside("Flask, 2x1", "flask", "cpu", LESS, 0.8),
    best("Flask, 2x1", "flask"),
    beside("Django, 2x1", "django", "rate", MORE, 1.3),
    beside("Django, 2x1", "django", "cpu", LESS, 0.85),
    best("Django, 2x1", "django"),
    beside("Flask, 2x4", "flask-2x4", "rate", MORE, 1.4),
    beside("Flask, 2x4", "flask-2x4", "p99", LESS, 1),
    beside("Fast beside slow, even", "mixed", "p99", LESS, 1),
    beside("Fast beside slow, at random", "crowd", "p99", LESS, 1),
    alone("8 clients of 70 µs of computing", "fairness", "max", LESS, 15, "ms"),
    alone("10 ms sleep, 4 threads", "sleep-4", "rate", MORE, 388, "/s"),
    alone("10 ms sleep, 32 threads", "sleep-32", "rate", MORE, 3040, "/s"),
    *(
        beside("8 active clients", "beside", "rate", MORE, 0.95, other="flupd", server=f"flupd beside {what}")
        for what in ("100 silent", "2000 idle", "50 stalled")
    ),
    beside("2 000/s", "low", "cpu", LESS, 1),
    beside("What observing costs", "observed", "cpu", LESS, 1.02, "flupd solo unobserved", "flupd solo"),
    memory("PSS, hello, 1x1", "hello, 1x1", "flupd", 16),
    memory("PSS, Flask and Django, 4 workers, preloaded", "Flask and Django, 4x1", "flupd preload", 80),
    Goal("Start to first answer, over `python -c pass`", start_over_python, LESS, 30, "ms"),
)
