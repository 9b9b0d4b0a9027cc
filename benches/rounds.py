"""Runs a workload: all its servers at once, loaded in turn, several rounds.

Only one server works at a time, and what is compared was measured within
seconds of each other, so that a machine that gets slower or busier meets all alike.
"""

import os
import tempfile
import time
from pathlib import Path

import measure
import nginx
import peers
from load import Target, held
from serving import Failed, Processes, free_ports


class Patience:
    """The seconds that may be spent in waiting for other programs to end."""

    def __init__(self, seconds):
        self.left = seconds

    def wait(self):
        if self.left > 0:
            self.left -= measure.wait_for_quiet(self.left)


def run(tools, workload, names, rounds, seconds, patience, say):
    """A dictionary of label to the list of its rounds' figures."""
    with tempfile.TemporaryDirectory(prefix="flupd-bench-") as name, Processes() as processes:
        servers, targets = start(processes, tools, workload, names, Path(name))
        front = processes.running[-1][1]
        entries = workload.entries(names)
        for peer in names:
            say(f"{workload.name}: warming up {peer}")
            workload.load(tools, targets[peer], 1)
        samples = {label: [] for label, _, _ in entries}
        for number in range(rounds * workload.slices):
            turn = number % len(entries)
            for label, peer, beside in entries[turn:] + entries[:turn]:
                say(f"{workload.name}: round {number + 1} of {rounds * workload.slices}, {label}")
                patience.wait()
                try:
                    with held(tools, targets[peer], beside):
                        pids = servers[peer].pid, front.pid
                        figures = one(tools, workload.load, targets[peer], *pids, seconds / workload.slices)
                except Failed as failure:
                    raise Failed(f"{label}: {failure}\nIts log:\n{log_of(processes, peer)}") from None
                samples[label].append(figures)
                processes.check()
        return samples


def log_of(processes, peer):
    """The last lines that a server wrote."""
    log = next(log for name, _, log in processes.running if name == peer)
    return "".join(open(log, errors="replace").readlines()[-10:])


def start(processes, tools, workload, names, directory):
    """Starts the workload's servers, then nginx. The processes by name, and what to aim at."""
    found, targets = {}, {}
    for name, port in zip(names, free_ports(len(names))):
        peer = peers.PEERS[name]
        found[name], path = peers.start(processes, tools, peer, workload.app, workload.size, directory)
        targets[name] = Target(peer.protocol, peer.keep, path, port)
    backends = [(peers.PEERS[name], target.path, target.port) for name, target in targets.items()]
    nginx.start(processes, directory / "nginx", backends)
    return found, targets


def one(tools, load, target, server, front, seconds):
    """One round's figures: those of the load, `cpu` and `nginx` in µs a request, `foreign` in CPUs."""
    # What comes before, such as 2 000 connections that are made, is no part of them.
    measure.wait_for_rest(server)
    before = (measure.cpu_seconds(server), measure.cpu_seconds(front), *machine())
    figures = load(tools, target, seconds)
    after = (measure.cpu_seconds(server), measure.cpu_seconds(front), *machine())
    used, nginx_used, busy, driver, elapsed = (new - old for old, new in zip(before, after))
    if figures["requests"]:
        figures["cpu"] = used / figures["requests"] * 1e6
        figures["nginx"] = nginx_used / figures["requests"] * 1e6
    figures["foreign"] = max(0.0, busy - used - nginx_used - driver) / elapsed
    return figures


def machine():
    """Seconds: all CPUs' work, that of this program and the load it ran, and the clock."""
    times = os.times()
    return measure.busy_seconds(), sum(times[:4]), time.monotonic()
