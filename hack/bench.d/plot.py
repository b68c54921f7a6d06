"""Draws what `hack/bench scale --record` wrote down, as plain SVG."""
import json
import math

WIDTH, HEIGHT = 360, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 44
SERIES = [(False, "#1f6fb2", "models"), (True, "#c2571a", "models, monitors, policies")]
PANELS = [("request", "CPU milliseconds a request, while converging"), ("peak", "MB of memory, peak")]


def step_of(highest):
    """A round distance between three to six lines."""
    power = 10 ** math.floor(math.log10(highest))
    return next(power * part for part in (0.2, 0.5, 1, 2) if highest / (power * part) <= 6)


class Panel:
    def __init__(self, number, title, points):
        self.left = number * WIDTH + LEFT
        self.title = title
        self.points = points
        counts = [x for x, _, _ in points]
        self.low, self.high = math.log10(min(counts) * 0.8), math.log10(max(counts) * 1.2)
        self.step = step_of(max(y for _, y, _ in points) * 1.1)
        self.top = self.step * math.ceil(max(y for _, y, _ in points) * 1.05 / self.step)

    def x(self, count):
        part = (math.log10(count) - self.low) / (self.high - self.low)
        return self.left + part * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)

    def draw(self):
        right = self.left + WIDTH - LEFT - RIGHT
        yield f'<text x="{self.left - 40}" y="20" class="title">{self.title}</text>'
        for i in range(round(self.top / self.step) + 1):
            y = self.y(i * self.step)
            yield f'<line x1="{self.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            yield (f'<text x="{self.left - 6}" y="{y + 4:.1f}" text-anchor="end">'
                   f'{i * self.step:g}</text>')
        for count in sorted({x for x, _, _ in self.points}):
            yield (f'<text x="{self.x(count):.1f}" y="{HEIGHT - BOTTOM + 16}" '
                   f'text-anchor="middle">{count:,}</text>')
        for full, colour, _ in SERIES:
            own = sorted((x, y) for x, y, kind in self.points if kind == full)
            path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in own)
            if len(own) > 1:
                yield f'<polyline points="{path}" fill="none" stroke="{colour}"/>'
            for x, y in own:
                yield f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.5" fill="{colour}"/>'


def draw(figures):
    """The SVG's text."""
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * len(PANELS)}" '
             f'height="{HEIGHT}" font-family="sans-serif" font-size="11">',
             "<style>.title{font-size:13px}.grid{stroke:#ddd}</style>",
             '<rect width="100%" height="100%" fill="#fff"/>']
    for number, (key, title) in enumerate(PANELS):
        points = [(one["models"], one[key], one["monitors"]) for one in figures if key in one]
        if points:
            parts += Panel(number, title, points).draw()
    for i, (_, colour, name) in enumerate(SERIES):
        x = LEFT + i * 120
        parts.append(f'<circle cx="{x}" cy="{HEIGHT - 10}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 8}" y="{HEIGHT - 6}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def run(root):
    folder = root / "docs" / "images"
    figures = json.loads((folder / "scale.json").read_text(encoding="utf-8"))
    (folder / "scale.svg").write_text(draw(figures), encoding="utf-8")
