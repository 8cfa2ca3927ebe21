"""The keys of correcting: bound to a labels layer while a form is open, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.muscles import MuscleTable

MUSCLE_KEYS = 9

HELP: tuple[tuple[str, str], ...] = (
    ("1 … 9", "choose a muscle, in the order of the list"),
    ("A", "accept this slice; again: take it back"),
    ("E", "accept it as empty: no muscle in it"),
    ("N", "next slice to correct"),
    ("H", "show or hide the labels"),
    ("C", "outlines only, or filled"),
    ("U", "show or hide where the model is unsure"),
    ("Ctrl+Z", "undo; Ctrl+Shift+Z: redo"),
    ("[  ]", "smaller or larger brush"),
)
"""Keys and what they do, for people. The last two are napari's own."""


class Keys:
    """Keys on a layer; `bind` and `unbind` as the layer changes.

    Parameters
    ----------
    actions
        Key → what to do.
    """

    def __init__(self, actions: dict[str, Callable[[], None]]) -> None:
        self._actions = actions
        self._layer: Any = None

    def bind(self, layer: Any) -> None:
        """Bind to a layer, and no more to the one before; None for no layer."""
        if layer is self._layer:
            return
        self.unbind()
        self._layer = layer
        if layer is not None:
            for key, act in self._actions.items():
                layer.bind_key(key, _calling(act), overwrite=True)

    def unbind(self) -> None:
        """Take the keys back; napari's own count again."""
        layer, self._layer = self._layer, None
        if layer is not None:
            for key in self._actions:
                layer.bind_key(key, None, overwrite=True)


def _calling(act: Callable[[], None]) -> Callable[[Any], None]:
    def pressed(_: Any) -> None:
        act()

    return pressed


def format_legend(table: MuscleTable) -> str:
    """Return the muscles with their keys and colours, in HTML."""
    colours = table.colours()
    return " &nbsp; ".join(
        f'<b>{number}</b>&nbsp;<span style="color:{_hex(colours[muscle.value])}">■</span>&nbsp;'
        + muscle.name.replace(" ", "&nbsp;")
        for number, muscle in enumerate(table.muscles[:MUSCLE_KEYS], 1)
    )


def _hex(colour: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


def format_keys() -> str:
    """Return the keys and what they do, as a table in HTML."""
    rows = "".join(
        f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for key, what in HELP
    )
    return (
        f"<table>{rows}</table><p>The keys count while the labels are chosen in the layer list. "
        "A slice that is drawn on after it was accepted has to be accepted again.</p>"
    )
