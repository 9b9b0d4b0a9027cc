#!/usr/bin/env python3
"""flupd beside its peers, behind the same nginx, under the same load.

Writes report.md, report.svg and results.json into the output directory.
`make bench` runs it; `make bench QUICK=1` in less than three minutes.
"""

import argparse
import resource
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))

import chart  # noqa: E402
import machine  # noqa: E402
import once  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import rounds  # noqa: E402
from figures import Figures  # noqa: E402
from serving import Failed  # noqa: E402
from workloads import WORKLOADS  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=ROOT / "target/bench-venv", help="a virtualenv with the peers")
    parser.add_argument("--flupd", type=Path, default=ROOT / "target/release/flupd")
    parser.add_argument("--load", type=Path, default=ROOT / "target/release/flupd-load")
    parser.add_argument("--output", type=Path, default=ROOT / "target/bench")
    parser.add_argument("--quick", action="store_true", help="fewer peers, shorter and fewer rounds")
    parser.add_argument("--only", help="workloads, by name, with commas between")
    parser.add_argument("--peers", help="only these peers, with commas between")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="length of a round")
    parser.add_argument("--patience", type=float, help="seconds to wait, in all, for a quiet machine")
    parser.add_argument(
        "--readme", action="store_true", help="measure nothing: print the README's part from the last run"
    )
    options = parser.parse_args()

    results = options.output / "results.json"
    if options.readme:
        print(report.readme(Figures.from_json(results.read_text())))
        return
    figures = measured(options)
    options.output.mkdir(parents=True, exist_ok=True)
    results.write_text(figures.to_json())
    (options.output / "report.md").write_text(report.markdown(figures))
    (options.output / "report.svg").write_text(chart.svg(figures))
    print(report.goals(figures, only_measured=bool(options.only)))
    for name, failure in figures.failures.items():
        print(f"{name} failed: {failure}\n")
    print(f"The whole report: {options.output}/report.md, report.svg, results.json")
    if figures.failures:
        sys.exit(1)


def measured(options):
    # 2 000 idle connections, and nginx's side of as many.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16384), most))
    tools = peers.Tools(options.flupd.absolute(), options.load.absolute(), options.venv.absolute())
    number = options.rounds or (2 if options.quick else 5)
    seconds = options.seconds or (1 if options.quick else 3)
    patience = rounds.Patience((0 if options.quick else 600) if options.patience is None else options.patience)
    figures = Figures(about=machine.describe(tools, number, seconds, options.quick))
    only = options.only.split(",") if options.only else None
    for workload in WORKLOADS:
        if only and workload.name not in only:
            continue
        names = [name for name in chosen(workload, options) if peers.runs(name, tools)]
        if not names:
            continue
        try:
            figures.rounds[workload.name] = rounds.run(tools, workload, names, number, seconds, patience, say)
        except Failed as failure:
            figures.failures[workload.name] = str(failure)
    for name, measure in once.ALL.items():
        if not only or name in only:
            figures.once[name] = measure(tools, number, options.quick, say)
    say("")
    return figures


def chosen(workload, options):
    names = workload.quick if options.quick else workload.peers
    wanted = options.peers.split(",") if options.peers else names
    return [name for name in names if name in wanted]


def say(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
    elif text:
        print(text, file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"bench: {failure}")
