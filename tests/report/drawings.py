"""What stands where in a drawing, read back from its SVG."""

import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

SVG = "{http://www.w3.org/2000/svg}"
STEPS = 12


@dataclass
class Picture:
    """A part of a drawing: its boxes as left, top, right, bottom by their texts, and its lines as points."""

    boxes: list[tuple[tuple[str, ...], tuple[float, float, float, float]]] = field(default_factory=list)
    lines: list[list[tuple[float, float]]] = field(default_factory=list)

    @property
    def titles(self):
        return [texts[0] for texts, _ in self.boxes]


def pictures(svg):
    """The parts of a drawing, each in its own coordinates."""
    found = []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        boxes = [g for g in group.findall(f"{SVG}g") if g.find(f"{SVG}title") is not None]
        if boxes:
            lines = [points(p.get("d")) for p in group.findall(f"{SVG}path")]
            found.append(Picture([box(g) for g in boxes], lines))
    return found


def frames(svg):
    """Left, top, right and bottom of the title and of all frames."""
    found = []
    for group in ET.fromstring(svg).findall(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        if rect is not None and rect.get("rx") == "10":
            x, y = map(float, re.findall(r"[\d.]+", group.get("transform")))
            found.append((x, y, x + float(rect.get("width")), y + float(rect.get("height"))))
    return found


def box(group):
    x, y, width, height = (float(group.find(f"{SVG}rect").get(k)) for k in ("x", "y", "width", "height"))
    return tuple(t.text for t in group.findall(f"{SVG}text")), (x, y, x + width, y + height)


def points(path):
    """Points along `M x y`, `V y` and `C ...` commands."""
    found = []
    for command, text in re.findall(r"([MVC])([^MVC]*)", path):
        numbers = [float(n) for n in text.split()]
        if command == "M":
            found.append((numbers[0], numbers[1]))
        elif command == "V":
            (x, y), (to,) = found[-1], numbers
            found += [(x, y + (to - y) * k / STEPS) for k in range(1, STEPS + 1)]
        else:
            ends = [found[-1], *zip(numbers[::2], numbers[1::2], strict=True)]
            found += [bezier(ends, k / STEPS) for k in range(1, STEPS + 1)]
    return found


def bezier(ends, t):
    shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    return tuple(sum(share * end[axis] for share, end in zip(shares, ends, strict=True)) for axis in (0, 1))


def overlaps(frames):
    return [
        (a, b)
        for a, b in itertools.combinations(frames, 2)
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


def crossed(picture):
    """The boxes that a line runs through, with the line; lines end one unit before a box."""
    found = []
    for line in picture.lines:
        xs, ys = zip(*line, strict=True)
        around = min(xs), min(ys), max(xs), max(ys)
        found += [
            (texts, line)
            for texts, (left, top, right, bottom) in picture.boxes
            if around[0] < right and left < around[2] and around[1] < bottom and top < around[3]
            if any(left < x < right and top < y < bottom for x, y in line)
        ]
    return found
