"""A place for a plot in a form: painted by matplotlib in a thread, shown as a picture.

Importing matplotlib takes a quarter of a second and painting a figure some tens of milliseconds;
neither may hold up the brush.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, QTimer
from qtpy.QtGui import QImage, QPainter, QPaintEvent, QPixmap, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ssl_muscle.learning.events import Emit, Finished, ShouldStop
from napari_ssl_muscle.learning.torch_import import collection_deferred, garbage_collected_at_once
from napari_ssl_muscle.viewer.widgets.background import ENDINGS, ThreadTask

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Paint = Callable[["Figure"], None]
"""Paints into an empty figure. It runs in a thread: it must not touch Qt, nor data that change."""

REST_MS = 500
"""Least time between two paintings."""

DPI = 100
FONT = 8

_one_at_a_time = threading.Lock()  # matplotlib's caches (fonts, text layout) are not thread-safe


class PlotArea(QWidget):
    """Shows what was painted last; hidden as long as there is nothing.

    Parameters
    ----------
    height
        In pixels; the width is what the form gives.
    parent
        Qt owner.

    Attributes
    ----------
    picture
        The last painting; None if there is none.
    """

    def __init__(self, height: int = 180, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture: QPixmap | None = None
        self._height = height
        self._paint: Paint | None = None
        self._wanted = False
        self._work: ThreadTask | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._begin)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(height)
        self.hide()

    @property
    def painting(self) -> bool:
        """Whether a painting is asked for and not shown yet."""
        return self._wanted or self._work is not None

    def show_plot(self, paint: Paint) -> None:
        """Show a plot as soon as it is painted; of several that wait, the last one counts."""
        self._paint = paint
        self.show()
        self._ask()

    def set_height(self, height: int) -> None:
        """Take another height, in pixels."""
        self._height = height
        self.setFixedHeight(height)

    def clear(self) -> None:
        """Show nothing, and take no place."""
        self._paint = self.picture = None
        self._wanted = False
        self.hide()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size that it likes to have, in pixels."""
        return QSize(300, self._height)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the picture, in the size that the widget has now."""
        if self.picture is not None:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(self.rect(), self.picture)
            painter.end()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Paint again for another width."""
        super().resizeEvent(event)
        if self._paint is not None:
            self._ask()

    def _ask(self) -> None:
        self._wanted = True
        if self._work is None and not self._timer.isActive():
            self._timer.start(0)

    def _begin(self) -> None:
        paint = self._paint
        if not self._wanted or self._work is not None or paint is None:
            return
        self._wanted = False
        ratio = self.devicePixelRatioF()
        size = (max(self.width(), 120) * ratio, self._height * ratio)
        ink = _text_colour()

        def render(emit: Emit, stop: ShouldStop) -> Any:
            return _render(paint, size, DPI * ratio, ink)

        self._work = ThreadTask(render, self)
        self._work.bridge.arrived.connect(self._on_event)
        self._work.start()

    def _on_event(self, event: object) -> None:
        work = self._work
        if work is None or not isinstance(event, ENDINGS):
            return
        self._work = None
        if isinstance(event, Finished) and self._paint is not None:
            pixels = work.result
            height, width, _ = pixels.shape
            image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
            self.picture = QPixmap.fromImage(image)  # a copy: the pixels may go
            self.update()
        if self._wanted:
            self._timer.start(REST_MS)


def _render(paint: Paint, size: tuple[float, float], dpi: float, ink: str) -> Any:
    """Return RGBA pixels `(rows, columns, 4)`; runs in a thread."""
    with _one_at_a_time:
        if "matplotlib.figure" not in sys.modules:
            with collection_deferred():
                import matplotlib.backends.backend_agg
                import matplotlib.figure  # noqa: F401
        with garbage_collected_at_once():
            return _painted(paint, size, dpi, ink)


def _painted(paint: Paint, size: tuple[float, float], dpi: float, ink: str) -> Any:
    import numpy as np
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colours = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink
    )
    style: Any = {
        **colours,
        "font.size": FONT,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
    with rc_context(style):
        figure = Figure(
            figsize=(size[0] / dpi, size[1] / dpi),
            dpi=dpi,
            facecolor="none",
            layout="constrained",
        )
        canvas: Any = FigureCanvasAgg(figure)
        paint(figure)
        canvas.draw()
        return np.array(canvas.buffer_rgba())


def _text_colour() -> str:
    """Return the colour of text in napari's theme."""
    from napari.settings import get_settings
    from napari.utils.theme import get_theme

    theme = get_theme(get_settings().appearance.theme)
    return str(theme.text.as_hex(format="long"))
