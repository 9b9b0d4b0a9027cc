"""What a process tree has used: CPU time and memory, from the kernel."""

import os
import time
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(root):
    """User and system time of a process, its living descendants, and those that ended and were waited for."""
    return sum(process_seconds(pid) + ended for pid, ended in tree(root))


def pss_mib(root):
    """Proportional set size of a process and its living descendants, in MiB."""
    kib = 0
    for pid, _ in tree(root):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024


def busy_seconds():
    """The time that all CPUs together have been busy since boot."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) * TICK


def wait_for_quiet(seconds, below=0.3, look=0.2):
    """Waits until nothing much runs, or the time is up. Returns the seconds that it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        busy = busy_seconds()
        time.sleep(look)
        if busy_seconds() - busy < below * look:
            break
    return time.monotonic() - begun


def wait_for_rest(root, seconds=2, above=0.05, look=0.05):
    """Waits until a process tree has done what it was asked to, or the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        used = cpu_seconds(root)
        time.sleep(look)
        if cpu_seconds(root) - used < above * look:
            break


def process_seconds(pid):
    """As utime + stime, but to the nanosecond: the clock that clock_getcpuclockid(3) gives."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def tree(root):
    """The process and its living descendants, each with the seconds of its children that ended."""
    parents, ended = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        ended[int(entry.name)] = (int(fields[13]) + int(fields[14])) * TICK

    def below(pid):
        while pid and pid != root:
            pid = parents.get(pid)
        return pid == root

    return [(pid, seconds) for pid, seconds in ended.items() if below(pid)]
