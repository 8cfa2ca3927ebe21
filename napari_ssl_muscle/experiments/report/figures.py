"""Figures of the report as SVG inside the page: its font and colours, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""Colour of text and axes; the page replaces it with its own, light or dark."""

FRAME = "#8a8a8a"
"""Colour of grids and of what is in the background, on light and on dark paper."""

COLOURS = ("#8a8a8a", "#2f8fd0", "#e07b1a", "#1fa37a", "#c46ba0", "#a08a00")
"""Of arms, the baseline grey; near Okabe and Ito's, which colour-blind people tell apart."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FRAME,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
        ),
        INK,
    ),
}


def draw(
    name: str,
    title: str,
    drawing: Callable[[Axes], None],
    size: tuple[float, float] = (4.8, 3.2),
) -> Markup:
    """Draw a figure with one pair of axes and return it as an SVG element.

    Parameters
    ----------
    name
        Unique in the page: references inside the SVG are named after it.
    title
        What it shows, for those who do not see it.
    drawing
        Draws on the axes.
    size
        Inches; on the page at most so large, and smaller on a narrow one.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: Any = {**_STYLE, "svg.hashsalt": name}
    with rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        drawing(figure.add_subplot())
        text = _svg(figure)
    return Markup(_for_page(text, name, title, size[0]))


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    # Without the metadata that names versions and the time: the same study gives the same page.
    figure.savefig(file, format="svg", metadata={"Creator": None, "Date": None})
    return file.getvalue()


def _for_page(svg: str, name: str, title: str, width: float) -> str:
    """Return an SVG file as an element of a page that holds several of them."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\sid=")([^"]+)"', rf'\1{name}-\2"', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)
    svg = re.sub(r'\s(width|height)="[^"]*pt"', "", svg, count=2)
    svg = svg.replace(INK, "currentColor")
    label = str(Markup.escape(title))
    start = f'<svg role="img" aria-label="{label}" style="max-width:{width:.1f}in"'
    return start + svg[len("<svg") :]


def arm_colours(arms: list[str]) -> dict[str, str]:
    """Return arm → colour."""
    return {arm: COLOURS[index % len(COLOURS)] for index, arm in enumerate(arms)}
