"""The figures as a chart: each server's requests a second and CPU a request, beside uWSGI's."""

from html import escape

BASE = "uWSGI"
PEERS = ("flupd", "flupd solo", "granian", "bjoern", "gunicorn")
ROWS = {
    "hello-1x1": "hello, 1 x 1",
    "hello-2x1": "hello, 2 x 1",
    "environ": "environ table, 1 x 1",
    "large": "100 KiB body, 1 x 1",
    "chunks": "1 MiB in 64 chunks, 1 x 1",
    "upload": "1 MiB upload, 1 x 1",
    "flask": "Flask JSON, 2 x 1",
    "django": "Django JSON, 2 x 1",
    "flask-2x4": "Flask JSON, 2 x 4",
}
PANELS = (("rate", "Requests a second", "more is better"), ("cpu", "CPU a request", "less is better"))

WIDTH, LABELS, PANEL, GAP, TOP = 940, 170, 340, 45, 96
BAR, ROW_GAP = 11, 16
SCALE = 2.5
STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }
    .title { font-size: 17px; font-weight: 600 } .head { font-size: 13px; font-weight: 600 }
    .faint { fill: #59636e } .value { font-size: 10px; fill: #59636e }
    .paper { fill: #ffffff } .line { stroke: #d1d9e0 } .base { stroke: #59636e } .spread { stroke: #1f2328; opacity: .55 }
    .c0 { fill: #1a7f5a } .c1 { fill: #6cc3a0 } .c2 { fill: #4f7fd6 } .c3 { fill: #c98a2b } .c4 { fill: #a4a9b3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .faint, .value { fill: #9198a1 } .paper { fill: #0d1117 }
      .line { stroke: #30363d } .base { stroke: #9198a1 } .spread { stroke: #e6edf3 }
      .c0 { fill: #2fb986 } .c1 { fill: #1f6f55 } .c2 { fill: #6b97e6 } .c3 { fill: #d9a04a } .c4 { fill: #656c76 }
    }
"""


def svg(figures):
    rows = [(name, title, present(figures, name)) for name, title in ROWS.items()]
    rows = [row for row in rows if row[2]]
    parts, y = [], TOP
    for name, title, peers in rows:
        height = len(peers) * BAR
        parts.append(text(LABELS - 12, y + height / 2 + 4, title, anchor="end"))
        for column, (figure, _, _) in enumerate(PANELS):
            left = LABELS + column * (PANEL + GAP)
            for place, peer in enumerate(peers):
                parts.append(bar(left, y + place * BAR, peer, figures.ratio(name, figure, peer, BASE)))
        y += height + ROW_GAP
    frame = [panel(column, *PANELS[column], y - ROW_GAP / 2) for column in range(len(PANELS))]
    seen = [peer for peer in PEERS if any(peer in peers for _, _, peers in rows)]
    facts = figures.about
    foot = f"{facts.get('command', '')}, {facts.get('date', '')}, {facts.get('cpu', '')}; median of rounds, thin line: smallest to largest"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 34:.0f}" width="{WIDTH}" role="img">',
            "<title>flupd and its peers beside uWSGI</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{y + 34:.0f}" rx="8"/>',
            text(20, 30, "flupd and its peers, behind nginx; uWSGI over FastCGI is 1", kind="title"),
            *legend(seen),
            *frame,
            *parts,
            text(20, y + 18, foot, kind="faint"),
            "</svg>\n",
        ]
    )


def present(figures, name):
    """The servers that this workload has ratios of."""
    return [peer for peer in PEERS if figures.ratio(name, "cpu", peer, BASE)]


def panel(column, _figure, title, meaning, bottom):
    left = LABELS + column * (PANEL + GAP)
    parts = [text(left, TOP - 24, title, kind="head"), text(left + PANEL, TOP - 24, meaning, anchor="end", kind="faint")]
    for tick in (0, 0.5, 1, 1.5, 2, 2.5):
        x = left + tick / SCALE * PANEL
        kind = "base" if tick == 1 else "line"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom:.1f}"/>')
        parts.append(text(x, TOP - 10, f"{tick:g}", anchor="middle", kind="value"))
    return "\n".join(parts)


def bar(left, y, peer, ratio):
    """A bar that ends at the scale's end if it is longer; its number is always true."""

    def x(value):
        return left + min(value, SCALE) / SCALE * PANEL

    end = x(ratio.middle)
    inside = ratio.middle > SCALE * 0.88
    label_x, anchor = (x(0) + 5, "start") if inside else (max(end, x(ratio.high)) + 4, "start")
    middle = y + BAR / 2 - 0.5
    return "\n".join(
        [
            f'<rect class="c{PEERS.index(peer)}" x="{left}" y="{y:.1f}" width="{end - left:.1f}" height="{BAR - 2}" rx="1.5"/>',
            f'<line class="spread" x1="{x(ratio.low):.1f}" x2="{x(ratio.high):.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>',
            text(label_x, y + BAR - 2.5, f"{ratio.middle:.2f}" + (" →" if ratio.middle > SCALE else ""), anchor, "value"),
        ]
    )


def legend(peers):
    x, parts = 20, []
    for peer in peers:
        parts.append(f'<rect class="c{PEERS.index(peer)}" x="{x}" y="43" width="11" height="11" rx="2"/>')
        parts.append(text(x + 16, 53, peer))
        x += 36 + 7 * len(peer)
    return parts


def text(x, y, words, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'
