"""One way of drawing for all pictures: the same type, colours and marks, and SVG that is safe inside a page.

Colours are written as `var(--figure-…, #fallback)`, so that a page can recolour a picture for dark mode and a picture
on its own still has colours.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from math import isfinite
from threading import Lock
from typing import Any, Literal
from xml.etree import ElementTree as ET

from advisor.report.texts.xml_text import shown_text
from advisor.results.comparison import Interval
from advisor.results.quantities import clip

INK = "#1c2430"
MUTED = "#5b6675"
LINE = "#d5dae1"
ACCENT = "#1f5fbf"
CHOSEN = "#0f7a4d"
SECOND = "#a8540c"
THIRD = "#7a3fa0"
REFERENCE = "#7b8593"
BAND = "#e6ebf2"
SERIES = (ACCENT, SECOND)
DASHES: tuple[Any, ...] = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 3)), (0, (1, 3)))
"""So that lines differ without their colours; solid is left to the arm named in the verdict."""

VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    ACCENT: "accent",
    CHOSEN: "chosen",
    SECOND: "second",
    THIRD: "third",
    REFERENCE: "reference",
    BAND: "band",
}

Grid = Literal["x", "y", "both"] | None

_WIDTH_INCHES = 4.8
_LABEL_LIMIT = 36
_LABEL_GAP_POINTS = 10.5
# matplotlib's settings and Python's warning filters belong to the process, and a server draws in several threads.
_ONE_AT_A_TIME = Lock()
_FONTS = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans Myanmar', 'Noto Sans Arabic', sans-serif"
)
_MARKS = {
    "recommended": {"color": CHOSEN, "marker": "D", "markersize": 6.5, "linewidth": 1.8},
    "candidate": {"color": ACCENT, "marker": "o", "markersize": 6, "linewidth": 1.4},
    "reference": {"color": REFERENCE, "marker": "s", "markersize": 5, "linewidth": 1.0, "markerfacecolor": "none"},
}
_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
}


def picture(name: str, title: str, draw: Callable[[Any], None], *, height: float, grid: Grid = "x") -> str:
    """The `svg` element that `draw` makes on a fresh pair of axes; equal input gives equal bytes.

    Args:
        name: Unique within a page; element ids derive from it.
        title: Read out in place of the picture.
        draw: Receives matplotlib axes.
        height: In inches; the width is that of a phone.
        grid: Axis whose ticks get lines: "x", "y" or "both"; None for no lines.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with _ONE_AT_A_TIME, mpl.rc_context(), warnings.catch_warnings():
        # Layout is measured with one font; the page has glyphs for scripts that this font lacks.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support")
        # A reader's own matplotlibrc must not change the report.
        mpl.rcdefaults()
        mpl.rcParams.update({**_SETTINGS, "svg.hashsalt": name})
        figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
        FigureCanvasSVG(figure)
        plot = figure.add_subplot()
        if grid is not None:
            plot.grid(axis=grid)
        plot.tick_params(length=0)
        draw(plot)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _fit_for_page(written.getvalue(), re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"), shown_text(title))


def label_text(text: str) -> str:
    """Untrusted text as a label: one line, not long, fit for XML."""
    return clip(" ".join(shown_text(text).split()), _LABEL_LIMIT)


def error_bar(
    plot: Any, interval: Interval, position: float, factor: float, kind: str, *, vertical: bool = False
) -> None:
    """A dot with its interval; without finite ends only the dot."""
    style = _MARKS[kind]
    ends = [interval.low * factor, interval.high * factor]
    if all(isfinite(end) for end in ends):
        line = ([position, position], ends) if vertical else (ends, [position, position])
        plot.plot(*line, color=style["color"], linewidth=style["linewidth"], solid_capstyle="butt")
    point = (position, interval.estimate * factor) if vertical else (interval.estimate * factor, position)
    plot.plot(*point, **{**style, "linestyle": "none"})


def arm_colours(kinds: Iterable[str], chosen: str | None) -> dict[str, str]:
    """A colour for each arm; the chosen one has its own. With many arms they recur, so that text must tell them too."""
    others = cycle((ACCENT, SECOND, THIRD, MUTED))
    return {kind: CHOSEN if kind == chosen else next(others) for kind in kinds}


def label_line_ends(plot: Any, ends: Sequence[tuple[str, float, str]]) -> None:
    """Name lines right of where they end, moved apart where they would overlap.

    Args:
        plot: Axes whose limits are final.
        ends: (text, y in data units, colour).
    """
    plot.figure.canvas.draw()
    box = plot.get_window_extent()
    gap = _LABEL_GAP_POINTS * plot.figure.dpi / 72 / box.height
    heights = [(plot.transData.transform((1, y))[1] - box.y0) / box.height for _, y, _ in ends]
    placed = -1.0
    for index in sorted(range(len(ends)), key=lambda i: (heights[i], i)):
        text, y, colour = ends[index]
        placed = max(heights[index], placed + gap)
        plot.annotate(
            text,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(1.02, placed),
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=colour,
            annotation_clip=False,
        )


def has_points(intervals: Iterable[Interval]) -> bool:
    """Whether any estimate can be drawn."""
    return any(isfinite(interval.estimate) for interval in intervals)


def place_labels(plot: Any, labels: list[tuple[str, float, float]]) -> None:
    """Write each text beside its point, where it covers neither a point nor a text placed before.

    Args:
        plot: Axes whose limits are final.
        labels: (text, x, y) in data units.
    """
    from matplotlib.transforms import Bbox

    plot.figure.canvas.draw()
    inside = plot.get_window_extent()
    centres = plot.transData.transform([(x, y) for _, x, y in labels])
    taken = [Bbox([[x - 5, y - 5], [x + 5, y + 5]]) for x, y in centres]
    for text, x, y in sorted(labels, key=lambda label: (-label[2], label[1])):
        for offset in _OFFSETS:
            note = plot.annotate(
                text,
                (x, y),
                xytext=offset[:2],
                textcoords="offset points",
                ha=offset[2],
                va="center",
                fontsize=8.5,
                color=INK,
            )
            box = note.get_window_extent()
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1 and not any(box.overlaps(other) for other in taken)
            if fits or offset == _OFFSETS[-1]:
                taken.append(box)
                break
            note.remove()


_OFFSETS = tuple((dx, dy, side) for dy in (6, -7, 15, -16, 24, -25) for dx, side in ((7, "left"), (-7, "right")))


def _fit_for_page(text: str, prefix: str, title: str) -> str:
    ET.register_namespace("", "http://www.w3.org/2000/svg")
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ET.fromstring(text)
    # A style element inside a page would apply to all of it.
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif key.endswith("}href"):
                # SVG 2 needs no namespace here, and HTML parsers take either.
                del element.attrib[key]
                element.set("href", value.replace("#", f"#{prefix}-"))
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{prefix}-"))
        if element.get("style"):
            element.set("style", _restyled(element.attrib["style"]))
    # The width of the page decides the size; the view box keeps the proportions.
    root.attrib.pop("width", None)
    root.attrib.pop("height", None)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    root.set("role", "img")
    root.set("aria-label", title)
    return ET.tostring(root, encoding="unicode")


def _restyled(style: str) -> str:
    style = re.sub(r"'DejaVu Sans'(, ?[\w' -]+)*", _FONTS, style)
    for colour, name in VARIABLES.items():
        style = style.replace(colour, f"var(--figure-{name}, {colour})")
    return style
