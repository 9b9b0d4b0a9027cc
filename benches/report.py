"""The figures as Markdown: the whole report, the goals alone, and the README's part."""

from statistics import median

from goals import GOALS
from workloads import WORKLOADS

MARKS = {True: "met", False: "**missed**", None: ""}
HEADS = {
    "rate": "req/s",
    "cpu": "CPU-µs",
    "nginx": "nginx's CPU-µs",
    "p50": "p50 ms",
    "p99": "p99 ms",
    "max": "worst ms",
}
# CPUs that other programs may keep busy without a word about it.
QUIET = 0.1
README_PEERS = ("flupd", "uWSGI", "granian", "bjoern", "gunicorn")
README_ROWS = {
    "hello-1x1": "hello, 1 x 1",
    "hello-2x1": "hello, 2 x 1",
    "large": "100 KiB body, 1 x 1",
    "chunks": "1 MiB in 64 chunks, 1 x 1",
    "upload": "1 MiB upload, 1 x 1",
    "flask": "Flask JSON, 2 x 1",
    "django": "Django JSON, 2 x 1",
}
METHOD = """\
- All servers of a table run at once; one at a time is loaded, in turn, round after round. A figure is the median
  of its rounds, with the smallest and largest behind it. A ratio is taken round by round, between neighbours in
  time, and then the median. Rounds in which other programs kept more than half a CPU busy are left out, if at
  least two are left.
- CPU-µs is the user and system time of the server's whole process tree, ended children included, for each request.
- The web server is nginx with one worker. It reaches every server by a unix socket and keeps its connections where
  the server can (flupd by `fastcgi_keep_conn`; granian, bjoern and gunicorn's threads by HTTP keep-alive; uWSGI
  closes each; flup is asked to, as stock nginx does, but for "flup kept").
- `wrk -t1 -c32` drives it. Fixed rates and direct connections are the work of flupd's own load generator,
  `benches/load`. Latencies at a fixed rate count from the time a request was due.
- uWSGI runs with a master process and, with one thread, without `--enable-threads`: its fastest. "uWSGI" alone is
  uWSGI over FastCGI.
"""


def markdown(figures):
    parts = ["# flupd beside its peers\n", about(figures), "## Goals\n", goals(figures)]
    for workload in WORKLOADS:
        if workload.name in figures.rounds:
            parts += [f"## {workload.title}\n", table(figures, workload)]
        if workload.name in figures.failures:
            parts += [f"## {workload.title}\n", f"**Failed:**\n\n```\n{figures.failures[workload.name]}\n```\n"]
    parts += [memory(figures), start(figures), "## How\n", METHOD]
    return "\n".join(part for part in parts if part)


def about(figures):
    facts = figures.about
    said = (
        f"`{facts['command']}`, {facts['date']}: {facts['cpu']}, {facts['kernel']}. {', '.join(facts['versions'])}. "
        f"{facts['rounds']} rounds of {facts['seconds']} s each."
    )
    busy = median([figures.foreign(name).middle for name in figures.rounds] or [0])
    if busy > QUIET:
        said += f" **The machine was not quiet:** other programs kept {busy:.1f} CPUs busy."
    return said + "\n"


def goals(figures, only_measured=False):
    lines = ["| goal | asked | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        if only_measured and goal.met(figures) is None:
            continue
        lines.append(f"| {goal.text} | {goal.asked()} | {goal.measured(figures)} | {MARKS[goal.met(figures)]} |")
    return "\n".join(lines) + "\n"


def table(figures, workload):
    """One row a server; the ratios are flupd's to it."""
    shown = [figure for figure in (*workload.shown, "nginx") if figure != "nginx" or "cpu" in workload.shown]
    ratios = [figure for figure in ("rate", "cpu", "p99") if figure in workload.shown]
    heads = [HEADS[figure] for figure in shown] + [f"flupd to it: {HEADS[figure].split()[0]}" for figure in ratios]
    lines = ["| | " + " | ".join(heads) + " |", "|---" + "|---:" * len(heads) + "|"]
    for label in figures.labels(workload.name):
        cells = [spread(figures.spread(workload.name, label, figure)) for figure in shown]
        for figure in ratios:
            ratio = figures.ratio(workload.name, figure, "flupd", label)
            cells.append("" if label == "flupd" or not ratio else f"{spread(ratio)} x")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    for label, count in figures.failed(workload.name).items():
        lines += ["", f"{label}: {count} requests failed or were not answered in time."]
    foreign = figures.foreign(workload.name)
    if foreign.middle > QUIET:
        lines += ["", f"Other programs kept {spread(foreign)} CPUs busy meanwhile."]
    return "\n".join(lines) + "\n"


def memory(figures):
    if "memory" not in figures.once:
        return ""
    lines = ["## Memory after load (PSS of all processes, MiB)\n"]
    for what, servers in figures.once["memory"].items():
        lines += [f"| {what} | MiB |", "|---|---:|"]
        lines += [f"| {name} | {mib:.1f} |" for name, mib in servers.items()]
        lines.append("")
    return "\n".join(lines)


def start(figures):
    if "start" not in figures.once:
        return ""
    lines = ["## From the start to the first answer\n", "| | ms |", "|---|---:|"]
    for name, times in figures.once["start"].items():
        lines.append(f"| {name} | {number(median(times))} ({number(min(times))}–{number(max(times))}) |")
    return "\n".join(lines) + "\n"


def readme(figures):
    """The README's table: CPU a request, and requests a second behind it."""
    lines = ["| CPU-µs a request (req/s) | " + " | ".join(README_PEERS) + " |"]
    lines.append("|---" + "|---:" * len(README_PEERS) + "|")
    for name, title in README_ROWS.items():
        cells = []
        for peer in README_PEERS:
            cpu, rate = (figures.spread(name, peer, figure) for figure in ("cpu", "rate"))
            cells.append(f"{number(cpu.middle)} ({number(rate.middle)})" if cpu and rate else "")
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", "Workers x threads; nginx in front, uWSGI over FastCGI, the last three over HTTP.", about(figures)]
    return "\n".join(lines)


def spread(figure):
    if not figure:
        return ""
    return f"{number(figure.middle)} ({number(figure.low)}–{number(figure.high)})"


def number(value):
    """Three digits that mean something."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
