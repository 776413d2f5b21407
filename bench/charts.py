"""Line charts as SVG, both axes logarithmic: what they show is how a cost grows."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 240, 40, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b", "#8c564b", "#7f7f00", "#000000")


def number(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


class Axis:
    def __init__(self, values, low, high):
        self.first, self.last = math.log10(min(values)), math.log10(max(values))
        if self.first == self.last:
            self.first, self.last = self.first - 0.5, self.last + 0.5
        self.low, self.high = low, high

    def at(self, value):
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return self.low + share * (self.high - self.low)

    def ticks(self):
        return [10 ** e for e in range(math.ceil(self.first - 1e-9), math.floor(self.last + 1e-9) + 1)]


def chart(title, x_label, y_label, series):
    """`series`: {name: [(x, y), ...]}, all of them positive. Returns the text of an SVG document."""
    points = [point for line in series.values() for point in line]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT)
    y = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="12">',
           f'<title>{escape(title)}</title>',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>']
    for tick in y.ticks():
        out.append(f'<path d="M{LEFT} {y.at(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{y.at(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for value in sorted({p[0] for p in points}):
        out.append(f'<path d="M{x.at(value):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>'
                   f'<text x="{x.at(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{number(value)}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>'
               f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
               f'text-anchor="middle">{escape(y_label)}</text>')
    names = sorted(series, key=lambda name: series[name][-1][1], reverse=True)
    labels, label_y = {}, TOP
    for name in names:
        labels[name] = label_y = max(label_y + 15, y.at(series[name][-1][1]) + 4)
    too_low = max(0, label_y - (HEIGHT - 10))
    for name in names:
        colour = COLOURS[list(series).index(name) % len(COLOURS)]
        line = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in series[name])
        width = 3 if name == "pleach" else 1.5
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        out += [f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="2.5" fill="{colour}"/>' for a, b in series[name]]
        out.append(f'<text x="{WIDTH - RIGHT + 8}" y="{labels[name] - too_low:.1f}" fill="{colour}">{escape(name)}</text>')
    out.append("</svg>\n")
    return "\n".join(out)
