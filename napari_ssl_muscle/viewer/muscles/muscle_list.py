"""The muscles of the labels with their keys and colours; a click chooses one to draw."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.viewer.correct.keys import MUSCLE_KEYS


class MuscleList(QLabel):
    """All muscles of a table, in its order.

    Attributes
    ----------
    chosen
        Signal with the label value of a muscle that was clicked.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.linkActivated.connect(self._on_link)

    def show_table(self, table: MuscleTable | None, selected: int) -> None:
        """Show the muscles; the one that is drawn with now is underlined."""
        colour = self.palette().color(self.foregroundRole()).name()
        text = "" if table is None else format_legend(table, selected, colour)
        if text != self.text():
            self.setText(text)

    def _on_link(self, target: str) -> None:
        self.chosen.emit(int(target))


def format_legend(table: MuscleTable, selected: int = 0, text_colour: str = "inherit") -> str:
    """Return the muscles with keys, colours and, where they differ from the keys, values, as HTML.

    Each is a link to its label value.
    """
    colours = table.colours()
    entries = []
    for index, muscle in enumerate(table.muscles):
        key = MUSCLE_KEYS[index].replace("-", "+") if index < len(MUSCLE_KEYS) else ""
        name = escape(muscle.name).replace(" ", "&nbsp;")
        if muscle.value == selected:
            name = f"<u>{name}</u>"
        value = "" if key == str(muscle.value) else f"&nbsp;<small>({muscle.value})</small>"
        entries.append(
            f'<a href="{muscle.value}" style="text-decoration:none;color:{text_colour}">'
            f"<b>{key}</b>&nbsp;"
            f'<span style="color:{_hex(colours[muscle.value])}">■</span>&nbsp;{name}{value}</a>'
        )
    return " &nbsp; ".join(entries)


def _hex(colour: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])
