"""Which muscles to learn: a check box for each, in two columns."""

from __future__ import annotations

from collections.abc import Sequence

from magicgui.widgets import CheckBox, Container, Widget

from napari_ssl_muscle.viewer.widgets.form import column

LONGEST_OF_TWO = 18
"""Characters of a muscle's name that leave room for another one beside it."""


class MuscleBoxes(Container[Widget]):
    """Check boxes for the muscles of a table; empty until a table is shown."""

    def __init__(self) -> None:
        self._boxes: list[CheckBox] = []
        self._names: tuple[str, ...] = ()
        super().__init__(layout="horizontal", labels=False)
        self.margins = (0, 0, 0, 0)

    def offer(self, names: Sequence[str], checked: Sequence[str]) -> None:
        """Show these muscles, with some of them checked; what was chosen among the same stays."""
        if tuple(names) == self._names:
            return
        sides = list(self)
        self.clear()
        for side in sides:
            side.native.deleteLater()  # magicgui lets go of them only
        self._names = tuple(names)
        self._boxes = [CheckBox(value=name in checked, text=name) for name in names]
        columns = 1 if max(map(len, names), default=0) > LONGEST_OF_TWO else 2
        length = -(-len(self._boxes) // columns)
        for part in (self._boxes[:length], self._boxes[length:])[:columns]:
            side = column(*part)
            side.native.layout().setSpacing(2)
            side.native.layout().addStretch(1)
            self.append(side)

    @property
    def names(self) -> tuple[str, ...]:
        """All muscles that are offered."""
        return self._names

    @property
    def checked(self) -> list[str]:
        """The muscles that are checked, in the order of the table."""
        return [name for name, box in zip(self._names, self._boxes, strict=True) if box.value]
