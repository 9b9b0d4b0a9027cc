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

WIDTH, LABELS, PANEL, GAP, TOP = 960, 190, 340, 45, 96
BAR, ROW_GAP = 11, 16
SCALE = 2.5
STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }
    .title { font-size: 17px; font-weight: 600 } .head { font-size: 13px; font-weight: 600 }
    .faint { fill: #59636e } .value { font-size: 10px; fill: #59636e }
    .inside { font-size: 10px; font-weight: 600; fill: #ffffff }
    .paper { fill: #ffffff } .line { stroke: #d1d9e0 } .base { stroke: #59636e }
    .spread { stroke: #1f2328; opacity: .55 }
    .c0 { fill: #1a7f5a } .c1 { fill: #6cc3a0 } .c2 { fill: #4f7fd6 } .c3 { fill: #c98a2b } .c4 { fill: #a4a9b3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .inside { fill: #ffffff } .faint, .value { fill: #9198a1 } .paper { fill: #0d1117 }
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
    foot = f"{facts['command']}, {facts['date']}, {facts['cpu']}; median of rounds, thin line: smallest to largest"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 34:.0f}" width="{WIDTH}" role="img">',
            "<title>flupd and its peers beside uWSGI</title>",
            f"<style>{STYLE}</style>",
            rectangle("paper", 0, 0, WIDTH, y + 34),
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
    parts = [
        text(left, TOP - 24, title, kind="head"),
        text(left + PANEL, TOP - 24, meaning, anchor="end", kind="faint"),
    ]
    for tick in (0, 0.5, 1, 1.5, 2, 2.5):
        x = left + tick / SCALE * PANEL
        kind = "base" if tick == 1 else "line"
        parts.append(line(kind, x, TOP - 6, x, bottom))
        parts.append(text(x, TOP - 10, f"{tick:g}", anchor="middle", kind="value"))
    return "\n".join(parts)


def bar(left, y, peer, ratio):
    """A bar that ends at the scale's end if it is longer; its number is always true."""

    def x(value):
        return left + min(value, SCALE) / SCALE * PANEL

    end = x(ratio.middle)
    inside = ratio.middle > SCALE * 0.88
    label_x, kind = (x(0) + 5, "inside") if inside else (max(end, x(ratio.high)) + 4, "value")
    middle = y + BAR / 2 - 0.5
    return "\n".join(
        [
            rectangle(colour(peer), left, y, end - left, BAR - 2),
            line("spread", x(ratio.low), middle, x(ratio.high), middle),
            text(label_x, y + BAR - 2.5, f"{ratio.middle:.2f}" + (" →" if ratio.middle > SCALE else ""), kind=kind),
        ]
    )


def legend(peers):
    x, parts = 20, []
    for peer in peers:
        parts.append(rectangle(colour(peer), x, 43, 11, 11))
        parts.append(text(x + 16, 53, peer))
        x += 36 + 7 * len(peer)
    return parts


def colour(peer):
    return f"c{PEERS.index(peer)}"


def rectangle(kind, x, y, width, height):
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5"/>'


def line(kind, x1, y1, x2, y2):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x, y, words, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'
